"""API Gateway on loopback: an ASGI app that asks the authorizer, calls the function, and answers what it answers.

Routes, authorizers, CORS and gateway responses are the template's. Functions are reached through the Lambda Invoke API,
as the service reaches them. There is no stage in the path, as behind a custom domain.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx
from botocore.eventstream import EventStreamBuffer
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from local.authorization import Authorization
from local.endpoint import invocations, streaming_invocations
from local.proxy import Call, ProxyAnswer, Routes, raw_path
from local.template import GatewayResponse, TemplateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from local.template import Api, Authorizer, Cors, Function

_log = logging.getLogger(__name__)

# What separates status and headers from the body in an answer that is streamed.
_PRELUDE_END = b"\0" * 8
_BODY_LIMIT = 10 * 1024 * 1024

# Status and message of what API Gateway answers itself, where the template says nothing.
_OWN_ANSWERS = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error"),
    "AUTHORIZER_FAILURE": (500, "Internal server error"),
    "DEFAULT_5XX": (502, "Internal server error"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "UNAUTHORIZED": (401, "Unauthorized"),
}
_VARIABLE = re.compile(r"\$context\.([A-Za-z.]*[A-Za-z])")
_VARIABLES = {"error.message", "error.messageString", "error.responseType", "path", "requestId"}


class GatewayError(Exception):
    """API Gateway answers this request itself. `kind` is the type of the gateway response."""

    def __init__(self, kind: str, reason: str = "") -> None:
        super().__init__(reason)
        self.kind = kind


class _FunctionError(Exception):
    """A function ended with an error. `message` is the error's own."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('errorType')}: {error.get('errorMessage')}")
        self.message = error.get("errorMessage")


