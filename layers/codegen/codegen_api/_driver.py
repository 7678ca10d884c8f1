"""The two drivers of the core: blocking and asynchronous. They send, sleep and iterate, and decide nothing."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx

from ._core import Core
from ._errors import CodegenAPIError, ConfigurationError
from ._protocol import Call, Emit, Failure, Flow, Read, Response, Send, Step, StreamCall, StreamFlow, Wait

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


class _Parts:
    """The parts of an open response, as they arrive."""

    def __init__(self, response: httpx.Response) -> None:
        self._parts = response.iter_bytes()
        self.close = response.close

    def __next__(self) -> bytes:
        return next(self._parts)


class _AsyncParts:
    """The parts of an open response, as they arrive."""

    def __init__(self, response: httpx.Response) -> None:
        self._parts = response.aiter_bytes()
        self.aclose = response.aclose

    async def __anext__(self) -> bytes:
        return await anext(self._parts)


class Driver:
    """Drives exchanges over a blocking HTTP client."""

    def __init__(self, core: Core, http: httpx.Client, sleep: Callable[[float], None]) -> None:
        self.core = core
        self.http = http
        self.sleep = sleep

    def with_core(self, core: Core) -> "Driver":
        """Return a driver with other settings that uses the same connections."""
        return Driver(core, self.http, self.sleep)

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

    def follow(self, flow: StreamFlow) -> Generator[Any, None, None]:
        """Carry out a stream while the caller iterates over its items. Close its connection at the end."""
        steps, opened = _Steps(flow), None
        try:
            for step in steps:
                if isinstance(step, Emit):
                    yield step.item
                    continue
                if isinstance(step, StreamCall) and opened:
                    opened.close()
                self._take(step, steps)
                if isinstance(step, StreamCall):
                    opened = steps.result and steps.result.parts
        finally:
            if opened:
                opened.close()

    def _take(self, step: Step, flow: _Steps[Any, Any]) -> None:
        try:
            if isinstance(step, Wait):
                self.sleep(self.core.cut_to_deadline(step.seconds))
            elif isinstance(step, Read):
                flow.result = self._read(step.response)
            else:
                flow.result = self.perform(step)
        except CodegenAPIError as error:
            flow.error = error

    def _read(self, response: Response) -> bytes | None:
        try:
            self.core.check_deadline()
            return next(response.parts, None)
        except httpx.RequestError as error:
            raise self.core.stream_error(Failure.of(error)) from None

    def _send(self, send: Send) -> Response | Failure:
        try:
            response = self.http.send(send.request, stream=True, follow_redirects=False)
            if send.stream and response.status_code == httpx.codes.OK:
                return Response(response.status_code, response.headers, b"", _Parts(response))
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

    def with_core(self, core: Core) -> "AsyncDriver":
        """Return a driver with other settings that uses the same connections."""
        return AsyncDriver(core, self.http, self.sleep)

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

    async def follow(self, flow: StreamFlow) -> AsyncGenerator[Any, None]:
        """Carry out a stream while the caller iterates over its items. Close its connection at the end."""
        steps, opened = _Steps(flow), None
        try:
            for step in steps:
                if isinstance(step, Emit):
                    yield step.item
                    continue
                if isinstance(step, StreamCall) and opened:
                    await opened.aclose()
                await self._take(step, steps)
                if isinstance(step, StreamCall):
                    opened = steps.result and steps.result.parts
        finally:
            if opened:
                await opened.aclose()

    async def _take(self, step: Step, flow: _Steps[Any, Any]) -> None:
        try:
            if isinstance(step, Wait):
                await self.sleep(self.core.cut_to_deadline(step.seconds))
            elif isinstance(step, Read):
                flow.result = await self._read(step.response)
            else:
                flow.result = await self.perform(step)
        except CodegenAPIError as error:
            flow.error = error

    async def _read(self, response: Response) -> bytes | None:
        try:
            self.core.check_deadline()
            return await anext(response.parts, None)
        except httpx.RequestError as error:
            raise self.core.stream_error(Failure.of(error)) from None

    async def _send(self, send: Send) -> Response | Failure:
        try:
            response = await self.http.send(send.request, stream=True, follow_redirects=False)
            if send.stream and response.status_code == httpx.codes.OK:
                return Response(response.status_code, response.headers, b"", _AsyncParts(response))
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
