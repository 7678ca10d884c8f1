"""The fake without a socket: a transport for a synchronous httpx client.

An asynchronous client takes `httpx.ASGITransport(create_app(fake))` as it is.
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
    """Answer each request in the caller's own thread; usable wherever no event loop is running.

    Waiting takes no time here: a call that would have been answered after the client's read timeout raises
    `httpx.ReadTimeout` at once. A connection cut raises `httpx.RemoteProtocolError`.
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
    """An event loop for each thread: to make one takes as long as to answer a request."""

    def __init__(self) -> None:
        self.mine = asyncio.new_event_loop()

    def __del__(self) -> None:
        self.mine.close()
