"""How an operation becomes a method of either client.

Each operation is written once, as a function from the core and its arguments to a `Call`, a `Listing` or a `Flow`. The
functions below make a method of it, with its signature and its docstring.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from ._core import Core
from ._driver import AsyncDriver, Driver
from ._pagination import Listing
from ._wire import Call, Flow

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


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


@overload
def flowing(operation: Callable[Concatenate[Core, P], Flow[T]]) -> Callable[Concatenate[Resource, P], T]: ...
@overload
def flowing(
    operation: Callable[Concatenate[Core, P], Flow[T]], face: Callable[[Driver, T], R]
) -> Callable[Concatenate[Resource, P], R]: ...
def flowing(operation: Any, face: Any = None) -> Any:
    """Make a flow a method that returns its result, or what `face` makes of it for this client."""

    @wraps(operation)
    def method(self: Resource, /, *args: Any, **kwargs: Any) -> Any:
        result = self._driver.run(operation(self._driver.core, *args, **kwargs))
        return face(self._driver, result) if face else result

    return method


@overload
def awaiting(
    operation: Callable[Concatenate[Core, P], Flow[T]],
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, T]]: ...
@overload
def awaiting(
    operation: Callable[Concatenate[Core, P], Flow[T]], face: Callable[[AsyncDriver, T], R]
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, R]]: ...
def awaiting(operation: Any, face: Any = None) -> Any:
    """Make a flow a coroutine method."""

    @wraps(operation)
    async def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        result = await self._driver.run(operation(self._driver.core, *args, **kwargs))
        return face(self._driver, result) if face else result

    return method
