"""Reading a paged list, without I/O: which page to request next, and when to stop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._errors import InvalidResponseError
from ._models import Page
from ._protocol import Call

T = TypeVar("T")

PAGE_SIZE = 100
"""The largest page size of the Codegen API."""


_LISTS = frozenset({"items", "logs"})


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A paged list.

    Attributes:
        call: Makes the call for the page that starts at a position.
        read: Returns the items of a page, and the total number of items if the page has it.
        skip: Position of the first item to read.
    """

    call: Callable[[int], Call[Any]]
    read: Callable[[Any], tuple[list[T], int | None]]
    skip: int = 0

    @classmethod
    def of_pages(cls, call: "Callable[[int], Call[Page[T]]]", skip: int = 0) -> "Listing[T]":
        """Describe a list whose pages are `Page` objects."""
        return cls(call, lambda page: (page.items, page.known_total), skip)


class Walk(Generic[T]):
    """Reads the pages of a `Listing` in turn.

    The next page starts after the items received so far, and the latest total counts, so the list may change meanwhile.
    If new items push older ones onto the next page (runs are listed newest first), each of those is returned once. The
    first empty page ends the list. A page that repeats the one before it is an error, so a faulty server cannot cause
    an endless loop.
    """

    def __init__(self, listing: Listing[T]) -> None:
        self._listing = listing
        self._skip = listing.skip
        self._done = False
        self._last: list[T] | None = None
        self._seen: set[Any] = set()

    def next_call(self) -> Call[Any] | None:
        """Return the call for the next page, or None at the end of the list."""
        return None if self._done else self._listing.call(self._skip)

    def receive(self, page: Any) -> Iterable[T]:
        """Return the items of a page that were not on an earlier page."""
        items, total = self._listing.read(page)
        if total != 0 and not _LISTS.isdisjoint(getattr(page, "unreadable", ())):
            raise InvalidResponseError("the server returned a page without its list")
        if items and items == self._last:
            raise InvalidResponseError("the server returned the same page of the list twice")
        self._last = items
        self._skip += len(items)
        self._done = not items or (total is not None and self._skip >= total)
        new = [item for item in items if _identity(item) not in self._seen]
        self._seen.update(identity for item in items if (identity := _identity(item)) is not None)
        return new


def _identity(item: Any) -> Any:
    """Return the id of an item; None for a log entry, which has none, and for an item whose id cannot be read."""
    return getattr(item, "id", None) or None
