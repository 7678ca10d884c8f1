"""Lists: iterate over all items, or page by page. What is requested next is decided here, without I/O."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ._errors import InvalidArgumentError, InvalidResponseError
from ._protocol import Call, Flow

if TYPE_CHECKING:
    from ._core import Core
    from ._deployment_models import CursorPage
    from ._driver import AsyncDriver, Driver
    from ._models import Page

T = TypeVar("T")
P = TypeVar("P")

PAGE_SIZE = 100
"""The largest page size of the Codegen API."""

_LISTS = frozenset({"items", "logs"})


@dataclass(frozen=True, slots=True)
class Listing(Generic[T, P]):
    """A list to read page by page.

    Attributes:
        call: Makes the call for the page at a position: a number of items to skip, a number of a page, or a cursor.
        items: Returns the items of a page.
        total: Returns the number of all items, if a page has it.
        following: Returns the position of the next page, from a page, its position and the number of items so far (the
            skipped ones included); None after the last page.
        start: The position of the first page.
        feature: Only a deployment has the list. The word names the list in the error that the Codegen API gets.
    """

    call: Callable[[Any], Call[P]]
    items: Callable[[P], list[T]]
    total: Callable[[P], int | None]
    following: Callable[[P, Any, int], Any]
    start: Any = 0
    feature: str | None = None

    def before(self, core: "Core") -> Flow[None]:
        """Do what the first request of the list needs."""
        if self.feature is not None:
            from ._deployment import require_deployment

            yield from require_deployment(core, self.feature)


def by_position(call: "Callable[[int], Call[Page[T]]]", skip: int = 0) -> "Listing[T, Page[T]]":
    """Describe a list of the Codegen API: its pages begin after a number of items, and have a `total`."""

    def following(page: "Page[T]", _position: int, read: int) -> int | None:
        return None if is_last(page.items, page.known_total, read) else read

    return Listing(call, lambda page: page.items, lambda page: page.known_total, following, skip)


def is_last(items: list[Any], total: int | None, read: int) -> bool:
    """Return whether a page is the last one. The latest total counts, so the list may change meanwhile."""
    return not items or (total is not None and read >= total)


def by_cursor(feature: str, call: "Callable[[str | None], Call[CursorPage[T]]]") -> "Listing[T, CursorPage[T]]":
    """Describe a list of a deployment: its pages have the cursor of the next page."""

    def following(page: "CursorPage[T]", position: str | None, _read: int) -> str | None:
        return page.next_cursor if page.has_more and page.next_cursor != position else None

    return Listing(call, lambda page: page.items, lambda _: None, following, None, feature)


class Walk(Generic[T, P]):
    """Reads the pages of a `Listing` in turn.

    If new items push older ones onto the next page (runs are listed newest first), each of those is returned once. A
    page that repeats the one before it is an error, so a faulty server cannot cause an endless loop.
    """

    def __init__(self, listing: Listing[T, P]) -> None:
        self.listing = listing
        self.position = listing.start
        self.read = listing.start if isinstance(listing.start, int) else 0
        self.ended = False
        self.last: list[T] | None = None
        self.seen: set[Any] = set()

    def next_call(self) -> Call[P] | None:
        """Return the call for the next page; None at the end of the list."""
        return None if self.ended else self.listing.call(self.position)

    def receive(self, page: P) -> list[T]:
        """Return the items of a page that were not on an earlier page."""
        items = self.listing.items(page)
        if self.listing.total(page) != 0 and not _LISTS.isdisjoint(getattr(page, "unreadable", ())):
            raise InvalidResponseError("the server returned a page without its list")
        if items and items == self.last:
            raise InvalidResponseError("the server returned the same page of the list twice")
        self.last = items
        self.read += len(items)
        following = self.listing.following(page, self.position, self.read)
        self.position, self.ended = following, following is None
        new = [item for item in items if _identity(item) not in self.seen]
        self.seen.update(identity for item in items if (identity := _identity(item)) is not None)
        return new


def _identity(item: Any) -> Any:
    """Return the id of an item; None for a log entry, which has none, and for an item whose id cannot be read."""
    return getattr(item, "id", None) or None


class _PagedList(Generic[T, P]):
    """What both kinds of list share: the first page.

    `first` is the first page as the server returned it, with everything that it has besides the items.
    """

    _listing: Listing[T, P]
    _first: P | None

    @property
    def first(self) -> P:
        """The first page, as the server returned it."""
        if self._first is None:
            raise InvalidArgumentError("the list is not read yet: await it, or iterate over it with `async for`")
        return self._first

    @property
    def items(self) -> list[T]:
        """The items of the first page."""
        return self._listing.items(self.first)

    @property
    def total(self) -> int | None:
        """The number of all items; None if the server does not count them."""
        return self._listing.total(self.first)

    def __repr__(self) -> str:
        if self._first is None:
            return f"{type(self).__name__}(not read yet)"
        of = "" if self.total is None else f" of {self.total}"
        return f"{type(self).__name__}({len(self.items)}{of} items read)"


class PagedList(_PagedList[T, P]):
    """A list that reads its further pages while you iterate over it.

    `for item in api.runs.list()` iterates over all items, and `.pages()` over the pages. `items` and `first` are the
    first page, which has been read already; `total` is the number of all items if the server counts them. Each
    iteration begins with the first page.
    """

    def __init__(self, driver: "Driver", listing: Listing[T, P]) -> None:
        self._driver, self._listing = driver, listing
        driver.run(listing.before(driver.core))
        self._first = driver.perform(listing.call(listing.start))

    def __iter__(self) -> Iterator[T]:
        for _, new in self._walk():
            yield from new

    def pages(self) -> Iterator[P]:
        """Iterate over the pages, each as the server returned it."""
        return (page for page, _ in self._walk())

    def _walk(self) -> Iterator[tuple[P, list[T]]]:
        walk, page = Walk(self._listing), self.first
        yield page, walk.receive(page)
        while (call := walk.next_call()) is not None:
            page = self._driver.perform(call)
            yield page, walk.receive(page)


class AsyncPagedList(_PagedList[T, P]):
    """A list that reads its further pages while you iterate over it.

    `async for item in api.runs.list()` iterates over all items, and `.pages()` over the pages. `await api.runs.list()`
    reads the first page: then `items` and `first` are that page, and `total` is the number of all items if the server
    counts them. Each iteration begins with the first page.
    """

    def __init__(self, driver: "AsyncDriver", listing: Listing[T, P]) -> None:
        self._driver, self._listing = driver, listing
        self._first = None

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._read().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for _, new in self._walk():
            for item in new:
                yield item

    async def pages(self) -> AsyncIterator[P]:
        """Iterate over the pages, each as the server returned it."""
        async for page, _ in self._walk():
            yield page

    async def _read(self) -> Self:
        if self._first is None:
            await self._driver.run(self._listing.before(self._driver.core))
            self._first = await self._driver.perform(self._listing.call(self._listing.start))
        return self

    async def _walk(self) -> AsyncIterator[tuple[P, list[T]]]:
        walk, page = Walk(self._listing), (await self._read()).first
        yield page, walk.receive(page)
        while (call := walk.next_call()) is not None:
            page = await self._driver.perform(call)
            yield page, walk.receive(page)
