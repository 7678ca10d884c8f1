"""Walking a paged list, without I/O: which page to ask for next, and when to stop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._errors import InvalidResponseError
from ._models import Page
from ._protocol import Call

T = TypeVar("T")

PAGE_SIZE = 100
"""The most the upstream gives in one page."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A paged list: `call(skip)` asks for a page, `read(page)` gives its items and the total it claims, if any."""

    call: Callable[[int], Call[Any]]
    read: Callable[[Any], tuple[list[T], int | None]]
    skip: int = 0

    @classmethod
    def of_pages(cls, call: "Callable[[int], Call[Page[T]]]", skip: int = 0) -> "Listing[T]":
        """Describe a list that comes in the common envelope."""
        return cls(call, lambda page: (page.items, page.total), skip)


class Walk(Generic[T]):
    """One walk along a `Listing`.

    It advances by what it received and believes the newest total, so it survives a total that changes on the way.
    Where new items push older ones onto the next page (runs are newest first), those come once. It ends with the
    first empty page at the latest, and an upstream that repeats a page cannot hold it.
    """

    def __init__(self, listing: Listing[T]) -> None:
        self._listing = listing
        self._skip = listing.skip
        self._done = False
        self._last: list[T] | None = None
        self._seen: set[Any] = set()

    def next_call(self) -> Call[Any] | None:
        """Return the call for the next page, or None at the end."""
        return None if self._done else self._listing.call(self._skip)

    def receive(self, page: Any) -> Iterable[T]:
        """Take a page in and return its items that are new."""
        items, total = self._listing.read(page)
        if items and items == self._last:
            raise InvalidResponseError("the upstream answers every page of the list with the same items")
        self._last = items
        self._skip += len(items)
        self._done = not items or (total is not None and self._skip >= total)
        return [item for item in items if self._is_new(item)]

    def _is_new(self, item: T) -> bool:
        identity = getattr(item, "id", None)  # logs have none
        if identity is None:
            return True
        known = identity in self._seen
        self._seen.add(identity)
        return not known
