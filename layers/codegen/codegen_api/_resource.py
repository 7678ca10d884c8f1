"""How an operation becomes a method of either client.

Each operation is written once, as a function from the core and its arguments to a `Call` or a `Listing`. The four
functions below make a method of it, with its signature and its docstring.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ._core import Core
from ._driver import AsyncDriver, Driver
from ._pagination import Listing
from ._wire import Call

P = ParamSpec("P")
T = TypeVar("T")


class Resource:
    """Operations of one resource on a blocking client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver


class AsyncResource:
    """Operations of one resource on an asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver


def blocking(operation: Callable[Concatenate[Core, P], Call[T]]) -> Callable[Concatenate[Resource, P], T]:
    """Make an operation a method that returns its result."""

    @wraps(operation)
    def method(self: Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._driver.perform(operation(self._driver.core, *args, **kwargs))

    return method


def awaitable(
    operation: Callable[Concatenate[Core, P], Call[T]],
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, T]]:
    """Make an operation a coroutine method."""

    @wraps(operation)
    async def method(self: AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._driver.perform(operation(self._driver.core, *args, **kwargs))

    return method


def iterating(
    operation: Callable[Concatenate[Core, P], Listing[T]],
) -> Callable[Concatenate[Resource, P], Iterator[T]]:
    """Make a listing a method that iterates over all its items."""

    @wraps(operation)
    def method(self: Resource, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._driver.walk(operation(self._driver.core, *args, **kwargs))

    return method


def async_iterating(
    operation: Callable[Concatenate[Core, P], Listing[T]],
) -> Callable[Concatenate[AsyncResource, P], AsyncIterator[T]]:
    """Make a listing a method that iterates asynchronously over all its items."""

    @wraps(operation)
    def method(self: AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self._driver.walk(operation(self._driver.core, *args, **kwargs))

    return method
