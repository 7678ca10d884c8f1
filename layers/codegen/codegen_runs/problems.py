"""Errors for callers, answered as RFC 9457 problem details.

    Problem
     +-- BadRequest 400            +-- NoDefaultOrganization
     +-- Unauthorized 401          +-- TokenExpired, TokenRevoked
     +-- QuotaExceeded 402
     +-- Forbidden 403             +-- NotAMember, RoleRequired, CodegenTokenRequired,
     |                                 TicketForAnother
     +-- NotFound 404              +-- RouteNotFound
     +-- MethodNotAllowed 405
     +-- Conflict 409
     +-- Gone 410
     +-- PreconditionFailed 412
     +-- TooLarge 413
     +-- UnsupportedMediaType 415
     +-- Unprocessable 422
     +-- RateLimited 429
     +-- InternalError 500
     +-- NotSupported 501
     +-- BadGateway 502            +-- CredentialsRefused (NoDeploymentToken), AnswerTooLarge
     +-- Unavailable 503           +-- IdentityUnconfirmed, StorageUnavailable -- StorageRefused 500
     +-- GatewayTimeout 504

Raise them anywhere; the edge answers them. The class is the kind of error, the instance says what happened. A function
that is registered with `converts` turns the errors of a library into problems; it is in the module that uses the
library.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

_Error = TypeVar("_Error", bound=Exception)
_Converter = Callable[[_Error], "Problem"]

_converters: dict[type[Exception], Callable[[Any], "Problem"]] = {}


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """The base class of all errors that a caller sees.

    Attributes:
        code: The kind of error, for programs.
        status: The HTTP status.
        title: The kind of error, for people.
        remedy: What the caller can do about it.
        retryable: Whether the same request may be sent again.
        detail: What happened this time.
        errors: The errors in the request, each with `loc`, `msg` and `type` as in FastAPI.
        upstream: What the Codegen API answered: `status`, `message`, `request_id`.
        retry_after: Seconds after which to try again, or None.
        effect_unknown: Whether the request may have taken effect although it failed.
        extra: Further members of the answer.
        capped: Whether a cap of this deployment refused the request. Such refusals are counted.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    remedy: str
    retryable: bool = False
    effect_unknown: bool = False
    capped: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        upstream: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        remedy: str | None = None,
        effect_unknown: bool | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or f"{self.title}."
        self.errors = errors
        self.upstream = upstream
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable
        if remedy is not None:
            self.remedy = remedy
        if effect_unknown is not None:
            self.effect_unknown = effect_unknown
        self.extra = extra
        super().__init__(self.detail)

    @property
    def summary(self) -> str:
        """The detail, as `CodegenAPIError.summary` is for errors of the Codegen API."""
        return self.detail


class BadRequest(Problem):
    """The request is malformed."""

    code, status, title = "bad_request", 400, "Bad request"
    remedy = "Correct the request."


class NoDefaultOrganization(BadRequest):
    """Neither the path nor the deployment names an organization."""

    code = "no_default_organization"
    remedy = "Use the path under /v1/organizations/{org_id}, or set the deployment's parameter CodegenOrgId."


class Unauthorized(Problem):
    """The request carries no valid token."""

    code, status, title = "unauthorized", 401, "Unauthorized"
    remedy = (
        "Send a valid Codegen token or API token of this deployment in the header Authorization: Bearer YOUR_TOKEN."
    )


class TokenExpired(Unauthorized):
    """The API token has expired."""

    code = "token_expired"
    remedy = "Create another token with POST /v1/users/me/api-tokens."


class TokenRevoked(Unauthorized):
    """The API token was revoked."""

    code = "token_revoked"
    remedy = "Create another token with POST /v1/users/me/api-tokens."


class QuotaExceeded(Problem):
    """The organization has used up its billing plan."""

    code, status, title = "quota_exceeded", 402, "Payment required"
    remedy = "Upgrade the organization's plan at Codegen."


class Forbidden(Problem):
    """The caller is not allowed to do this."""

    code, status, title = "forbidden", 403, "Forbidden"
    remedy = "Ask for access, or use another token."


