"""The HTTP edge: what every endpoint needs and no handler should have to say.

`endpoint` turns a resolver into a Lambda handler that knows its caller, admits only what the operation can work with,
answers every error as a problem (see `problems`), and writes one line for each request, which is log and metrics.
"""

import json
import math
import re
import traceback
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import count
from time import perf_counter
from typing import Annotated, Any, NoReturn

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Depends, Request
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestUnsupportedContentType, RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic_core import from_json

from codegen_runs import problems, settings
from codegen_runs.callers import Caller, token_in
from codegen_runs.clock import SystemClock, waiting_for_codegen
from codegen_runs.http import etags
from codegen_runs.limits import allowances
from codegen_runs.problems import (
    AnswerTooLarge,
    CredentialsRefused,
    InternalError,
    NoDefaultOrganization,
    NoDeploymentToken,
    NotAMember,
    Problem,
    RoleRequired,
    RouteNotFound,
    TokenExpired,
    TokenRevoked,
    TooLarge,
    Unauthorized,
    Unprocessable,
    UnsupportedMediaType,
)
from codegen_runs.roles import Role, needed_for

Event = dict[str, Any]
Answer = dict[str, Any]
Handler = Callable[[Event, LambdaContext], Answer]

MAX_BODY = 5 * 1024 * 1024
"""Bytes of a request's body. A Lambda event may have 6 MB."""

EXPOSED_HEADERS = (
    "ETag,Idempotent-Replay,Location,RateLimit,RateLimit-Policy,Retry-After,Stream-Retention-Seconds,X-Request-Id"
)
"""What a browser lets a page read of an answer, beside what it always does."""

_MAX_ANSWER = 6 * 1024 * 1024  # Bytes that Lambda returns.
_MARGIN = 1.0  # Seconds of the function's time that are kept to answer that the upstream took too long.
_METHODS_WITH_BODY = {"POST", "PUT", "PATCH"}
_ORGANIZATION = re.compile(r"(?:/v1(?:/alpha)?)?/organizations/([^/]+)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# What the authorizer lets through to be told here, because the gateway's own 401 and 502 have no words for it. Whoever
# is refused so has no caller.
_REFUSALS = {problem.code: problem for problem in (TokenExpired, TokenRevoked, CredentialsRefused, NoDeploymentToken)}

# What the operation at hand needs of its caller. Handlers name the organization of a body when all else is read. Who
# is asked for nothing else, as at a stream, only reads.
_needed: ContextVar[Role] = ContextVar("needed", default=Role.VIEWER)

logger = Logger()


def endpoint(
    app: APIGatewayRestResolver, *, public: bool = False, role: Role | None = None, secret: bool = False
) -> Handler:
    """Return the Lambda handler that serves the routes of `app`.

    Args:
        app: The resolver.
        public: Whether anybody may call, with no authorizer in front.
        role: What the caller has to be in the organization that a request is about. By default a viewer may read, and
            a member do what there is to do.
        secret: Whether answers hold a secret, which is kept nowhere: an Idempotency-Key then has no effect.
    """
    # Powertools would answer errors in a form of its own; they all go on to the one place that answers here.
    app.exception_handler(Exception)(_pass_on)
    app.not_found(_refuse_route)

    def serve(event: Event, context: LambdaContext) -> Answer:
        with _needing(role or needed_for(event["httpMethod"])):
            caller = None if public else identify(event)

            def act() -> Answer:
                _admit(app, event, context, caller)
                return app.resolve(event, context)

            headers = _headers(event)
            if event["httpMethod"] == "GET":
                return etags.compared(act(), headers.get("if-none-match"))
            if caller and not secret and event["httpMethod"] == "POST" and "idempotency-key" in headers:
                return _once(act, event, context, caller)
            return act()

    return answering(serve)


def answering(serve: Handler) -> Handler:
    """Return the Lambda handler whose answers `serve` makes, and whose errors are answered as problems."""
    requests = count(1)

    def handler(event: Event, context: LambdaContext) -> Answer:
        headers = _headers(event)
        request_id = _request_id(event, headers)
        exchange = {
            "request_id": request_id,
            "route": f"{event['httpMethod']} {event['resource']}",
            "organization": _named_organization(event),
            "caller": _authorized(event).get("caller_id"),
            "token_id": _authorized(event).get("token_id") or None,
            "cold_start": next(requests) == 1,
        }
        started, waited = perf_counter(), waiting_for_codegen.seconds
        with logger.append_context_keys(**exchange), allowances.noting() as noted:
            try:
                answer = _fitting(serve(event, context))
                code = None
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
                problem = problems.of(error)
                if problem.status == InternalError.status:
                    _log_fault(error, secret=token_in(headers))
                answer = _refusal(problem, event["path"], request_id)
                code = problem.code
            answer["multiValueHeaders"] |= allowances.headers(noted) | {
                "X-Request-Id": [request_id],
                "Access-Control-Allow-Origin": [settings.allowed_origin()],
                "Access-Control-Expose-Headers": [EXPOSED_HEADERS],
            }
            _report(
                exchange,
                status=answer["statusCode"],
                code=code,
                seconds=perf_counter() - started,
                upstream_seconds=waiting_for_codegen.seconds - waited,
            )
        return answer

    return handler


def _caller(request: Request) -> Caller:
    caller: Caller = request.context["caller"]
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]
"""A handler's parameter: who sends the request."""


