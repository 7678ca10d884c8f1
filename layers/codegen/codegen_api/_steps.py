"""Small flows that larger ones are made of, with the types that a bare `yield` loses."""

from collections.abc import Callable
from typing import TypeVar

from ._driver import Flow
from ._models import CursorPage
from ._pagination import Listing, Walk
from ._wire import Call

T = TypeVar("T")


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
