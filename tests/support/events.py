"""REST proxy events and the context, as a handler gets them from Lambda, and its answers, as a client gets them."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from mangum import Mangum

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.storage.audit import AuditTable
from local.proxy import Routes
from tests.support.backend import template
from tests.support.memory import MemoryAudit

TOKEN = "a-token-that-opens-nothing"
CALLER = Caller(id="user:42", user_id=42, organizations=frozenset({123, 124}), token=TOKEN)
REQUEST_ID = "11111111-2222-3333-4444-555555555555"

Handler = Callable[..., dict[str, Any]]

_backends: list[Backend] = []


@contextmanager
def working_with(backend: Backend, *, audited: bool = True) -> Iterator[None]:
    """Have every handler that is called while the block runs work with this backend.

    Most tests are not about the audit trail, without which no act is done. So a backend gets one in memory, if it has
    none and there is no table in AWS. With `audited` False it is used as it is.
    """
    if audited and "audit" not in backend._parts and not {"AUDIT_TABLE", "AWS_REGION"} <= os.environ.keys():
        backend = Backend(**backend._parts, audit=cast(AuditTable, MemoryAudit()))
    _backends.append(backend)
    try:
        yield
    finally:
        _backends.remove(backend)


def current() -> Backend:
    """Return the backend of `working_with`."""
    return _backends[-1]


def invoke(handler: Handler, event: dict[str, Any], context: Any) -> Any:
    """Call a handler as Lambda does, with the backend of `working_with` if there is one."""
    if not _backends:
        return handler(event, context)
    if not isinstance(handler, Mangum):
        return handler(event, context, _backends[-1])
    with serving(handler.app):
        return handler(event, context)


@contextmanager
def serving(app: Any) -> Iterator[Any]:
    """Have an ASGI app work with the backend of `working_with` while the block runs."""
    usual, app.backend = app.backend, current()
    try:
        yield app
    finally:
        app.backend = usual


@dataclass
class Context:
    """The context that the Lambda runtime passes with the event."""

    function_name: str = "Function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:Function"
    aws_request_id: str = "99999999-8888-7777-6666-555555555555"
    milliseconds_left: int = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds_left


def rest(
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    resource: str | None = None,
    path_parameters: Mapping[str, str] | None = None,
    caller: Caller | None = CALLER,
    base_path: str = "",
    stage_path: str = "",
) -> dict[str, Any]:
    """Return the event of one request.

    Args:
        method: The HTTP method.
        path: The path in the API, with its query if there is one.
        body: A str is sent as it is, anything else as JSON.
        headers: Further headers; a name given here replaces the default.
        resource: The route in the template's spelling. By default the template's route for the path, or else the path.
        path_parameters: The parameters that the gateway read from the path. By default those of the route.
        caller: The caller in the authorizer's context; None without an authorizer.
        base_path: The base path of a custom domain, such as `/codegen`.
        stage_path: The stage as it stands in the URL of a request that does not use a custom domain: `/v0`.
    """
    path, _, query = path.partition("?")
    sent = {"Accept": "*/*", "Host": "example.execute-api.us-east-1.amazonaws.com"}
    if caller is not None:
        sent["Authorization"] = f"Bearer {caller.token}"
    if body is not None:
        sent["Content-Type"] = "application/json"
        body = body if isinstance(body, str) else json.dumps(body)
    sent |= headers or {}
    pairs = parse_qsl(query, keep_blank_values=True)
    resource = resource or _resource_at(path)
    path_parameters = _parameters(resource, path) if path_parameters is None else path_parameters
    path = base_path + path
    authorizer = {"authorizer": {"principalId": caller.id, **caller.to_context()}} if caller else {}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [v for n, v in pairs if n == name] for name, _ in pairs} or None,
        "pathParameters": dict(path_parameters) if path_parameters else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "stage": "v0",
            "path": stage_path + path,
            "resourcePath": resource,
            "httpMethod": method,
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "pytest"},
            **authorizer,
        },
        "body": body,
        "isBase64Encoded": False,
    }


def _resource_at(path: str) -> str:
    """Return the template's route for a path. A path that only a catch-all has is its own route."""
    found, parameters = _routes().find(path)
    resources = {route.path for route in found.values()}
    return resources.pop() if resources and "proxy" not in parameters else path


def _parameters(resource: str, path: str) -> dict[str, str]:
    """Return the parameters of a path that has this route, also if other characters are percent-encoded."""
    names = resource.split("/")
    sent = path.removesuffix("/").split("/", len(names) - 1)
    named = zip(names, sent, strict=False)
    return {name.strip("{+}"): unquote(value) for name, value in named if name.startswith("{")}


@cache
def _routes() -> Routes:
    api = template().api
    assert api
    return Routes(api.routes)


@dataclass(frozen=True)
class Answer:
    """An answer, as a client of the API gets it."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(handler: Handler, event: dict[str, Any], context: Context | None = None) -> Answer:
    """Call a handler with an event and return its answer, with the names of headers in lower case."""
    answer = invoke(handler, event, context or Context())
    single = dict(answer.get("headers") or {})
    multi = {name: values for name, values in (answer.get("multiValueHeaders") or {}).items() if values != [None]}
    joined = {name: ", ".join(values) for name, values in multi.items()}
    headers = {name.lower(): value for name, value in (single | joined).items()}
    return Answer(status=answer["statusCode"], text=answer["body"], headers=headers)
