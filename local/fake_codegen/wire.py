"""What can happen to a connection: it waits, or it is cut.

The app meets the two through a `Wire` in its ASGI scope, put there by whatever carries the call: the server puts one
that closes the real socket, the in-process transport one that raises what a client would have seen.
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
    """The connection a request came by."""

    async def wait(self, request: Request, seconds: float) -> None:
        """Keep the caller waiting for `seconds`, or until it hangs up."""
        ...

    async def cut(self, request: Request) -> Response:
        """Break the connection without an answer; the response returned sends nothing."""
        ...


class SocketWire:
    """A real connection, closed by `abort`."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self._abort = abort

    async def wait(self, request: Request, seconds: float) -> None:
        """Wait in real time: the caller's own timeout is real as well."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _hung_up(request)

    async def cut(self, request: Request) -> Response:
        """Close the socket and wait until the server has noticed, or it would answer 500 for us."""
        self._abort()
        await _hung_up(request)
        return _Silence()


class InProcessWire:
    """No connection at all: time does not pass and faults are the exceptions an httpx client would have raised."""

    def __init__(self, read_timeout: float | None = None) -> None:
        self._read_timeout = read_timeout

    async def wait(self, request: Request, seconds: float) -> None:  # noqa: ARG002
        """Raise `httpx.ReadTimeout` if the caller would not have waited for `seconds`."""
        if self._read_timeout is not None and seconds >= self._read_timeout:
            raise httpx.ReadTimeout("timed out")

    async def cut(self, request: Request) -> Response:  # noqa: ARG002
        """Raise `httpx.RemoteProtocolError`."""
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def wired(app: ASGIApp, wire: Wire) -> ASGIApp:
    """Let `app` find `wire` in the scope of each request."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _KEY: wire}, receive, send)

    return call


def wire_of(request: Request) -> Wire:
    """Return the wire a request came by."""
    wire: Wire = request.scope.get(_KEY) or InProcessWire()
    return wire


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Silence(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""
