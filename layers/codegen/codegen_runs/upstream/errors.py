"""Errors of the Codegen API as problems: with the status that is right for the caller, and whether to retry."""

from functools import cache
from http import HTTPStatus
from typing import Any

from codegen_api import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CodegenAPIError,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ResponseTooLargeError,
    ServerError,
    ValidationError,
)
from codegen_runs import problems
from codegen_runs.problems import (
    AnswerTooLarge,
    BadGateway,
    BadRequest,
    Forbidden,
    GatewayTimeout,
    InternalError,
    NotFound,
    Problem,
    QuotaExceeded,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unprocessable,
)

# Errors that mean the same for the caller of the deployment. A 401 is about the caller's own token: if the deployment's
# token is refused, `upstream.clients` raises another error.
_SAME: dict[type[CodegenAPIError], type[Problem]] = {
    BadRequestError: BadRequest,
    AuthenticationError: Unauthorized,
    QuotaExceededError: QuotaExceeded,
    PermissionDeniedError: Forbidden,
    NotFoundError: NotFound,
    RateLimitError: RateLimited,
}


def is_outage(error: CodegenAPIError) -> bool:
    """Return whether the Codegen API failed, so that the error says nothing about the request or the caller."""
    failed = isinstance(error, APIConnectionError | InvalidResponseError | RateLimitError | ServerError)
    return failed and not isinstance(error, ResponseTooLargeError)


@problems.converts(CodegenAPIError)
def problem_of(error: CodegenAPIError) -> Problem:
    """Return the problem for an error of the Codegen API, with the status that is right for the caller."""
    more: dict[str, Any] = {"upstream": _answered(error), "retry_after": error.retry_after}
    if error.effect_unknown:
        more |= {
            "effect_unknown": True,
            "retryable": False,
            "remedy": "Check whether it took effect, for example in the list of runs, before you send it again.",
        }
    match error:
        case ConfigurationError():
            return InternalError()
        case ValidationError():
            return Unprocessable(error.message, errors=_faults(error.body), **more)
        case ResponseTooLargeError():
            return AnswerTooLarge("The answer of the Codegen API is larger than a Lambda function can return.", **more)
        case APITimeoutError():
            return GatewayTimeout("The Codegen API did not respond in time.", **more)
        case APIConnectionError():
            return BadGateway("Could not reach the Codegen API.", **more)
    if same := _SAME.get(type(error)):
        return same(error.message, **more)
    if error.status_code == Unavailable.status and error.retry_after is not None:
        return Unavailable("The Codegen API is temporarily unavailable.", **more)
    if error.status_code is not None and error.status_code >= 500:
        return BadGateway(f"The Codegen API failed with status {error.status_code}.", **more)
    return BadGateway("The Codegen API returned an answer that cannot be used.", **more)


def refusal_of(error: CodegenAPIError) -> Problem:
    """Return the problem for an error of an operation that this deployment does not know: a 4xx keeps its status."""
    problem = problem_of(error)
    status = error.status_code
    if status is None or not 400 <= status < 500 or problem.status == status:
        return problem
    return _refusal(status)(error.message, upstream=_answered(error), retry_after=error.retry_after)


@cache
def _refusal(status: int) -> type[Problem]:
    """Return the class of the problem for a 4xx that has no class of its own."""
    title = HTTPStatus(status).phrase if status in {*HTTPStatus} else "Refused"
    remedy = "Correct the request."
    return type("Refused", (Problem,), {"code": "upstream_refused", "status": status, "title": title, "remedy": remedy})


def _answered(error: CodegenAPIError) -> dict[str, Any]:
    return {"status": error.status_code, "message": error.message, "request_id": error.request_id}


def _faults(body: Any) -> list[dict[str, Any]]:
    """Return the errors that a 422 lists, if they have FastAPI's form."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, list):
        return []
    return [fault for fault in detail if isinstance(fault, dict) and {"loc", "msg", "type"} <= fault.keys()]
