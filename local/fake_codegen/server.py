"""The fake over real HTTP: uvicorn, with connections that trouble can cut."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from local import loopback

from .app import create_app
from .webhooks import calling
from .wire import SocketWire, wired

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .state import FakeCodegen


class _Connection(H11Protocol):
    """Passes the wire of the connection to the app: ASGI alone cannot close a connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = wired(self.app, SocketWire(transport.abort))


class _Server(uvicorn.Server):
    """Sets `ready` when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def server(fake: FakeCodegen, *, keep: Callable[[], None] | None = None, **options: Any) -> _Server:
    """Return a server for `fake` that is not started yet.

    Args:
        fake: The fake to serve.
        keep: Called after each call that may have changed the state, before its answer is sent.
        options: uvicorn's options.
    """
    app: ASGIApp = create_app(fake)
    if keep:
        app = _keeping(app, keep)
    return _Server(uvicorn.Config(app, http=_Connection, ws="none", lifespan="off", **options))


def _keeping(app: ASGIApp, keep: Callable[[], None]) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_after_keeping(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep()
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            await app(scope, receive, send)
            return
        await app(scope, receive, send_after_keeping)
        keep()  # the connection may have been cut without an answer

    return call


@contextmanager
def serve(fake: FakeCodegen, *, port: int = 0, keep: Callable[[], None] | None = None) -> Iterator[str]:
    """Serve `fake` on loopback from a thread, and yield its base URL (without `/v1`).

    Args:
        fake: The fake to serve.
        port: The port; 0 is any free one.
        keep: Called after each call that may have changed the state, before its answer is sent.

    Raises:
        PortTakenError: another program listens on the port.
        RuntimeError: the server did not start within 10 s.
    """
    with loopback.listen(port) as listening:
        running = server(
            fake, keep=keep, log_config=None, log_level="error", access_log=False, timeout_graceful_shutdown=1
        )
        thread = threading.Thread(target=running.run, args=([listening],), name="fake-codegen", daemon=True)
        thread.start()
        try:
            if not running.ready.wait(timeout=10):
                raise RuntimeError("The fake Codegen did not start within 10 s.")
            with calling(fake):
                yield loopback.url(listening)
        finally:
            running.should_exit = True
            thread.join(timeout=10)
