"""One readable line for each request, for `--verbose`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestLog:
    """An ASGI app that writes a line when another app has answered a request: `12:30:05 GET /health 200 3 ms`.

    The line has no query, which may hold a ticket. A failure of the server also has the request's id, by which the
    functions' logs can be searched.

    Args:
        app: The app that answers.
        write: Writes one line.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, app: ASGIApp, write: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._write = write
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and write its line at the end of the answer."""
        started, status, request_id = self._clock(), 0, ""

        async def noting(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = dict(message["headers"]).get(b"x-amzn-requestid", b"").decode("latin-1")
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._write(self._line(scope, started, status, request_id if status >= 500 else ""))

    def _line(self, scope: Scope, started: float, status: int, request_id: str) -> str:
        path = repr(scope.get("raw_path", scope["path"].encode()))[2:-1]
        moment = time.strftime("%H:%M:%S", time.localtime(started))
        answer = f"{status or 'gone'} {(self._clock() - started) * 1000:.0f} ms"
        return " ".join(filter(None, (moment, scope["method"], path, answer, request_id)))
