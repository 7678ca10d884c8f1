"""How operations become methods of both clients.

Each operation is written once: as a function that takes the core and the arguments, and returns a `Call`, a `Listing`
or a `Flow`. The functions below turn it into a method with the same arguments and the same docstring.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from functools import update_wrapper
from inspect import Signature
from inspect import signature as inspect_signature
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from ._core import Core
from ._driver import AsyncDriver, Driver
from ._pagination import AsyncPagedList, Listing, PagedList
from ._protocol import Call, Flow, StreamFlow

if TYPE_CHECKING:
    from ._events import Event
    from ._raw import AsyncRawMethods, RawMethods
    from ._streams import AsyncStream, Stream

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
D_co = TypeVar("D_co", covariant=True)


class Resource:
    """The operations of one resource, for a blocking client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def with_raw_response(self) -> "RawMethods":
        """The same methods, which return the response with its status, its headers and its request id."""
        from ._raw import RawMethods

        return RawMethods(self)


class AsyncResource:
    """The operations of one resource, for an asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    @property
    def with_raw_response(self) -> "AsyncRawMethods":
        """The same methods, which return the response with its status, its headers and its request id."""
        from ._raw import AsyncRawMethods

        return AsyncRawMethods(self)


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


class _Operation:
    """The operation behind a method, which is where `inspect` and `help()` find the signature of the method.

    It is made only when somebody asks for it, because most programs do not.
    """

    def __init__(
        self, operation: Callable[..., Any], bind: Callable[..., Any] | None, names: Mapping[str, str]
    ) -> None:
        self._operation, self._bind, self._names = operation, bind, names

    @property
    def __signature__(self) -> Signature:
        signature = inspect_signature(self._operation)
        core, *parameters = signature.parameters.values()
        found = inspect_signature(self._bind).return_annotation if self._bind else signature.return_annotation
        own = core.replace(name="self", kind=core.POSITIONAL_ONLY, annotation=core.empty)
        return signature.replace(parameters=[own, *parameters], return_annotation=_returned(found, self._names))

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError("call the method of a resource")


def _returned(annotation: Any, names: Mapping[str, str]) -> Any:
    """Return what the caller of a method gets, from what its operation returns."""
    if isinstance(annotation, type):
        return _Written(annotation.__name__)
    text = annotation if isinstance(annotation, str) else _ADDRESS.sub("", str(annotation))
    for pattern, replacement in names.items():
        text = re.sub(pattern, replacement, text)
    return _Written(text)


class _Written(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


_ADDRESS = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")
_CALLS = {
    r"^Call\[(.*)\]$": r"\1",
    r"^Flow\[(.*)\]$": r"\1",
    r"^Generator\[.*, Any, (.*)\]$": r"\1",
    r"^NoneType$": "None",
}


def _method(
    operation: Callable[..., Any], method: Callable[..., Any], names: Mapping[str, str], bind: Any = None
) -> Callable[..., Any]:
    """Give a method the name, the docstring and the signature of its operation."""
    update_wrapper(method, operation, assigned=("__module__", "__qualname__", "__doc__"))
    method.__name__ = operation.__name__.rstrip("_")
    method.__wrapped__ = _Operation(operation, bind, names)  # type: ignore[attr-defined]
    return method


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

    def method(self: Resource, /, *args: Any, **kwargs: Any) -> Any:
        result = self._driver.run(operation(self._driver.core, *args, **kwargs))
        return bind(self._driver, result) if bind else result

    return _method(operation, method, _CALLS, bind)


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

    async def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        result = await self._driver.run(operation(self._driver.core, *args, **kwargs))
        return bind(self._driver, result) if bind else result

    return _method(operation, method, _CALLS, bind)


def listing(
    operation: Callable[Concatenate[Core, P], Listing[T, R]],
) -> Callable[Concatenate[Resource, P], PagedList[T, R]]:
    """Turn a listing into a method that returns the list, whose first page has been read."""

    def method(self: Resource, /, *args: Any, **kwargs: Any) -> Any:
        return PagedList(self._driver, operation(self._driver.core, *args, **kwargs))

    return _method(operation, method, {r"\bListing\b": "PagedList"})


def async_listing(
    operation: Callable[Concatenate[Core, P], Listing[T, R]],
) -> Callable[Concatenate[AsyncResource, P], AsyncPagedList[T, R]]:
    """Turn a listing into a method that returns the list, to await or to iterate over."""

    def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        return AsyncPagedList(self._driver, operation(self._driver.core, *args, **kwargs))

    return _method(operation, method, {r"\bListing\b": "AsyncPagedList"})


def streaming(
    operation: Callable[Concatenate[Core, P], StreamFlow],
) -> "Callable[Concatenate[Resource, P], Stream[Event]]":
    """Turn a flow that emits events into a method that returns the stream of them."""

    def method(self: Resource, /, *args: Any, **kwargs: Any) -> Any:
        from ._streams import Stream

        return Stream(self._driver.follow(operation(self._driver.core, *args, **kwargs)))

    return _method(operation, method, {"^.+$": "Stream[Event]"})


def async_streaming(
    operation: Callable[Concatenate[Core, P], StreamFlow],
) -> "Callable[Concatenate[AsyncResource, P], AsyncStream[Event]]":
    """Turn a flow that emits events into a method that returns the stream of them."""

    def method(self: AsyncResource, /, *args: Any, **kwargs: Any) -> Any:
        from ._streams import AsyncStream

        return AsyncStream(self._driver.follow(operation(self._driver.core, *args, **kwargs)))

    return _method(operation, method, {"^.+$": "AsyncStream[Event]"})
