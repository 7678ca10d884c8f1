"""How operations become methods of both clients.

Each operation is written once: as a function that takes the core and the arguments, and returns a `Call`, a `Listing`
or a `Flow`. The functions below turn it into a method with the same arguments and the same docstring.
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
    """The operations of one resource, for a blocking client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver


class AsyncResource:
    """The operations of one resource, for an asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver


class _Client(Protocol[D_co]):
    @property
    def _driver(self) -> D_co: ...


S = TypeVar("S", bound=Resource)
A = TypeVar("A", bound=AsyncResource)


class resource_property(Generic[S, A]):  # noqa: N801 - a decorator, as `property` is
    """A property of both clients: the operations of one resource.

    It decorates a method that returns the two classes of the resource, blocking and asynchronous. The method imports
    them on first use, so a program loads only the resources that it uses.
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
        client.__dict__[self._name] = made  # the next access finds it here, not this property
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
    """Turn an operation into a method that returns its result, converted by `bind` if given."""

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
    """Turn an operation into a coroutine method that returns its result, converted by `bind` if given."""

    @wraps(operation)
    async def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        result = await self._driver.run(operation(self._driver.core, *args, **kwargs))
        return bind(self._driver, result) if bind else result

    return method


def iterating(
    operation: Callable[Concatenate[Core, P], Listing[T]],
) -> Callable[Concatenate[Resource, P], Iterator[T]]:
    """Turn a listing into a method that iterates over all items."""

    @wraps(operation)
    def method(self: Resource, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._driver.walk(operation(self._driver.core, *args, **kwargs))

    return method


def async_iterating(
    operation: Callable[Concatenate[Core, P], Listing[T]],
) -> Callable[Concatenate[AsyncResource, P], AsyncIterator[T]]:
    """Turn a listing into a method that iterates over all items asynchronously."""

    @wraps(operation)
    def method(self: AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self._driver.walk(operation(self._driver.core, *args, **kwargs))

    return method
