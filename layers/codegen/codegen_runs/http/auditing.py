"""The audit of an operation: a middleware of its resolver, which runs between the check of the request and the act.

So a request that is malformed, or that the caller may not send, is no act and is not recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs import correlation, problems
from codegen_runs.audit import recording
from codegen_runs.audit.acts import Act
from codegen_runs.http.proxy import Event

Next = Callable[[APIGatewayRestResolver], Response[Any]]


class Middleware(Protocol):
    """A middleware of Powertools."""

    def __call__(self, app: APIGatewayRestResolver, next_middleware: Next) -> Response[Any]:
        """Answer the current request."""


def middleware(acts: Act | Mapping[str, Act]) -> Middleware:
    """Return the middleware that records what the operations of a resolver do.

    `acts` is what all of them do, or what each does by its method. A method without an act is not recorded. The
    middleware raises `AuditUnavailable` if it cannot record the attempt; the operation is not called then.
    """

    def record(app: APIGatewayRestResolver, next_middleware: Next) -> Response[Any]:
        act = acts if isinstance(acts, Act) else acts.get(app.current_event.http_method)
        if act is None:
            return next_middleware(app)
        caller, org_id, backend = (app.context[name] for name in ("caller", "organization", "backend"))
        attempted = recording.attempt(
            act,
            _sent(app.current_event.raw_event),
            caller=caller,
            # What is about no single organization, such as an API token, concerns each one of the caller.
            organizations=caller.organizations if org_id is None else (org_id,),
            request_id=correlation.request_id(),
            backend=backend,
        )
        try:
            response = next_middleware(app)
        except Exception as error:
            problem = problems.of(error)
            recording.conclude(attempted, status=problem.status, code=problem.code, answer={}, backend=backend)
            raise
        recording.conclude(
            attempted, status=response.status_code, code=None, answer=_fields(response.body), backend=backend
        )
        return response

    return record


def _sent(event: Event) -> dict[str, Any]:
    """Return the parameters in the path and in the query, and the fields of the body; the first of a name counts."""
    body = json.loads(event.get("body") or "null")
    return (
        (body if isinstance(body, dict) else {})
        | {name: _typed(values[-1]) for name, values in (event.get("multiValueQueryStringParameters") or {}).items()}
        | {name: _typed(value) for name, value in (event.get("pathParameters") or {}).items()}
    )


def _typed(value: str) -> Any:
    """Return a parameter as the body of a request has such a value."""
    return int(value) if re.fullmatch(r"[0-9]{1,15}", value) else {"true": True, "false": False}.get(value, value)


def _fields(body: Any) -> Mapping[str, Any]:
    """Return the fields of an answer, which Powertools has not written as JSON yet, or has."""
    if isinstance(body, str) and body.startswith("{"):
        body = json.loads(body)
    return body if isinstance(body, dict) else {}
