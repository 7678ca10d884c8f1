"""How an operation becomes a method of either client.

Each operation is written once, as a function from the core and its arguments to a `Call`, a `Listing` or a `Flow`. The
functions below make a method of it, with its signature and its docstring.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from ._core import Core
from ._driver import AsyncDriver, Driver
from ._pagination import Listing
from ._protocol import Call, Flow

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
D_co = TypeVar("D_co", covariant=True)


class Resource:
    """Operations of one resource on a blocking client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver


class AsyncResource:
    """Operations of one resource on an asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver


class _Client(Protocol[D_co]):
    @property
    def _driver(self) -> D_co: ...


S = TypeVar("S", bound=Resource)
A = TypeVar("A", bound=AsyncResource)


class resource_property(Generic[S, A]):  # noqa: N801 - a decorator, as `property` is
    """A property of both clients: the operations of one resource.

    It decorates a method that returns the resource's two classes, the blocking and the asynchronous one. They are
    imported on first use, so a program loads only the resources that it uses.
    """

    def __init__(self, classes: Callable[[Any], tuple[type[S], type[A]]]) -> None:
        self._classes = classes
        self.__doc__ = classes.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, client: None, _owner: type) -> Self: ...
    @overload
    def __get__(self, client: _Client[Driver], _owner: type) -> S: ...
    @overload
    def __get__(self, client: _Client[AsyncDriver], _owner: type) -> A: ...
    def __get__(self, client: Any, _owner: type) -> Any:
        if client is None:
            return self
        blocking, asynchronous = self._classes(client)
        driver = client._driver
        made = asynchronous(driver) if isinstance(driver, AsyncDriver) else blocking(driver)
        client.__dict__[self._name] = made  # found there from now on, in place of this property
        return made


@overload
def blocking(operation: Callable[Concatenate[Core, P], Call[T]]) -> Callable[Concatenate[Resource, P], T]: ...
@overload
def blocking(operation: Callable[Concatenate[Core, P], Flow[T]]) -> Callable[Concatenate[Resource, P], T]: ...
@overload
def blocking(
    operation: Callable[Concatenate[Core, P], Flow[T]], bind: Callable[[Driver, T], R]
) -> Callable[Concatenate[Resource, P], R]: ...
def blocking(operation: Any, bind: Any = None) -> Any:
    """Make an operation a method that returns its result, or what `bind` makes of it for this client."""

    @wraps(operation)
    def method(self: Resource, /, *args: Any, **kwargs: Any) -> Any:
        result = self._driver.run(operation(self._driver.core, *args, **kwargs))
        return bind(self._driver, result) if bind else result

    return method


@overload
def awaitable(
    operation: Callable[Concatenate[Core, P], Call[T]],
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, T]]: ...
@overload
def awaitable(
    operation: Callable[Concatenate[Core, P], Flow[T]],
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, T]]: ...
@overload
def awaitable(
    operation: Callable[Concatenate[Core, P], Flow[T]], bind: Callable[[AsyncDriver, T], R]
) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, R]]: ...
def awaitable(operation: Any, bind: Any = None) -> Any:
    """Make an operation a coroutine method."""

    @wraps(operation)
    async def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        result = await self._driver.run(operation(self._driver.core, *args, **kwargs))
        return bind(self._driver, result) if bind else result

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
