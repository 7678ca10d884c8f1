"""The two drivers of the core: blocking and asynchronous. They only send, sleep and iterate."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx

from ._core import Core
from ._errors import CodegenAPIError
from ._pagination import Listing, Walk
from ._wire import Answer, Call, Emit, Fault, Flow, Send, Step, Stream, Wait

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

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow."""
        try:
            step = next(flow)
            while True:
                try:
                    result = self._step(step)
                except CodegenAPIError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as done:
            outcome: T = done.value
            return outcome

    def follow(self, stream: Stream) -> Iterator[Any]:
        """Carry out a stream as its items are asked for."""
        try:
            step = next(stream)
            while True:
                if isinstance(step, Emit):
                    yield step.item
                    step = next(stream)
                    continue
                try:
                    result = self._step(step)
                except CodegenAPIError as error:
                    step = stream.throw(error)
                else:
                    step = stream.send(result)
        except StopIteration:
            return
        finally:
            stream.close()

    def _step(self, step: Step) -> Any:
        if isinstance(step, Wait):
            return self.sleep(self.core.patience(step.seconds))
        return self.perform(step)

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

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow."""
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._step(step)
                except CodegenAPIError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as done:
            outcome: T = done.value
            return outcome

    async def follow(self, stream: Stream) -> AsyncIterator[Any]:
        """Carry out a stream as its items are asked for."""
        try:
            step = next(stream)
            while True:
                if isinstance(step, Emit):
                    yield step.item
                    step = next(stream)
                    continue
                try:
                    result = await self._step(step)
                except CodegenAPIError as error:
                    step = stream.throw(error)
                else:
                    step = stream.send(result)
        except StopIteration:
            return
        finally:
            stream.close()

    async def _step(self, step: Step) -> Any:
        if isinstance(step, Wait):
            return await self.sleep(self.core.patience(step.seconds))
        return await self.perform(step)

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
