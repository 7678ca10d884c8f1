"""API Gateway's WebSocket API on loopback: connections, their events, and the management API to post to them.

Routes are the template's. API Gateway's own rules hold: limits for frames and messages, text only, an end to
connections that are idle or too old, 410 for a connection that is gone, and 429 for one whose client does not read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from local.functions.client import FunctionError, InvocationError
from local.proxy import multi_values, request_time

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request as Handshake
    from websockets.http11 import Response as HandshakeAnswer

    from local.functions.client import FunctionsClient
    from local.template import Function, WebSocketApi

_log = logging.getLogger(__name__)

# API Gateway's limits: bytes of a message and of a frame, and seconds.
MESSAGE_LIMIT = 128 * 1024
FRAME_LIMIT = 32 * 1024
IDLE_LIMIT = 600.0
AGE_LIMIT = 7200.0
INTEGRATION_TIMEOUT = 29.0
# Messages of one client that are handled at the same time.
_CONCURRENT_MESSAGES = 8

# Bytes that may wait for a client before the management API answers 429.
UNREAD_LIMIT = 1024 * 1024

_CLOSE_ABNORMAL = 1006
_CLOSE_GOING_AWAY = 1001
_CLOSE_UNSUPPORTED = 1003


@dataclass(eq=False)
class _Connection:
    """One client. Times are in seconds since the epoch."""

    id: str
    socket: ServerConnection
    headers: list[tuple[str, str]]
    connected_at: float
    active_at: float
    messages: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def source_ip(self) -> str:
        return str(self.socket.remote_address[0])

    def header(self, name: str) -> str | None:
        """Return the last value of a header of the handshake."""
        return next((value for other, value in reversed(self.headers) if other.lower() == name), None)


class WebSocketGateway:
    """One WebSocket API. Create it on the event loop that it is used on.

    Args:
        api: The API as the template describes it.
        functions: Invokes the functions.
        idle_limit: Seconds without a message in either direction after which a connection is closed.
        age_limit: Seconds after which a connection is closed in any case.
        integration_timeout: Seconds that a function may take.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        management: The ASGI app of the management API (`/@connections/{id}`).
    """

    def __init__(
        self,
        api: WebSocketApi,
        functions: FunctionsClient,
        *,
        idle_limit: float = IDLE_LIMIT,
        age_limit: float = AGE_LIMIT,
        integration_timeout: float = INTEGRATION_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._functions = functions
        self._idle_limit = idle_limit
        self._age_limit = age_limit
        self._integration_timeout = integration_timeout
        self._clock = clock
        self._entering: dict[ServerConnection, _Connection] = {}
        self._open: dict[str, _Connection] = {}
        self.management = Starlette(
            routes=[
                Route("/@connections/{id}", self._post, methods=["POST"]),
                Route("/@connections/{id}", self._get, methods=["GET"]),
                Route("/@connections/{id}", self._delete, methods=["DELETE"]),
            ]
        )

    @asynccontextmanager
    async def serve(self, listening: socket.socket) -> AsyncIterator[None]:
        """Accept connections on a listening socket while the context lasts."""
        server = await serve(
            self._handle,
            sock=listening,
            process_request=self._admit,
            max_size=(MESSAGE_LIMIT, FRAME_LIMIT),
            write_limit=4 * UNREAD_LIMIT,
            compression=None,
            ping_interval=None,
            server_header=None,
            close_timeout=1,
            logger=_QUIET,
        )
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    # --- a connection ---

    async def _admit(self, socket: ServerConnection, request: Handshake) -> HandshakeAnswer | None:
        """Call the function of $connect. Return None to accept the client, else the answer that refuses it."""
        if urlsplit(request.path).path != "/":
            return socket.respond(HTTPStatus.FORBIDDEN, "")
        now = self._clock()
        connection = _Connection(_new_id(), socket, list(request.headers.raw_items()), now, now)
        if connect := self._api.routes.get("$connect"):
            event = {
                **_headers(connection.headers),
                **_query(request.path),
                "requestContext": self._context(connection, "$connect", "CONNECT"),
                "isBase64Encoded": False,
            }
            status = await self._status(connect, event)
            if not 200 <= status < 300:
                return socket.respond(HTTPStatus(status), "")
        self._entering[socket] = connection
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        """Handle one client's messages until the connection ends."""
        connection = self._entering.pop(socket)
        self._open[connection.id] = connection
        ending = asyncio.create_task(self._end_in_time(connection))
        try:
            await self._receive(connection)
        finally:
            ending.cancel()
            del self._open[connection.id]
            await asyncio.gather(*connection.messages, return_exceptions=True)
            await self._disconnected(connection)

    async def _receive(self, connection: _Connection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await connection.socket.recv()
                connection.active_at = self._clock()
                if isinstance(message, bytes):
                    await connection.socket.close(_CLOSE_UNSUPPORTED)
                    return
                task = asyncio.create_task(self._message(connection, message))
                connection.messages.add(task)
                task.add_done_callback(connection.messages.discard)
                if len(connection.messages) >= _CONCURRENT_MESSAGES:
                    await asyncio.wait(connection.messages, return_when=asyncio.FIRST_COMPLETED)

    async def _message(self, connection: _Connection, message: str) -> None:
        """Call the function of a message's route. Its answer is not sent: the routes have no route response."""
        route = self._api.route(message)
        context = self._context(connection, route, "MESSAGE") | {"messageId": _new_id()}
        if function := self._api.routes.get(route):
            event = {"requestContext": context, "body": message, "isBase64Encoded": False}
            failed = await self._status(function, event) >= HTTPStatus.INTERNAL_SERVER_ERROR
            reply = "Internal server error" if failed else None
        else:
            reply = "Forbidden"
        if reply:
            body = {"message": reply, "connectionId": connection.id, "requestId": context["requestId"]}
            with suppress(ConnectionClosed):
                await connection.socket.send(json.dumps(body))

    async def _end_in_time(self, connection: _Connection) -> None:
        """Close the connection when it is idle or too old."""
        while True:
            ends_at = min(connection.active_at + self._idle_limit, connection.connected_at + self._age_limit)
            left = ends_at - self._clock()
            if left <= 0:
                await connection.socket.close(_CLOSE_GOING_AWAY, "Going away")
                return
            await asyncio.sleep(left)

    async def _disconnected(self, connection: _Connection) -> None:
        """Call the function of $disconnect."""
        if function := self._api.routes.get("$disconnect"):
            closed = connection.socket.protocol.close_rcvd or connection.socket.protocol.close_sent
            context = self._context(connection, "$disconnect", "DISCONNECT") | {
                "disconnectStatusCode": closed.code if closed else _CLOSE_ABNORMAL,
                "disconnectReason": closed.reason if closed else "",
            }
            host = [(name, value) for name, value in connection.headers if name.lower() == "host"]
            await self._status(function, {**_headers(host), "requestContext": context, "isBase64Encoded": False})

    async def _status(self, function: Function, event: dict[str, Any]) -> int:
        """Call a function and return the status of its answer, 502 if it fails."""
        try:
            async with asyncio.timeout(self._integration_timeout):
                answer = json.loads(await self._functions.invoke(function.name, event))
        except (TimeoutError, InvocationError, FunctionError, ValueError) as error:
            _log.warning("%s: %r", function.name, error)
            return HTTPStatus.BAD_GATEWAY
        status = answer.get("statusCode") if isinstance(answer, dict) else None
        if not isinstance(status, int):
            _log.warning("%s: malformed answer: %r", function.name, answer)
            return HTTPStatus.BAD_GATEWAY
        return status

    def _context(self, connection: _Connection, route: str, event_type: str) -> dict[str, Any]:
        request_id, now = str(uuid.uuid4()), self._clock()
        return {
            "apiId": self._api.id,
            "connectedAt": _ms(connection.connected_at),
            "connectionId": connection.id,
            "domainName": connection.header("host") or "",
            "eventType": event_type,
            "extendedRequestId": request_id,
            "identity": {"sourceIp": connection.source_ip, "userAgent": connection.header("user-agent")},
            "messageDirection": "IN",
            "requestId": request_id,
            "requestTime": request_time(now),
            "requestTimeEpoch": _ms(now),
            "routeKey": route,
            "stage": self._api.stage,
        }

    # --- the management API ---

    async def _post(self, request: Request) -> Response:
        connection = self._open.get(request.path_params["id"])
        frame = await request.body()
        if connection is None:
            return _refusal(HTTPStatus.GONE, "GoneException")
        if len(frame) > MESSAGE_LIMIT:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "PayloadTooLargeException")
        if connection.socket.transport.get_write_buffer_size() > UNREAD_LIMIT:
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, "LimitExceededException")
        try:
            await connection.socket.send(frame.decode())
        except ConnectionClosed:
            return _refusal(HTTPStatus.GONE, "GoneException")
        connection.active_at = self._clock()
        return Response()

    async def _get(self, request: Request) -> Response:
        connection = self._open.get(request.path_params["id"])
        if connection is None:
            return _refusal(HTTPStatus.GONE, "GoneException")
        return JSONResponse(
            {
                "connectedAt": _iso(connection.connected_at),
                "identity": {"sourceIp": connection.source_ip, "userAgent": connection.header("user-agent")},
                "lastActiveAt": _iso(connection.active_at),
            }
        )

    async def _delete(self, request: Request) -> Response:
        connection = self._open.get(request.path_params["id"])
        if connection is None:
            return _refusal(HTTPStatus.GONE, "GoneException")
        await connection.socket.close()
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _refusal(status: int, error: str) -> Response:
    return JSONResponse({"message": None}, status, {"x-amzn-ErrorType": error})


def _new_id() -> str:
    """Return an id in the form of API Gateway's: base64 with its padding."""
    return secrets.token_urlsafe(10)[:15] + "="


def _headers(headers: list[tuple[str, str]]) -> dict[str, Any]:
    return {"headers": dict(headers), "multiValueHeaders": multi_values(headers)}


def _query(path: str) -> dict[str, Any]:
    pairs = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    if not pairs:
        return {}
    return {"queryStringParameters": dict(pairs), "multiValueQueryStringParameters": multi_values(pairs)}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# A client that disconnects without a close frame, or sends too much, is no error of this server.
_QUIET = logging.getLogger(f"{__name__}.protocol")
_QUIET.setLevel(logging.CRITICAL)
