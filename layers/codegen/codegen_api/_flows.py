"""Flows that larger flows are built from: one call, whole lists, polling, and retries of whole flows."""

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ._core import Core
from ._errors import (
    APIConnectionError,
    CodegenAPIError,
    DeadlineExceededError,
    InvalidArgumentError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
    TaskTimeoutError,
    read_retryable,
)
from ._pagination import Listing, Walk
from ._protocol import Call, Flow, Wait

T = TypeVar("T")

TRANSIENT = (APIConnectionError, InvalidResponseError, RateLimitError, ServerError)
"""Errors that the next call need not meet. A response that was cut off can be an InvalidResponseError."""

MAX_FAILED_POLLS = 5
"""Polls in a row that may fail before a wait gives up. Each of them is a call with all its retries."""

RETRY_PAUSE = 2.0
MAX_RETRY_PAUSE = 30.0


class FailureLimit:
    """Tolerates transient errors until there are too many in a row."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.failures = 0

    def count(self, error: CodegenAPIError) -> None:
        """Count an error. Raise it if it is one too many, if a retry cannot succeed, or at the caller's deadline."""
        self.failures += 1
        is_final = read_retryable(error.body) is False or isinstance(error, DeadlineExceededError)
        if self.failures > self._maximum or is_final:
            raise error

    def reset(self) -> None:
        """Forget the errors after a success."""
        self.failures = 0


def perform(call: Call[T]) -> Flow[T]:
    """Carry out one call. A bare `yield call` does the same, but loses the type of the result."""
    result: T = yield call
    return result


def read_list(core: Core, listing: Listing[T, Any]) -> Flow[list[T]]:
    """Read all items of a list."""
    yield from listing.before(core)
    walk = Walk(listing)
    items: list[T] = []
    while (call := walk.next_call()) is not None:
        items += walk.receive((yield call))
    return items


def poll(
    core: Core,
    poll_once: Callable[[], Flow[None]],
    done: Callable[[], bool],
    timeout: float | None,
    poll_interval: float,
    timed_out: Callable[[float], TaskTimeoutError],
    *,
    pause_first: bool = False,
) -> Flow[None]:
    """Poll until `done` returns True. A poll that fails with a transient error is made up for by the next one.

    Args:
        core: The client's core.
        poll_once: Polls once.
        done: Called after each successful poll.
        timeout: Seconds to wait; None for no limit. There is at least one poll, however short the timeout.
        poll_interval: Seconds between two polls; see `check_poll_interval`.
        timed_out: Makes the exception to raise after `timeout` seconds.
        pause_first: Whether to pause before the first poll, too.
    """
    ends_at = math.inf if timeout is None else core.clock() + timeout
    limit = FailureLimit(MAX_FAILED_POLLS)
    pause = pause_first
    while True:
        if pause and (left := ends_at - core.clock()) > 0:
            yield Wait(min(poll_interval, left))
        pause = True
        try:
            yield from poll_once()
        except TRANSIENT as error:
            limit.count(error)
        else:
            limit.reset()
            if done():
                return
        if timeout is not None and core.clock() >= ends_at:
            raise timed_out(timeout)


def check_poll_interval(poll_interval: float) -> None:
    """Raise InvalidArgumentError for an interval that would poll without a pause."""
    if poll_interval <= 0:
        raise InvalidArgumentError("poll_interval must be more than 0 seconds")


def retry(flow: Callable[[], Flow[T]], *, max_failures: int) -> Flow[T]:
    """Carry out a flow, and start it again after a transient error, up to `max_failures` times in a row.

    The pause before a new start is that of `retry_pause`.
    """
    limit = FailureLimit(max_failures)
    while True:
        try:
            return (yield from flow())
        except TRANSIENT as error:
            limit.count(error)
            seconds = error.retry_after
        yield Wait(retry_pause(limit.failures, seconds))


def retry_pause(failures: int, retry_after: float | None) -> float:
    """Return the seconds to wait after a number of failures in a row.

    It is `Retry-After`, or else doubles from `RETRY_PAUSE` up to `MAX_RETRY_PAUSE`.
    """
    return min(MAX_RETRY_PAUSE, RETRY_PAUSE * 2 ** (failures - 1)) if retry_after is None else retry_after


def json_object(content: bytes | str) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError if it is none."""
    parsed = json.loads(content)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what `Call.parse` raises
    return parsed
