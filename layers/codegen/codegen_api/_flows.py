"""Small flows that larger ones are made of, with the types that a bare `yield` loses."""

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._core import Core
from ._errors import (
    APIConnectionError,
    CodegenAPIError,
    DeadlineExceededError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
    TaskTimeoutError,
)
from ._pagination import Listing, Walk
from ._protocol import Call, Flow, Wait

if TYPE_CHECKING:
    from ._deployment_models import CursorPage

T = TypeVar("T")

PASSING = (APIConnectionError, InvalidResponseError, RateLimitError, ServerError)
"""What one call may meet that the next need not: an answer, too, may be cut so that it cannot be read."""

POLL_PATIENCE = 5
"""How many looks in a row may fail, each with all its retries, before a wait gives up."""

PAUSE = 2.0
MOST_PAUSE = 30.0


class Patience:
    """Bears failures that pass, until there are too many in a row. Each of them had all its retries already."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.failures = 0

    def bear(self, error: CodegenAPIError) -> None:
        """Bear a failure, or raise it."""
        self.failures += 1
        if self.failures > self._most or isinstance(error, DeadlineExceededError):
            raise error

    def renew(self) -> None:
        """Forget the failures: something went well."""
        self.failures = 0


def do(call: Call[T]) -> Flow[T]:
    """Carry out one call."""
    result: T = yield call
    return result


def gather(listing: Listing[T]) -> Flow[list[T]]:
    """Read all items of a paged list."""
    walk = Walk(listing)
    items: list[T] = []
    while (call := walk.next_call()) is not None:
        items += walk.receive((yield call))
    return items


def gather_by_cursor(call: "Callable[[str | None], Call[CursorPage[T]]]") -> Flow[list[T]]:
    """Read all items of a list that goes on at cursors, as a deployment's do."""
    items: list[T] = []
    cursor = None
    while True:
        page = yield from do(call(cursor))
        items += page.items
        if not page.has_more or page.next_cursor in (None, cursor):
            return items
        cursor = page.next_cursor


def poll(
    core: Core,
    look: Callable[[], Flow[None]],
    done: Callable[[], bool],
    timeout: float | None,
    poll_interval: float,
    late: Callable[[float], TaskTimeoutError],
    *,
    pause_first: bool = False,
) -> Flow[None]:
    """Look until `done`. A look that fails for a passing reason is made up for by the next.

    Args:
        core: The client's.
        look: Looks once.
        done: Called after each look that succeeds; whether what is waited for has happened.
        timeout: Seconds to wait at most; None for as long as it takes. However few, it is looked once.
        poll_interval: Seconds between two looks; see `check_interval`.
        late: Makes the error to raise after `timeout` seconds.
        pause_first: Whether to pause before the first look, too.
    """
    until = math.inf if timeout is None else core.clock() + timeout
    patience = Patience(POLL_PATIENCE)
    pause = pause_first
    while True:
        if pause and (left := until - core.clock()) > 0:
            yield Wait(min(poll_interval, left))
        pause = True
        try:
            yield from look()
        except PASSING as error:
            patience.bear(error)
        else:
            patience.renew()
            if done():
                return
        if timeout is not None and core.clock() >= until:
            raise late(timeout)


def check_interval(poll_interval: float) -> None:
    """Refuse, with ValueError, to look without a pause."""
    if poll_interval <= 0:
        raise ValueError("poll_interval must be more than 0 seconds")


def outlast(act: Callable[[], Flow[T]], *, most: int) -> Flow[T]:
    """Carry out a flow, anew after each failure that passes, with growing pauses; `most` of them in a row."""
    patience = Patience(most)
    while True:
        try:
            return (yield from act())
        except PASSING as error:
            patience.bear(error)
            seconds = error.retry_after
        yield Wait(min(MOST_PAUSE, PAUSE * 2 ** (patience.failures - 1)) if seconds is None else seconds)


def json_object(content: bytes) -> dict[str, Any]:
    """Read an answer whose members differ from version to version."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - what `Call.parse` raises
    return found