class NotAMember(Forbidden):
    """The caller is not in the organization, or it does not exist: the answer is the same, with the upstream's text."""

    code = "not_a_member"

    def __init__(self) -> None:
        super().__init__("You do not have access to this organization.")


class RoleRequired(Forbidden):
    """The caller's role in the organization is too low."""

    code = "role_required"

    def __init__(self, role: str, required: str, org_id: int) -> None:
        super().__init__(
            f"This operation requires the role {required} in organization {org_id}; your role is {role}.",
            remedy=f"Ask an admin of the organization for the role {required}, or use a token with that role.",
            role=role,
            required_role=required,
        )


class CodegenTokenRequired(Forbidden):
    """The operation acts as the caller at Codegen, and the token of the request is not a Codegen token."""

    code = "codegen_token_required"
    remedy = "Send your own Codegen token instead of an API token of this deployment."


class TicketForAnother(Forbidden):
    """The ticket was issued for another run or multi-run. It stays valid for that."""

    code = "ticket_for_another"
    remedy = "Use the ticket for the run that it was issued for, or get another ticket."


class NotFound(Problem):
    """The resource does not exist, or the caller may not know that it exists."""

    code, status, title = "not_found", 404, "Not found"
    remedy = "Check the id."


class RouteNotFound(NotFound):
    """No operation has this path and method."""

    code = "route_not_found"
    remedy = "See /docs for all routes."


class MethodNotAllowed(Problem):
    """The path does not have this method. `allowed` are the methods that it has."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"
    remedy = "Use one of the methods in the Allow header."

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"This path has no method {method}.")
        self.allowed = allowed


class Conflict(Problem):
    """The state of the resource does not allow this."""

    code, status, title = "conflict", 409, "Conflict"
    remedy = "Read the current state, then decide again."


class Gone(Problem):
    """The requested data existed and has been deleted."""

    code, status, title = "gone", 410, "Gone"
    remedy = "Start again without it."


class PreconditionFailed(Problem):
    """The resource is not in the version that the request names."""

    code, status, title = "precondition_failed", 412, "Precondition failed"
    remedy = "Read it again and send the request with its current ETag."


class TooLarge(Problem):
    """The request body is over the limit."""

    code, status, title = "body_too_large", 413, "Content too large"
    remedy = "Send a smaller body, for example fewer images or a shorter prompt."


class UnsupportedMediaType(Problem):
    """The request body is not JSON."""

    code, status, title = "unsupported_media_type", 415, "Unsupported media type"
    remedy = "Send JSON with the header Content-Type: application/json."


class Unprocessable(Problem):
    """The request is not valid for the operation; `errors` lists where."""

    code, status, title = "validation_failed", 422, "Unprocessable content"
    remedy = "Correct the fields that detail names."

    def __init__(self, detail: str | None = None, *, errors: Sequence[Mapping[str, Any]] = (), **rest: Any) -> None:
        faults = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)
        super().__init__(detail or faults, errors=errors, **rest)


class RateLimited(Problem):
    """Too many requests."""

    code, status, title = "rate_limited", 429, "Too many requests"
    remedy = "Wait, for as long as Retry-After says if it is present, then retry."
    retryable = True


class TooMany(RateLimited):
    """The caller uses as much as this deployment allows one caller. Codegen was not called."""

    code = "too_many_requests"
    capped = True


class TooManyRefusedTokens(TooMany):
    """Many tokens from one address were refused in the last minute, so no unknown token is checked for a while."""

    code = "too_many_refused_tokens"
    remedy = "Wait for as long as Retry-After says, then send a valid token. Tokens that are in use are not affected."


class InternalError(Problem):
    """An unexpected error in the deployment. The answer does not describe it."""

    code, status, title = "internal_error", 500, "Internal server error"
    remedy = "Report the request_id to the operator of this deployment."
    effect_unknown = True


class NotSupported(Problem):
    """The Codegen API does not support this."""

    code, status, title = "not_supported", 501, "Not implemented"
    remedy = "There is none: the Codegen API does not support this."


class BadGateway(Problem):
    """The Codegen API failed, or its answer could not be read."""

    code, status, title = "upstream_failed", 502, "Bad gateway"
    remedy = "Retry later."
    retryable = True


class CredentialsRefused(BadGateway):
    """The Codegen API refused the deployment's own token. The caller is not at fault, so this is never a 401."""

    code = "upstream_refused_deployment"
    remedy = "The operator of this deployment must renew its Codegen token."
    retryable = False


