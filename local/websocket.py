"""API Gateway's WebSocket API on loopback: connections, their events, and the management API to post to them.

Routes are the template's, functions are reached through the Lambda Invoke API. What API Gateway does itself is done as
it does it: sizes of frames and messages, text only, the end of what is idle or too old, 410 for a connection that is
gone, 429 for one whose client does not read.
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

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request as Handshake
    from websockets.http11 import Response as HandshakeAnswer

    from local.template import Function, WebSocketApi

_log = logging.getLogger(__name__)

# API Gateway's own limits: bytes of a message and of a frame, seconds, messages of one client that are under way.
MESSAGE_LIMIT = 128 * 1024
FRAME_LIMIT = 32 * 1024
IDLE = 600.0
LONGEST = 7200.0
INTEGRATION_TIMEOUT = 29.0
_UNDER_WAY = 8

# Bytes that wait for a client before it counts as not reading.
UNREAD_LIMIT = 1024 * 1024

_CLOSE_ABNORMAL = 1006
_CLOSE_GOING_AWAY = 1001
_CLOSE_UNSUPPORTED = 1003


@dataclass(eq=False)
class _Connection:
    """One client."""

    id: str
    socket: ServerConnection
    headers: list[tuple[str, str]]
    connected_at: float
    active_at: float
    messages: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def source_ip(self) -> str:
        return str(self.socket.remote_address[0])


class WebSocketGateway:
    """One WebSocket API. Made on the event loop that it then lives on.

    Args:
        api: What it consists of.
        functions: A client for the Lambda Invoke API, its base URL set and without a timeout.
        idle: Seconds without a message in either direction, after which a connection is closed.
        longest: Seconds that a connection lasts at the most.
        clock: Tells the time, in seconds since the epoch.
    """

    def __init__(
        self,
        api: WebSocketApi,
        functions: httpx.AsyncClient,
        *,
        idle: float = IDLE,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._functions = functions
        self._idle = idle
        self._longest = longest
        self._clock = clock
        self._entering: dict[ServerConnection, str] = {}
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
        """Let clients connect on a listening socket."""
        server = await serve(
            self._converse,
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
        """Ask $connect; None lets the client in."""
        if urlsplit(request.path).path != "/":
            return socket.respond(HTTPStatus.FORBIDDEN, "")
        # As API Gateway's: base64, its padding included.
        connection_id = secrets.token_urlsafe(10)[:15] + "="
        headers = list(request.headers.raw_items())
        if connect := self._api.routes.get("$connect"):
            event = {
                **_headers(headers),
                **_query(request.path),
                "requestContext": self._context(connection_id, headers, "$connect", "CONNECT", _address(socket)),
                "isBase64Encoded": False,
            }
            status = await self._status(connect, event)
            if not 200 <= status < 300:
                return socket.respond(HTTPStatus(status), "")
        self._entering[socket] = connection_id
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        """Hand on one client's messages until the connection ends."""
        now = self._clock()
        request = socket.request
        assert request
        connection = _Connection(self._entering.pop(socket), socket, list(request.headers.raw_items()), now, now)
        self._open[connection.id] = connection
        watching = asyncio.create_task(self._end_in_time(connection))
        try:
            await self._receive(connection)
        finally:
            watching.cancel()
            del self._open[connection.id]
            await asyncio.gather(*connection.messages, return_exceptions=True)
            await self._report_end(connection)

    async def _receive(self, connection: _Connection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = await connection.socket.recv()
                connection.active_at = self._clock()
                if isinstance(message, bytes):
                    await connection.socket.close(_CLOSE_UNSUPPORTED)
                    return
                task = asyncio.create_task(self._hand_on(connection, message))
                connection.messages.add(task)
                task.add_done_callback(connection.messages.discard)
                if len(connection.messages) >= _UNDER_WAY:
                    await asyncio.wait(connection.messages, return_when=asyncio.FIRST_COMPLETED)

    async def _hand_on(self, connection: _Connection, message: str) -> None:
        """Call the function of a message's route. What it answers is for nobody: the routes have no response."""
        route = self._api.route(message)
        context = self._context(connection.id, connection.headers, route, "MESSAGE", connection.source_ip)
        context |= {"messageId": secrets.token_urlsafe(10)[:15] + "=", "connectedAt": _ms(connection.connected_at)}
        reply = None
        if function := self._api.routes.get(route):
            status = await self._status(
                function, {"requestContext": context, "body": message, "isBase64Encoded": False}
            )
            reply = "Internal server error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
        else:
            reply = "Forbidden"
        if reply:
            told = {"message": reply, "connectionId": connection.id, "requestId": context["requestId"]}
            with suppress(ConnectionClosed):
                await connection.socket.send(json.dumps(told))

    async def _end_in_time(self, connection: _Connection) -> None:
        """Close a connection that is idle or too old."""
        while True:
            now = self._clock()
            left = min(connection.active_at + self._idle, connection.connected_at + self._longest) - now
            if left <= 0:
                await connection.socket.close(_CLOSE_GOING_AWAY, "Going away")
                return
            await asyncio.sleep(left)

    async def _report_end(self, connection: _Connection) -> None:
        if function := self._api.routes.get("$disconnect"):
            context = self._context(
                connection.id, connection.headers, "$disconnect", "DISCONNECT", connection.source_ip
            )
            closed = connection.socket.protocol.close_rcvd or connection.socket.protocol.close_sent
            context |= {
                "connectedAt": _ms(connection.connected_at),
                "disconnectStatusCode": closed.code if closed else _CLOSE_ABNORMAL,
                "disconnectReason": closed.reason if closed else "",
            }
            host = [(name, value) for name, value in connection.headers if name.lower() == "host"]
            await self._status(function, {**_headers(host), "requestContext": context, "isBase64Encoded": False})

    async def _status(self, function: Function, event: dict[str, Any]) -> int:
        """Call a function; return the status that it answers, or that of its failure."""
        try:
            async with asyncio.timeout(INTEGRATION_TIMEOUT):
                response = await self._functions.post(
                    f"/2015-03-31/functions/{function.name}/invocations", content=json.dumps(event)
                )
            answer = response.json()
        except (TimeoutError, httpx.TransportError, ValueError) as error:
            _log.warning("%s: %r", function.name, error)
            return HTTPStatus.BAD_GATEWAY
        if response.status_code != HTTPStatus.OK or "X-Amz-Function-Error" in response.headers:
            _log.warning("%s: %s", function.name, response.text)
            return HTTPStatus.BAD_GATEWAY
        status = answer.get("statusCode") if isinstance(answer, dict) else None
        if not isinstance(status, int):
            _log.warning("%s: malformed answer: %s", function.name, response.text)
            return HTTPStatus.BAD_GATEWAY
        return status

    def _context(
        self, connection_id: str, headers: list[tuple[str, str]], route: str, event_type: str, source_ip: str
    ) -> dict[str, Any]:
        sent = {name.lower(): value for name, value in headers}
        request_id, now = str(uuid.uuid4()), self._clock()
        return {
            "apiId": self._api.id,
            "connectedAt": _ms(now),
            "connectionId": connection_id,
            "domainName": sent.get("host", ""),
            "eventType": event_type,
            "extendedRequestId": request_id,
            "identity": {"sourceIp": source_ip, "userAgent": sent.get("user-agent")},
            "messageDirection": "IN",
            "requestId": request_id,
            "requestTime": f"{datetime.fromtimestamp(now, UTC):%d/%b/%Y:%H:%M:%S +0000}",
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
        agent = {name.lower(): value for name, value in connection.headers}.get("user-agent")
        return JSONResponse(
            {
                "connectedAt": _time(connection.connected_at),
                "identity": {"sourceIp": connection.source_ip, "userAgent": agent},
                "lastActiveAt": _time(connection.active_at),
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


def _headers(headers: list[tuple[str, str]]) -> dict[str, Any]:
    several: dict[str, list[str]] = {}
    for name, value in headers:
        several.setdefault(name, []).append(value)
    return {"headers": dict(headers), "multiValueHeaders": several}


def _query(path: str) -> dict[str, Any]:
    pairs = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    if not pairs:
        return {}
    several: dict[str, list[str]] = {}
    for name, value in pairs:
        several.setdefault(name, []).append(value)
    return {"queryStringParameters": dict(pairs), "multiValueQueryStringParameters": several}


def _address(socket: ServerConnection) -> str:
    return str(socket.remote_address[0])


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# A client that leaves without a word, or sends too much, is no fault of this server.
_QUIET = logging.getLogger(f"{__name__}.protocol")
_QUIET.setLevel(logging.CRITICAL)
