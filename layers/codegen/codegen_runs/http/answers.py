"""Answers: problems as RFC 9457 bodies, the headers that every answer has, and Lambda's limit on their size."""

import json
import math
from typing import NoReturn

from aws_lambda_powertools.event_handler.openapi.exceptions import RequestUnsupportedContentType, RequestValidationError

from codegen_runs import problems, settings
from codegen_runs.http.proxy import Answer
from codegen_runs.limits import allowances
from codegen_runs.problems import (
    AnswerTooLarge,
    InternalError,
    MethodNotAllowed,
    Problem,
    RouteNotFound,
    Unauthorized,
    Unprocessable,
    UnsupportedMediaType,
)
from codegen_runs.redaction import redact

EXPOSED_HEADERS = (
    "ETag,Idempotent-Replay,Identity-Unconfirmed-Since,Location,RateLimit,RateLimit-Policy,Retry-After,"
    "Stream-Retention-Seconds,X-Request-Id"
)
"""The headers of an answer that a page may read in a browser, besides the few that it always may."""

WITHOUT_CONTENT = frozenset({204, 304})
"""The statuses of answers that never have content."""

NO_TYPE: dict[str, list[str | None]] = {"Content-Type": [None]}
"""The header of an answer without a type. Without the header, API Gateway would give it the type application/json."""

MAX_ANSWER = 6 * 1024 * 1024
"""The most bytes that Lambda returns."""


def refusal(problem: Problem, path: str, request_id: str) -> Answer:
    """Return the answer that reports a problem."""
    headers = {"Content-Type": ["application/problem+json"]}
    if problem.retry_after is not None:
        headers["Retry-After"] = [str(math.ceil(problem.retry_after))]
    if isinstance(problem, MethodNotAllowed):
        headers["Allow"] = [", ".join(problem.allowed)]
    if problem.status == Unauthorized.status:
        headers["WWW-Authenticate"] = ["Bearer"]
    return {
        "statusCode": problem.status,
        "multiValueHeaders": headers,
        "body": json.dumps(redact(problems.render(problem, path, request_id))),
        "isBase64Encoded": False,
    }


def masked(answer: Answer) -> Answer:
    """Return the answer with what looks like a secret in its JSON masked."""
    body = answer["body"]
    if not body or redact(body) == body:
        return answer
    return answer | {"body": json.dumps(redact(json.loads(body)))}


def within_limit(answer: Answer) -> Answer:
    """Return the answer. Raises `AnswerTooLarge` if it is too large for Lambda."""
    if is_too_large(answer):
        raise AnswerTooLarge("The answer is larger than a Lambda function can return.")
    return answer


def is_too_large(answer: Answer, *, room: int = 0) -> bool:
    """Return whether an answer with `room` more bytes is too large for Lambda."""
    # A body below a quarter of the limit does not exceed it, however Lambda's own JSON escapes it.
    return len(answer["body"] or "") > MAX_ANSWER // 4 and len(json.dumps(answer).encode()) + room > MAX_ANSWER


def complete(answer: Answer, request_id: str, noted: allowances.Noted, unconfirmed_since: str | None = None) -> Answer:
    """Add the headers that every answer has: the request's id, CORS, and what is left of the limits that it used.

    Args:
        answer: The answer.
        request_id: The id of the request.
        noted: The limits that the request used.
        unconfirmed_since: When a caller who cannot be confirmed now was last confirmed.
    """
    if unconfirmed_since:
        answer["multiValueHeaders"]["Identity-Unconfirmed-Since"] = [unconfirmed_since]
    answer["multiValueHeaders"] |= allowance_headers(noted) | {
        "X-Request-Id": [request_id],
        "Access-Control-Allow-Origin": [settings.allowed_origin()],
        "Access-Control-Expose-Headers": [EXPOSED_HEADERS],
    }
    if answer["statusCode"] in WITHOUT_CONTENT:
        answer["multiValueHeaders"] |= NO_TYPE
    return answer


def allowance_headers(noted: allowances.Noted) -> dict[str, list[str]]:
    """Return `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers); nothing without a limit."""
    if not noted:
        return {}
    return {
        "RateLimit-Policy": [", ".join(f'"{each.name}";q={each.calls};w={each.seconds}' for each in noted.values())],
        "RateLimit": [", ".join(f'"{each.name}";r={each.left};t={each.reset}' for each in noted.values())],
    }


def pass_on(error: Exception) -> NoReturn:
    """Raise an error again, so that the edge and not Powertools answers it."""
    raise error


def refuse_route(_: Exception) -> NoReturn:
    """Refuse a path that has no route."""
    raise RouteNotFound("No such route.")


@problems.converts(RequestValidationError)
def _validation_problem(error: RequestValidationError) -> Problem:
    faults = [{"loc": list(fault["loc"]), "msg": fault["msg"], "type": fault["type"]} for fault in error.errors()]
    # Powertools raises the same error if the handler returns something that it does not declare.
    return InternalError() if faults[0]["loc"][0] == "response" else Unprocessable(errors=faults)


@problems.converts(RequestUnsupportedContentType)
def _content_type_problem(_: RequestUnsupportedContentType) -> Problem:
    return UnsupportedMediaType("The request body is not application/json.")
