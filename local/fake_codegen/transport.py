"""The fake without a socket: a transport for a synchronous httpx client.

An asynchronous client can use `httpx.ASGITransport(create_app(fake))`.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import httpx

from .app import create_app
from .wire import InProcessWire, wired

if TYPE_CHECKING:
    from .state import FakeCodegen


class FakeTransport(httpx.BaseTransport):
    """Answers each request in the caller's thread, which must not run an event loop.

    Waiting takes no time: a call whose answer would come after the client's read timeout raises `httpx.ReadTimeout` at
    once. A connection that is cut raises `httpx.RemoteProtocolError`.
    """

    def __init__(self, fake: FakeCodegen) -> None:
        self._app = create_app(fake)
        self._loops = _Loops()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request through the app."""
        wire = InProcessWire(request.extensions.get("timeout", {}).get("read"))
        return self._loops.mine.run_until_complete(self._send(httpx.ASGITransport(wired(self._app, wire)), request))

    async def _send(self, transport: httpx.ASGITransport, request: httpx.Request) -> httpx.Response:
        response = await transport.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


class _Loops(threading.local):
    """An event loop for each thread: creating one takes as long as answering a request."""

    def __init__(self) -> None:
        self.mine = asyncio.new_event_loop()

    def __del__(self) -> None:
        self.mine.close()