class NoDeploymentToken(CredentialsRefused):
    """The deployment has no Codegen token of its own, and the request carries none."""

    code = "no_deployment_token"
    remedy = (
        "Send a Codegen API token instead, or ask the operator of this deployment to store one in the secret that the "
        "parameter CodegenTokenSecret names."
    )


class AnswerTooLarge(BadGateway):
    """The answer is larger than a Lambda function can return."""

    code = "answer_too_large"
    remedy = (
        "Request a smaller page with the parameter limit. An answer without pages can be read from the Codegen API "
        "itself, with a Codegen token and the same path."
    )
    retryable = False


class EntryTooLarge(AnswerTooLarge):
    """One entry of a list is larger than a Lambda function can return."""

    code = "entry_too_large"

    def __init__(self, position: int | None, *, is_log: bool) -> None:
        self.remedy = "Read this entry from the Codegen API, with a Codegen token and the same path."
        where = "The first entry of the page"
        if position is not None:
            where = f"The entry at position {position}"
            self.remedy += f" To go on without it, request the entries from position {position + 1} on."
        if is_log:
            self.remedy += " The run's events have a preview of it."
        super().__init__(f"{where} is larger than a Lambda function can return.")


class Unavailable(Problem):
    """The Codegen API reports that it is temporarily unavailable."""

    code, status, title = "upstream_unavailable", 503, "Service unavailable"
    remedy = "Wait, for as long as Retry-After says if it is present, then retry."
    retryable = True


class IdentityUnconfirmed(Unavailable):
    """The Codegen API cannot confirm the caller now, so the request is not executed."""

    code = "identity_unconfirmed"
    remedy = "Wait for as long as Retry-After says, then retry. Until then you can read, and star runs."


class StorageUnavailable(Unavailable):
    """The deployment's storage does not respond."""

    code = "storage_unavailable"
    remedy = "Retry in a moment."


class StorageRefused(StorageUnavailable):
    """The deployment's storage is not configured for this operation. Retrying will not help."""

    code, status, title = "storage_refused", 500, "Internal server error"
    remedy = "Report the request_id to the operator of this deployment."
    retryable = False


class GatewayTimeout(Problem):
    """The Codegen API did not respond in time."""

    code, status, title = "upstream_timeout", 504, "Gateway timeout"
    remedy = "Retry."
    retryable = True


def converts(kind: type[_Error]) -> Callable[[_Converter[_Error]], _Converter[_Error]]:
    """Register the function that turns errors of `kind`, and of its subclasses, into problems."""

    def register(converter: _Converter[_Error]) -> _Converter[_Error]:
        _converters[kind] = converter
        return converter

    return register


def of(error: Exception) -> Problem:
    """Return the problem that `error` is answered as; InternalError if no function for it is registered."""
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        if converter := _converters.get(kind):
            return converter(error)
    return InternalError()


def render(problem: Problem, instance: str, request_id: str) -> dict[str, Any]:
    """Return the body of the answer to `problem`.

    It has RFC 9457's members, ours, and those that programs written for the Codegen API read: `message`, `status_code`,
    and `detail` as FastAPI's list of errors if the request has any.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": [dict(error) for error in problem.errors] or problem.detail,
        "instance": instance,
        "code": problem.code,
        "request_id": request_id,
        "retryable": problem.retryable,
        "remedy": problem.remedy,
        "message": problem.detail,
        "status_code": problem.status,
    }
    if problem.errors:
        body["errors"] = [{"pointer": _pointer(error["loc"]), "detail": error["msg"]} for error in problem.errors]
    if problem.upstream is not None:
        body["upstream"] = dict(problem.upstream)
    return body | problem.extra


def _pointer(loc: Sequence[str | int]) -> str:
    """Return a JSON pointer whose first step is the part of the request: body, query, path or header."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in loc)