class Gateway:
    """One REST API.

    Args:
        api: What it consists of.
        functions: A client for the Lambda Invoke API, its base URL set and without a timeout.
        integration_timeout: Seconds a function may take.
        clock: Tells the time, in seconds since the epoch.

    Raises:
        TemplateError: a gateway response has a variable that is not known here.
    """

    def __init__(
        self,
        api: Api,
        functions: httpx.AsyncClient,
        *,
        integration_timeout: float = 29.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for kind, response in api.gateway_responses.items():
            for variable in _VARIABLE.findall("".join(response.templates.values())):
                if variable not in _VARIABLES:
                    raise TemplateError(f"{kind}: the local stack does not know $context.{variable}")
        self._api = api
        self._functions = functions
        self._integration_timeout = integration_timeout
        self._clock = clock
        self._routes = Routes(api.routes)
        self._authorizations: dict[tuple[str, ...], tuple[float, Authorization]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request, request_id = Request(scope, receive), str(uuid.uuid4())
        try:
            response = await self._answer(request, request_id)
        except GatewayError as error:
            if str(error):
                _log.warning("%s %s: %s: %s", request.method, scope["path"], error.kind, error)
            response = self._own_answer(error.kind, raw_path(request), request_id)
        except ClientDisconnect:
            return
        response.headers["x-amzn-RequestId"] = request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Response:
        routes, path_parameters = self._routes.find(raw_path(request))
        if routes and self._api.cors and request.method == "OPTIONS":
            return _preflight(self._api.cors)
        route = routes.get(request.method) or routes.get("ANY")
        if route is None:
            raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
        call = Call(self._api, route, request, await _body(request), path_parameters, request_id, self._clock())
        authorizer = await self._authorize(route.authorizer, call) if route.authorizer else None
        if route.streams:
            return await self._stream(route.function, call.event(authorizer))
        try:
            async with asyncio.timeout(self._integration_timeout):
                answer = await self._invoke(route.function, call.event(authorizer))
            return ProxyAnswer.model_validate_json(answer).response()
        except TimeoutError:
            reason = f"{route.function.name} took longer than {self._integration_timeout} s"
            raise GatewayError("INTEGRATION_TIMEOUT", reason) from None
        except _FunctionError as error:
            raise GatewayError("DEFAULT_5XX", f"{route.function.name}: {error}") from error
        except ValueError as error:  # pydantic's, too
            raise GatewayError("DEFAULT_5XX", f"{route.function.name}: malformed answer: {error}") from error

    async def _stream(self, function: Function, event: dict[str, Any]) -> Response:
        """Pass an answer on as it comes, once its status and headers have come."""
        parts, head = self._parts(function, event), b""
        try:
            while _PRELUDE_END not in head:
                head += await anext(parts)
            prelude, first = head.split(_PRELUDE_END, 1)
            answer = ProxyAnswer.model_validate_json(prelude).response()
        except _FunctionError as error:
            raise GatewayError("DEFAULT_5XX", f"{function.name}: {error}") from error
        except (ValueError, StopAsyncIteration) as error:
            raise GatewayError("DEFAULT_5XX", f"{function.name}: malformed answer: {error}") from error

        async def body() -> AsyncIterator[bytes]:
            async with aclosing(parts):
                yield first
                try:
                    async for part in parts:
                        yield part
                except (_FunctionError, httpx.TransportError) as error:  # too late for another status
                    _log.warning("%s: %s", function.name, error)

        streamed = StreamingResponse(body(), answer.status_code)
        streamed.raw_headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
        return streamed

    async def _parts(self, function: Function, event: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """Invoke a function that streams and yield what it sends."""
        messages: Any = EventStreamBuffer()  # its types say that it holds numbers
        path = streaming_invocations(function.name)
        async with self._functions.stream("POST", path, content=json.dumps(event)) as response:
            async for data in response.aiter_raw():
                messages.add_data(data)
                for message in messages:
                    if message.headers[":event-type"] == "PayloadChunk":
                        yield message.payload
                    elif error := json.loads(message.payload):
                        raise _FunctionError({"errorType": error["ErrorCode"], "errorMessage": error["ErrorDetails"]})

    async def _authorize(self, authorizer: Authorizer, call: Call) -> dict[str, Any]:
        """Return what the authorizer tells of the caller, unless it does not let them in."""
        authorization = await self._authorization(authorizer, call)
        if not authorization.allows(call.method_arn):
            raise GatewayError("ACCESS_DENIED")
        return authorization.passed_on()

    async def _authorization(self, authorizer: Authorizer, call: Call) -> Authorization:
        identity = tuple(call.request.headers.get(name, "") for name in authorizer.identity_headers)
        if not all(identity):
            raise GatewayError("UNAUTHORIZED")
        key = (authorizer.name, *identity)
        expires, cached = self._authorizations.get(key, (0.0, None))
        if cached and self._clock() < expires:
            return cached
        try:
            answer = await self._invoke(authorizer.function, call.authorizer_event())
            authorization = Authorization.model_validate_json(answer)
        except _FunctionError as error:
            if error.message == "Unauthorized":
                raise GatewayError("UNAUTHORIZED") from error
            raise GatewayError("AUTHORIZER_FAILURE", str(error)) from error
        except ValidationError as error:
            raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR", str(error)) from error
        if authorizer.cache_ttl:
            self._authorizations[key] = (self._clock() + authorizer.cache_ttl, authorization)
        return authorization

    async def _invoke(self, function: Function, event: dict[str, Any]) -> bytes:
        try:
            response = await self._functions.post(invocations(function.name), content=json.dumps(event))
        except httpx.TransportError as error:
            raise GatewayError("DEFAULT_5XX", f"{function.name}: {error!r}") from error
        if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise GatewayError("REQUEST_TOO_LARGE")
        if response.status_code != httpx.codes.OK:
            raise GatewayError("DEFAULT_5XX", f"{function.name}: {response.text}")
        if "X-Amz-Function-Error" in response.headers:
            raise _FunctionError(response.json())
        return response.content

    def _own_answer(self, kind: str, path: str, request_id: str) -> Response:
        status, message = _OWN_ANSWERS[kind]
        default = GatewayResponse(None, {}, {})
        chosen = self._api.gateway_responses.get(
            kind, self._api.gateway_responses.get(f"DEFAULT_{status // 100}XX", default)
        )
        variables = {
            "error.message": message,
            "error.messageString": json.dumps(message),
            "error.responseType": kind,
            "path": path,
            "requestId": request_id,
        }
        template = chosen.templates.get("application/json", '{"message":$context.error.messageString}')
        body = _VARIABLE.sub(lambda match: variables[match[1]], template)
        response = Response(body, chosen.status or status, media_type="application/json")
        response.headers.update(chosen.headers)
        return response


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise GatewayError("REQUEST_TOO_LARGE")
    return bytes(body)


def _preflight(cors: Cors) -> Response:
    headers = {"Access-Control-Allow-Origin": cors.allow_origin, "Access-Control-Allow-Methods": cors.allow_methods}
    if cors.allow_headers:
        headers["Access-Control-Allow-Headers"] = cors.allow_headers
    if cors.max_age:
        headers["Access-Control-Max-Age"] = cors.max_age
    return Response("{}\n", headers=headers, media_type="application/json")
