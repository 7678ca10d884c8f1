"""The two drivers of the core: blocking and asynchronous. They send, sleep and iterate, and decide nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx

from ._core import Core
from ._errors import CodegenAPIError, ConfigurationError
from ._pagination import Listing, Walk
from ._protocol import Call, Emit, Failure, Flow, Response, Send, Step, Stream, Wait

if TYPE_CHECKING:
    from ._loops import LoopClients

S = TypeVar("S")
T = TypeVar("T")


class _Steps(Generic[S, T]):
    """Runs a generator of steps. The driver iterates over the steps, and sets `result` or `error` for each.

    Attributes:
        result: Sent to the generator as the result of the current step.
        error: Thrown into the generator instead, if set.
        returned: What the generator returned, after the iteration.
    """

    returned: T

    def __init__(self, generator: Generator[S, Any, T]) -> None:
        self._generator = generator
        self.result: Any = None
        self.error: CodegenAPIError | None = None

    def __iter__(self) -> Iterator[S]:
        try:
            step = next(self._generator)
            while True:
                self.result = self.error = None
                yield step
                step = self._generator.send(self.result) if self.error is None else self._generator.throw(self.error)
        except StopIteration as end:
            self.returned = end.value
        finally:
            self._generator.close()
            self.error = None  # its traceback refers to this object


def _misuse(error: RuntimeError, *, closed: bool) -> CodegenAPIError | RuntimeError:
    """Return what an error of the HTTP library about its own use means; the error itself if it means nothing known."""
    if closed:
        return ConfigurationError("the client is closed")
    if "loop" in str(error):
        return ConfigurationError(
            "the http_client was used in another event loop: create one in each loop, or let this client create its own"
        )
    return error


class Driver:
    """Drives exchanges over a blocking HTTP client."""

    def __init__(self, core: Core, http: httpx.Client, sleep: Callable[[float], None]) -> None:
        self.core = core
        self.http = http
        self.sleep = sleep

    def with_deadline(self, seconds: float) -> "Driver":
        """Return a driver with a deadline that uses the same connections."""
        return Driver(self.core.with_deadline(seconds), self.http, self.sleep)

    def with_more(self, query: Mapping[str, Any], body: Mapping[str, Any]) -> "Driver":
        """Return a driver with further query parameters and fields of JSON bodies that uses the same connections."""
        return Driver(self.core.with_more(query, body), self.http, self.sleep)

    def perform(self, call: Call[T]) -> T:
        """Carry out one call."""
        exchange = _Steps(self.core.exchange(call))
        for send in exchange:
            if send.after:
                self.sleep(send.after)
            exchange.result = self._send(send)
        return exchange.returned

    def run(self, operation: Call[T] | Flow[T]) -> T:
        """Carry out a call or a flow."""
        if isinstance(operation, Call):
            return self.perform(operation)
        flow = _Steps(operation)
        for step in flow:
            self._take(step, flow)
        return flow.returned

    def follow(self, stream: Stream) -> Iterator[Any]:
        """Carry out a stream while the caller iterates over its items."""
        steps = _Steps(stream)
        for step in steps:
            if isinstance(step, Emit):
                yield step.item
            else:
                self._take(step, steps)

    def walk(self, listing: Listing[T]) -> Iterator[T]:
        """Request the pages of a list while the caller iterates over its items."""
        walk = Walk(listing)
        while (call := walk.next_call()) is not None:
            yield from walk.receive(self.perform(call))

    def _take(self, step: Step, flow: _Steps[Any, Any]) -> None:
        try:
            if isinstance(step, Wait):
                self.sleep(self.core.cut_to_deadline(step.seconds))
            else:
                flow.result = self.perform(step)
        except CodegenAPIError as error:
            flow.error = error

    def _send(self, send: Send) -> Response | Failure:
        try:
            response = self.http.send(send.request, stream=True, follow_redirects=False)
            try:
                content = bytearray()
                for chunk in response.iter_bytes():
                    if content:
                        send.check()
                    content += chunk
                    if send.max_bytes is not None and len(content) > send.max_bytes:
                        break
            finally:
                response.close()
        except httpx.RequestError as error:
            return Failure.of(error)
        except RuntimeError as error:
            raise _misuse(error, closed=self.http.is_closed) from None
        return Response(response.status_code, response.headers, bytes(content))


class AsyncDriver:
    """Drives exchanges over an asynchronous HTTP client."""

    def __init__(
        self, core: Core, http: "httpx.AsyncClient | LoopClients", sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.core = core
        self.http = http
        self.sleep = sleep

    def with_deadline(self, seconds: float) -> "AsyncDriver":
        """Return a driver with a deadline that uses the same connections."""
        return AsyncDriver(self.core.with_deadline(seconds), self.http, self.sleep)

    def with_more(self, query: Mapping[str, Any], body: Mapping[str, Any]) -> "AsyncDriver":
        """Return a driver with further query parameters and fields of JSON bodies that uses the same connections."""
        return AsyncDriver(self.core.with_more(query, body), self.http, self.sleep)

    async def perform(self, call: Call[T]) -> T:
        """Carry out one call."""
        exchange = _Steps(self.core.exchange(call))
        for send in exchange:
            if send.after:
                await self.sleep(send.after)
            exchange.result = await self._send(send)
        return exchange.returned

    async def run(self, operation: Call[T] | Flow[T]) -> T:
        """Carry out a call or a flow."""
        if isinstance(operation, Call):
            return await self.perform(operation)
        flow = _Steps(operation)
        for step in flow:
            await self._take(step, flow)
        return flow.returned

    async def follow(self, stream: Stream) -> AsyncIterator[Any]:
        """Carry out a stream while the caller iterates over its items."""
        steps = _Steps(stream)
        for step in steps:
            if isinstance(step, Emit):
                yield step.item
            else:
                await self._take(step, steps)

    async def walk(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Request the pages of a list while the caller iterates over its items."""
        walk = Walk(listing)
        while (call := walk.next_call()) is not None:
            for item in walk.receive(await self.perform(call)):
                yield item

    async def _take(self, step: Step, flow: _Steps[Any, Any]) -> None:
        try:
            if isinstance(step, Wait):
                await self.sleep(self.core.cut_to_deadline(step.seconds))
            else:
                flow.result = await self.perform(step)
        except CodegenAPIError as error:
            flow.error = error

    async def _send(self, send: Send) -> Response | Failure:
        try:
            response = await self.http.send(send.request, stream=True, follow_redirects=False)
            try:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    if content:
                        send.check()
                    content += chunk
                    if send.max_bytes is not None and len(content) > send.max_bytes:
                        break
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            return Failure.of(error)
        except RuntimeError as error:
            raise _misuse(error, closed=self.http.is_closed) from None
        return Response(response.status_code, response.headers, bytes(content))
