"""API Gateway's Lambda proxy integration: which route a path has, the function's event, and its answer.

The shapes are those of payload format 1.0.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from local.cloudformation import text_of
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

    from local.template import Api, Route

_IDENTITY = (
    *("accessKey", "accountId", "apiKey", "apiKeyId", "caller", "cognitoAuthenticationProvider"),
    *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn"),
)
# Headers of a function's answer that API Gateway renames, and those that it replaces by its own.
_REMAPPED = {"authorization", "date", "server", "www-authenticate"}
_OWN = {"connection", "content-length", "transfer-encoding"}
WITHOUT_BODY = {204, 304}


class Routes:
    """The routes of an API, found as API Gateway finds them: the most specific resource first, then its method."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._resources: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._resources.setdefault(route.path, {})[route.method] = route
        self._patterns = [(path, re.compile(_pattern(path))) for path in sorted(self._resources, key=_specificity)]

    def find(self, path: str) -> tuple[Mapping[str, Route], dict[str, str]]:
        """Return the routes of the resource at `path` (percent-encoded) by method, and its path parameters.

        Without a resource there are no routes. A slash at the end of the path is ignored.
        """
        for resource, pattern in self._patterns:
            if found := pattern.fullmatch(path if path == "/" else path.removesuffix("/")):
                return self._resources[resource], {name: unquote(value) for name, value in found.groupdict().items()}
        return {}, {}


def _pattern(resource: str) -> str:
    """Return a resource as a regular expression: `{id}` matches one segment, `{rest+}` all that remain."""

    def segment(text: str) -> str:
        if not text.startswith("{"):
            return re.escape(text)
        return f"(?P<{text[1:-2]}>.+)" if text.endswith("+}") else f"(?P<{text[1:-1]}>[^/]+)"

    return "/".join(map(segment, resource.split("/")))


def _specificity(resource: str) -> list[int]:
    """Return a sort key: for each segment a literal comes before a parameter, and that before one for all the rest."""
    return [0 if not s.startswith("{") else 2 if s.endswith("+}") else 1 for s in resource.split("/")]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one route, with its whole body.

    Attributes:
        path: The path in the API, percent-encoded, without the base path.
        time: Seconds since the epoch.
    """

    api: Api
    route: Route
    request: Request
    path: str
    body: bytes
    path_parameters: Mapping[str, str]
    request_id: str
    time: float

    @property
    def method_arn(self) -> str:
        """The ARN that an authorizer's policy allows or denies."""
        return (
            f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{self.api.id}"
            f"/{self.api.stage}/{self.request.method}/{self.path[1:]}"
        )

    def event(self, authorizer: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the event of the function. `authorizer` is the context that the authorizer passes on."""
        try:
            body, is_base64 = self.body.decode() or None, False
        except UnicodeDecodeError:
            body, is_base64 = base64.b64encode(self.body).decode(), True
        event = self._common(empty=None)
        if authorizer is not None:
            event["requestContext"]["authorizer"] = authorizer
        return {**event, "body": body, "isBase64Encoded": is_base64}

    def authorizer_event(self) -> dict[str, Any]:
        """Return the event of a REQUEST authorizer, which sees no body."""
        return {"type": "REQUEST", "methodArn": self.method_arn, **self._common(empty={})}

    def _common(self, empty: Any) -> dict[str, Any]:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.request.headers.raw]
        client = self.request.client.host if self.request.client else "127.0.0.1"
        headers += [
            ("X-Amzn-Trace-Id", f"Root=1-{int(self.time):08x}-{uuid.uuid4().hex[:24]}"),
            ("X-Forwarded-For", client),
            ("X-Forwarded-Port", str(self.request.url.port or 80)),
            ("X-Forwarded-Proto", self.request.url.scheme),
        ]
        query = parse_qsl(self.request.url.query, keep_blank_values=True)
        return {
            "resource": self.route.path,
            "path": raw_path(self.request),
            "httpMethod": self.request.method,
            "headers": dict(headers),
            "multiValueHeaders": multi_values(headers),
            "queryStringParameters": dict(query) or empty,
            "multiValueQueryStringParameters": multi_values(query) or empty,
            "pathParameters": dict(self.path_parameters) or empty,
            "stageVariables": empty,
            "requestContext": {
                "accountId": ACCOUNT_ID,
                "apiId": self.api.id,
                "domainName": self.request.headers.get("host", ""),
                "domainPrefix": self.api.id,
                "extendedRequestId": self.request_id,
                "httpMethod": self.request.method,
                "identity": {
                    **dict.fromkeys(_IDENTITY),
                    "sourceIp": client,
                    "userAgent": self.request.headers.get("user-agent"),
                },
                "path": raw_path(self.request),
                "protocol": f"HTTP/{self.request.scope['http_version']}",
                "requestId": self.request_id,
                "requestTime": request_time(self.time),
                "requestTimeEpoch": int(self.time * 1000),
                "resourceId": self.route.function.logical_id.lower(),
                "resourcePath": self.route.path,
                "stage": self.api.stage,
            },
        }


def request_time(seconds: float) -> str:
    """Write a time (seconds since the epoch) as API Gateway does: `14/Nov/2023:22:13:20 +0000`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%d/%b/%Y:%H:%M:%S +0000}"


def raw_path(request: Request) -> str:
    """Return the path as the client sent it, percent-encoded, without the query."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("latin-1")


def multi_values(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group values by name, for instance into `multiValueHeaders`."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


class ProxyAnswer(BaseModel):
    """The answer of a function. Any other shape is malformed, as it is for API Gateway."""

    model_config = ConfigDict(extra="forbid")

    statusCode: int  # noqa: N815 - the names on the wire
    headers: dict[str, str | int | float | bool | None] | None = None
    multiValueHeaders: dict[str, list[str | int | float | bool | None]] | None = None  # noqa: N815
    body: str | None = None
    isBase64Encoded: bool = False  # noqa: N815

    def response(self, method: str = "GET") -> Response:
        """Return the HTTP response to a request with this method. Only that to HEAD has the function's Content-Length.

        Raises:
            ValueError: the body is not base64 although `isBase64Encoded` says so, or a header cannot be sent.
        """
        body = (self.body or "").encode()
        if self.isBase64Encoded:
            body = base64.b64decode(body, validate=True)
        if self.statusCode in WITHOUT_BODY:
            body = b""
        values = {name: [value] for name, value in (self.headers or {}).items()} | (self.multiValueHeaders or {})
        response = Response(body, self.statusCode, media_type="application/json")
        if any(name.lower() == "content-type" for name in values):
            del response.headers["content-type"]
        if method == "HEAD":
            del response.headers["content-length"]
        for name, several in values.items():
            if name.lower() in _OWN and not (method == "HEAD" and name.lower() == "content-length"):
                continue
            sent_name = f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name
            for value in several:
                if value is None:  # For Content-Type: the answer has none.
                    continue
                response.headers.append(sent_name, text_of(value))
        return response