def seconds_left(request: Request) -> float:
    """Return the seconds an operation may still take."""
    seconds: float = request.context["seconds_left"]
    return seconds


def organization(caller: Caller, named: int | None = None) -> int:
    """Return the organization that a request without one in its path is about.

    Args:
        caller: Who asks.
        named: The organization that the body names; None means the deployment's.

    Raises:
        NoDefaultOrganization: Neither the request nor the deployment names one.
        NotAMember: The caller is not in it.
        RoleRequired: The caller is, and may not do there what the operation does.
    """
    org_id = settings.codegen_org_id() if named is None else named
    if org_id is None:
        raise NoDefaultOrganization("The request names no organization, and the deployment has none of its own.")
    _check_standing(caller, org_id)
    return org_id


def _default_organization(caller: CurrentCaller) -> int:
    return organization(caller)


DefaultOrganization = Annotated[int, Depends(_default_organization)]
"""A handler's parameter on paths without an organization: the deployment's, if the caller is in it."""


# --- before the handler ---------------------------------------------------------------------------------------------


@contextmanager
def _needing(role: Role) -> Iterator[None]:
    """Ask callers for a role while the block runs."""
    before = _needed.set(role)
    try:
        yield
    finally:
        _needed.reset(before)


def identify(event: Event) -> Caller:
    """Return who sends the request, which may name only an organization that the caller is in, with the role it needs.

    The organization is read from the very path that Powertools matches, so that the two cannot disagree.

    Raises:
        Unauthorized: The authorizer has not seen the request, or the token has ended.
        CredentialsRefused: The deployment has no good Codegen token to act with for the caller.
        Unprocessable: The organization is no number.
        NotAMember: The caller is not in the organization.
        RoleRequired: The caller is, and may not do there what the operation does.
    """
    caller = _authenticate(event)
    if (named := _named_organization(event)) is not None:
        _check_standing(caller, _number(named))
    return caller


def _once(act: Callable[[], Answer], event: Event, context: LambdaContext, caller: Caller) -> Answer:
    """Answer a request that carries an Idempotency-Key."""
    # Here, because requests without one need no storage.
    from codegen_runs.http import idempotency
    from codegen_runs.storage.idempotency import IdempotencyTable

    headers = _headers(event)
    query = json.dumps(event.get("multiValueQueryStringParameters"), sort_keys=True)
    return idempotency.once(
        idempotency.Keyed.read(
            headers["idempotency-key"],
            # By its token, too: what one token was answered, another of the same maker need not be allowed to see.
            scope=(caller.id, caller.token_id, _named_organization(event) or "", f"POST {event['resource']}"),
            asked=(event["path"], query, event.get("body") or ""),
        ),
        act,
        attempts=IdempotencyTable(settings.required("IDEMPOTENCY_TABLE")),
        tell=lambda problem: _refusal(problem, event["path"], _request_id(event, headers)),
        seconds=context.get_remaining_time_in_millis() / 1000,
        clock=SystemClock(),
    )


def _admit(app: APIGatewayRestResolver, event: Event, context: LambdaContext, caller: Caller | None) -> None:
    """Refuse what no operation can work with, before the operation's own validation says a word about it."""
    if caller:
        app.context.update(caller=caller)
    if event["httpMethod"] in _METHODS_WITH_BODY:
        _check_body(event)
    app.context.update(seconds_left=context.get_remaining_time_in_millis() / 1000 - _MARGIN)


def _authenticate(event: Event) -> Caller:
    if refusal := _REFUSALS.get(_authorized(event).get("refused", "")):
        raise refusal(_authorized(event).get("reason"))
    try:
        return Caller.from_context(_authorized(event), token_in(_headers(event)) or "")
    except KeyError:
        raise Unauthorized("The request carries no token that the authorizer has seen.") from None


