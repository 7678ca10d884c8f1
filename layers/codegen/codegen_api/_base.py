"""The two ways to drive the core: blocking and asynchronous. All that is here is sending, sleeping and iterating."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from ._core import Answer, Call, Core, Fault, Send
from ._pagination import Listing, Walk

P = ParamSpec("P")
T = TypeVar("T")


class Driver:
    """Drives exchanges over a blocking HTTP client."""

    def __init__(self, core: Core, http: httpx.Client, sleep: Callable[[float], None]) -> None:
        self.core = core
        self.http = http
        self.sleep = sleep

    def perform(self, call: Call[T]) -> T:
        """Carry out one call."""
        exchange = self.core.exchange(call)
        try:
            send = next(exchange)
            while True:
                if send.after:
                    self.sleep(send.after)
                send = exchange.send(self._send(send))
        except StopIteration as done:
            result: T = done.value
            return result

    def within(self, seconds: float) -> "Driver":
        """Return this driver with a deadline, over the same connections."""
        return Driver(self.core.within(seconds), self.http, self.sleep)

    def walk(self, listing: Listing[T]) -> Iterator[T]:
        """Carry out the calls of a paged list as its items are asked for."""
        walk = Walk(listing)
        while (call := walk.next_call()) is not None:
            yield from walk.receive(self.perform(call))

    def _send(self, send: Send) -> Answer | Fault:
        try:
            response = self.http.send(send.request, stream=True, follow_redirects=False)
            try:
                content = bytearray()
                for chunk in response.iter_bytes():
                    if content:
                        send.check()
                    content += chunk
            finally:
                response.close()
        except httpx.RequestError as error:
            return Fault.of(error)
        return Answer(response.status_code, response.headers, bytes(content))


class AsyncDriver:
    """Drives exchanges over an asynchronous HTTP client."""

    def __init__(self, core: Core, http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.core = core
        self.http = http
        self.sleep = sleep

    async def perform(self, call: Call[T]) -> T:
        """Carry out one call."""
        exchange = self.core.exchange(call)
        try:
            send = next(exchange)
            while True:
                if send.after:
                    await self.sleep(send.after)
                send = exchange.send(await self._send(send))
        except StopIteration as done:
            result: T = done.value
            return result

    def within(self, seconds: float) -> "AsyncDriver":
        """Return this driver with a deadline, over the same connections."""
        return AsyncDriver(self.core.within(seconds), self.http, self.sleep)

    async def walk(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Carry out the calls of a paged list as its items are asked for."""
        walk = Walk(listing)
        while (call := walk.next_call()) is not None:
            for item in walk.receive(await self.perform(call)):
                yield item

    async def _send(self, send: Send) -> Answer | Fault:
        try:
            response = await self.http.send(send.request, stream=True, follow_redirects=False)
            try:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    if content:
                        send.check()
                    content += chunk
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            return Fault.of(error)
        return Answer(response.status_code, response.headers, bytes(content))


class Resource:
    """Operations of one resource on a blocking client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver


class AsyncResource:
    """Operations of one resource on an asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver


# Each operation is written once, as a function from the core and its arguments to a `Call` or a `Listing`. These four
# make a method of it, with its signature and its docstring.


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
