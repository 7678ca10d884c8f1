"""Lists of the client in tests."""

from collections.abc import AsyncIterator, Iterator
from typing import Any


def items_of(found: Any) -> "Iterator[Any] | AsyncIterator[Any]":
    """Return an iterator over all items of a list, blocking or asynchronous."""
    return aiter(found) if hasattr(found, "__aiter__") else iter(found)


def pages_of(found: Any) -> "Iterator[Any] | AsyncIterator[Any]":
    """Return an iterator over the pages of a list, blocking or asynchronous."""
    pages: Iterator[Any] | AsyncIterator[Any] = found.pages()
    return pages