def _number(named: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", named):
        raise Unprocessable(
            errors=[
                {
                    "loc": ["path", "org_id"],
                    "msg": "Input should be a valid integer, unable to parse string as an integer",
                    "type": "int_parsing",
                }
            ]
        )
    return int(named)


def _check_standing(caller: Caller, org_id: int) -> None:
    """Refuse a caller who is not in an organization, or may not do there what the operation does."""
    if not caller.is_in(org_id):
        raise NotAMember
    needed = _needed.get()
    role = caller.roles.get(org_id, Role.MEMBER)
    if needed is Role.ADMIN and org_id not in caller.roles:
        # Only what manages asks Codegen who is an admin there: no other request pays for that.
        from codegen_runs.access.codegen_roles import own_role

        role = own_role(caller, org_id)
    if not role.includes(needed):
        raise RoleRequired(role, needed, org_id)


def _check_body(event: Event) -> None:
    """Refuse a body that is no JSON object.

    Stricter than Powertools, which reads forms as well, takes the first element of a list for an object, and fails on
    nesting, numbers or surrogates that Python's parser or the way to the upstream cannot take.
    """
    body = event.get("body")
    if not body:
        return
    content = b64decode(body) if event.get("isBase64Encoded") else body.encode()
    if len(content) > MAX_BODY:
        raise TooLarge(f"The request body has {len(content)} bytes; the limit is {MAX_BODY}.")
    media_type = _headers(event).get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/json"):
        raise UnsupportedMediaType(f"The request body is {media_type}.")
    try:
        parsed = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise _unfit_body("json_invalid", f"JSON decode error: {error}") from None
    if not isinstance(parsed, dict | None):
        raise _unfit_body(
            "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"
        )


def _unfit_body(kind: str, message: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["body"], "msg": message, "type": kind}])


def _headers(event: Event) -> dict[str, str]:
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def _authorized(event: Event) -> dict[str, str]:
    return event["requestContext"].get("authorizer") or {}


def _named_organization(event: Event) -> str | None:
    found = _ORGANIZATION.match(event["path"])
    return found[1] if found else None


def _request_id(event: Event, headers: dict[str, str]) -> str:
    """Return the id that the caller gave the request, if it is fit for a log, or else the gateway's."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(event["requestContext"]["requestId"])


# --- after the handler ----------------------------------------------------------------------------------------------


def _pass_on(error: Exception) -> NoReturn:
    raise error


def _refuse_route(_: Exception) -> NoReturn:
    raise RouteNotFound("No such route.")


@problems.told_as(RequestValidationError)
def _tell_validation(error: RequestValidationError) -> Problem:
    faults = [{"loc": list(fault["loc"]), "msg": fault["msg"], "type": fault["type"]} for fault in error.errors()]
    # Powertools raises the same error where what the handler returned is not what it declares.
    return InternalError() if faults[0]["loc"][0] == "response" else Unprocessable(errors=faults)


@problems.told_as(RequestUnsupportedContentType)
def _tell_content_type(_: RequestUnsupportedContentType) -> Problem:
    return UnsupportedMediaType("The request body is not application/json.")


def _fitting(answer: Answer) -> Answer:
    # A quarter of the limit is far from it, whatever the escaping of the body inside Lambda's own JSON adds.
    if len(answer["body"] or "") > _MAX_ANSWER // 4 and len(json.dumps(answer).encode()) > _MAX_ANSWER:
        raise AnswerTooLarge("The answer is larger than a Lambda function can return.")
    return answer


def _refusal(problem: Problem, path: str, request_id: str) -> Answer:
    headers = {"Content-Type": ["application/problem+json"]}
    if problem.retry_after is not None:
        headers["Retry-After"] = [str(math.ceil(problem.retry_after))]
    if problem.status == Unauthorized.status:
        headers["WWW-Authenticate"] = ["Bearer"]
    return {
        "statusCode": problem.status,
        "multiValueHeaders": headers,
        "body": json.dumps(problems.render(problem, path, request_id)),
        "isBase64Encoded": False,
    }


def _log_fault(error: Exception, secret: str | None) -> None:
    text = "".join(traceback.format_exception(error))
    if secret:
        text = text.replace(secret, "[token]")
    logger.error("fault", exception_name=type(error).__name__, exception=text)


def _report(
    exchange: dict[str, Any], *, status: int, code: str | None, seconds: float, upstream_seconds: float
) -> None:
    """Write the one line that CloudWatch keeps as a log entry and counts as metrics."""
    metrics = _metrics()
    told = exchange | {"message": "request", "status": status, "code": code}
    for name, value in told.items():
        if value is not None and name != "route":
            metrics.add_metadata(name, value)
    metrics.add_dimension("route", exchange["route"])
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("Latency", MetricUnit.Milliseconds, seconds * 1000)
    # Each further one is paid for in every request: only what has happened.
    if status >= 400:
        metrics.add_metric("ClientErrors" if status < 500 else "ServerErrors", MetricUnit.Count, 1)
    if exchange["cold_start"]:
        metrics.add_metric("ColdStarts", MetricUnit.Count, 1)
    if upstream_seconds:
        metrics.add_metric("UpstreamLatency", MetricUnit.Milliseconds, upstream_seconds * 1000)
    metrics.flush_metrics()


@cache
def _metrics() -> Metrics:
    return Metrics()
