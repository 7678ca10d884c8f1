"""API Gateway's REST API on loopback: an ASGI app that calls the authorizer and the function of a route.

Routes, authorizers, CORS and gateway responses are the template's. The API is behind a custom domain: the path has no
stage, and may have a base path.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from local.authorization import Authorization
from local.functions.client import FunctionError, InvocationError
from local.proxy import WITHOUT_BODY, Call, ProxyAnswer, Routes, raw_path
from local.template import GatewayResponse, TemplateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from local.functions.client import FunctionsClient
    from local.template import Api, Authorizer, Cors, Route

_log = logging.getLogger(__name__)

# Separates status and headers from the body in a streamed answer.
_PRELUDE_END = b"\0" * 8
# API Gateway's limit for a request body, in bytes.
_BODY_LIMIT = 10 * 1024 * 1024

# Status, message and x-amzn-ErrorType of API Gateway's own answers. The template's gateway responses override the first
# two. Types of features that the template does not use, such as API keys, do not occur.
_OWN_ANSWERS = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource", "AccessDeniedException"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error", "AuthorizerConfigurationException"),
    "AUTHORIZER_FAILURE": (500, "Internal server error", "InternalServerErrorException"),
    "DEFAULT_5XX": (502, "Internal server error", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", "InternalServerErrorException"),
    "INVALID_SIGNATURE": (403, "Authorization header is not a signature", "IncompleteSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long", "RequestEntityTooLargeException"),
    "UNAUTHORIZED": (401, "Unauthorized", "UnauthorizedException"),
}
_VARIABLE = re.compile(r"\$context\.([A-Za-z.]*[A-Za-z])")
_VARIABLES = {"error.message", "error.messageString", "error.responseType", "path", "requestId"}


class GatewayError(Exception):
    """API Gateway answers this request itself, with the gateway response of type `kind`.

    `context` is that of the authorizer which denied the request.
    """

    def __init__(self, kind: str, reason: str = "", context: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.context = context or {}


class Gateway:
    """One REST API.

    Args:
        api: The API as the template describes it.
        functions: Invokes the functions.
        clock: Returns the time in seconds since the epoch.
        base_path: The base path of the custom domain, such as `/codegen`; empty if it has none.

    Raises:
        TemplateError: a gateway response has a variable that the local stack does not support.
    """

    def __init__(
        self,
        api: Api,
        functions: FunctionsClient,
        *,
        clock: Callable[[], float] = time.time,
        base_path: str = "",
    ) -> None:
        for kind, response in api.gateway_responses.items():
            for variable in _VARIABLE.findall(" ".join((*response.templates.values(), *response.headers.values()))):
                if variable not in _VARIABLES and not variable.startswith("authorizer."):
                    raise TemplateError(f"{kind}: the local stack does not support $context.{variable}")
        self._api = api
        self._functions = functions
        self._clock = clock
        self._base_path = base_path
        self._routes = Routes(api.routes)
        self._authorizations: dict[tuple[str, ...], tuple[float, Authorization]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request, request_id = Request(scope, receive), str(uuid.uuid4())
        if not raw_path(request).startswith(f"{self._base_path}/"):
            # The domain answers this, not the API, so no gateway response applies.
            headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": "ForbiddenException"}
            await Response('{"message":"Forbidden"}', 403, headers, "application/json")(scope, receive, send)
            return
        try:
            response = await self._answer(request, request_id)
        except GatewayError as error:
            if str(error):
                _log.warning("%s %s: %s: %s", request.method, scope["path"], error.kind, error)
            response = self._own_answer(error, raw_path(request), request_id)
        except ClientDisconnect:
            return
        response.headers["x-amzn-RequestId"] = request_id
        if request.method == "HEAD" and not isinstance(response, StreamingResponse):
            response.body = b""
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Response:
        path = raw_path(request).removeprefix(self._base_path)
        routes, path_parameters = self._routes.find(path)
        if routes and self._api.cors and request.method == "OPTIONS":
            return _preflight(self._api.cors)
        route = routes.get(request.method) or routes.get("ANY")
        if route is None:
            # Without an authorizer, API Gateway expects a signature of AWS in the header, and a Bearer token is none.
            signed = "authorization" in request.headers
            raise GatewayError("INVALID_SIGNATURE" if signed else "MISSING_AUTHENTICATION_TOKEN")
        body = await _body(request)
        call = Call(self._api, route, request, path, body, path_parameters, request_id, self._clock())
        try:
            authorizer = await self._authorize(route.authorizer, call) if route.authorizer else None
            return await (self._stream if route.streams else self._respond)(route, call.event(authorizer))
        except TimeoutError:
            raise GatewayError(
                "INTEGRATION_TIMEOUT", f"{route.function.name} took longer than {route.timeout} s"
            ) from None
        except InvocationError as error:
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise GatewayError("REQUEST_TOO_LARGE") from error
            raise GatewayError("DEFAULT_5XX", str(error)) from error
        except FunctionError as error:
            raise GatewayError("DEFAULT_5XX", str(error)) from error
        except ValueError as error:  # pydantic's, too
            raise GatewayError("DEFAULT_5XX", f"{route.function.name}: malformed answer: {error}") from error

    async def _respond(self, route: Route, event: dict[str, Any]) -> Response:
        """Return a function's whole answer."""
        async with asyncio.timeout(route.timeout):
            answer = await self._functions.invoke(route.function.name, event)
        return ProxyAnswer.model_validate_json(answer).response(event["httpMethod"])

    async def _stream(self, route: Route, event: dict[str, Any]) -> Response:
        """Return a function's answer once its status and headers have arrived; the body follows part by part."""
        parts, head = self._functions.stream(route.function.name, event), b""
        deadline = asyncio.get_running_loop().time() + route.timeout
        while _PRELUDE_END not in head:
            part = await _next(parts, deadline)
            if part is None:
                raise ValueError("it ends before its body")
            head += part
        prelude, first = head.split(_PRELUDE_END, 1)
        answer = ProxyAnswer.model_validate_json(prelude).response()

        async def body() -> AsyncIterator[bytes]:
            async with aclosing(parts):
                yield first
                try:
                    while (part := await _next(parts, deadline)) is not None:
                        yield part
                except (FunctionError, InvocationError, TimeoutError) as error:  # the status has been sent
                    _log.warning("%s: the answer broke off: %r", route.function.name, error)

        if answer.status_code in WITHOUT_BODY:  # A function that streams cannot send a header without a value.
            del answer.headers["content-type"]
        streamed = StreamingResponse(body(), answer.status_code)
        streamed.raw_headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
        return streamed

    async def _authorize(self, authorizer: Authorizer, call: Call) -> dict[str, Any]:
        """Return the authorizer's context for the function, or refuse the request."""
        authorization = await self._authorization(authorizer, call)
        if not authorization.allows(call.method_arn):
            raise GatewayError("ACCESS_DENIED", context=authorization.passed_on())
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
            answer = await self._functions.invoke(authorizer.function.name, call.authorizer_event())
            authorization = Authorization.model_validate_json(answer)
        except FunctionError as error:
            if error.message == "Unauthorized":
                raise GatewayError("UNAUTHORIZED") from error
            raise GatewayError("AUTHORIZER_FAILURE", str(error)) from error
        except ValidationError as error:
            raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR", str(error)) from error
        if authorizer.cache_ttl:
            self._authorizations[key] = (self._clock() + authorizer.cache_ttl, authorization)
        return authorization

    def _own_answer(self, error: GatewayError, path: str, request_id: str) -> Response:
        kind = error.kind
        status, message, error_type = _OWN_ANSWERS[kind]
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
            **{f"authorizer.{name}": value for name, value in error.context.items()},
        }
        template = chosen.templates.get("application/json", '{"message":$context.error.messageString}')

        def evaluated(text: str) -> str:
            return _VARIABLE.sub(lambda match: variables.get(match[1], ""), text)

        response = Response(evaluated(template), chosen.status or status, media_type="application/json")
        response.headers.update({name: evaluated(value) for name, value in chosen.headers.items()})
        response.headers["x-amzn-ErrorType"] = error_type
        return response


async def _next(parts: AsyncGenerator[bytes, None], deadline: float) -> bytes | None:
    """Return the next part of an answer, or None after the last one."""
    async with asyncio.timeout_at(deadline):
        return await anext(parts, None)


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
