"""The connection of a call, which trouble can delay or cut.

The app finds a `Wire` in its ASGI scope. The server puts one there that closes the real socket, the in-process
transport one that raises the exception that a client would see.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

import httpx
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

_KEY = "fake_codegen.wire"


class Wire(Protocol):
    """The connection of a request."""

    async def wait(self, request: Request, seconds: float) -> None:
        """Make the caller wait for `seconds`, or until it disconnects."""
        ...

    async def cut(self, request: Request) -> Response:
        """Close the connection without an answer. The response returned sends nothing."""
        ...


class SocketWire:
    """A real connection, closed by `abort`."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self._abort = abort

    async def wait(self, request: Request, seconds: float) -> None:
        """Wait in real time, as the caller's own timeout is in real time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _disconnected(request)

    async def cut(self, request: Request) -> Response:
        """Close the socket and wait until the server has noticed. Otherwise the server would answer 500."""
        self._abort()
        await _disconnected(request)
        return _Silence()


class InProcessWire:
    """No connection: time does not pass, and trouble raises the exceptions that an httpx client would raise."""

    def __init__(self, read_timeout: float | None = None) -> None:
        self._read_timeout = read_timeout

    async def wait(self, request: Request, seconds: float) -> None:  # noqa: ARG002
        """Raise `httpx.ReadTimeout` if the caller's read timeout is not longer than `seconds`."""
        if self._read_timeout is not None and seconds >= self._read_timeout:
            raise httpx.ReadTimeout("timed out")

    async def cut(self, request: Request) -> Response:  # noqa: ARG002
        """Raise `httpx.RemoteProtocolError`."""
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def wired(app: ASGIApp, wire: Wire) -> ASGIApp:
    """Return `app` with `wire` in the scope of each request."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _KEY: wire}, receive, send)

    return call


def wire_of(request: Request) -> Wire:
    """Return the wire of a request."""
    wire: Wire = request.scope.get(_KEY) or InProcessWire()
    return wire


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Silence(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""
