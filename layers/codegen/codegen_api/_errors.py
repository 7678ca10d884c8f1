"""What can go wrong, as one tree.

    CodegenAPIError
    ├── ConfigurationError             no token, no organization, an unusable base URL; nothing was sent
    ├── NotSupportedError              (or 501) Codegen's own API has no such thing; a deployment of Codegen Runs has
    ├── TaskTimeoutError               a task was waited for as long as was said; a TimeoutError, too
    ├── APIStatusError                 the upstream answered, and the answer is a refusal
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401
    │   ├── QuotaExceededError         402  the plan's agent runs are used up
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ConflictError              409
    │   ├── ValidationError            422
    │   ├── RateLimitError             429
    │   └── ServerError                5xx
    ├── APIConnectionError             no answer
    │   └── APITimeoutError            none in time
    │       └── DeadlineExceededError  none before the caller's own deadline
    └── InvalidResponseError           an answer that is not what the API promises

An error holds plain values, never the request: nothing in it leads to the token, and it survives pickling.
"""

import json
from typing import Any

MAX_BODY = 16_384
"""Characters of an answer's body that an error keeps."""


class CodegenAPIError(Exception):
    """Anything this client raises about the API.

    Attributes:
        message: What happened, for people; the upstream's own words where it has any.
        status_code: The HTTP status, or None when there was no answer.
        body: The answer's body: parsed JSON, else text (cut to `MAX_BODY`), else None.
        request_id: The upstream's id of the request, when it sent one.
        retry_after: Seconds the upstream asks to wait, when it said so.
        effect_unknown: True when the request was no GET and may have taken effect all the same. Sending it again may
            then do the thing twice: look first.
        method: The HTTP method of the failed request.
        path: Its path below the base URL.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        body: Any = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        effect_unknown: bool = False,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.effect_unknown = effect_unknown
        self.method = method
        self.path = path

    def __str__(self) -> str:
        return self.message if self.status_code is None else f"{self.status_code}: {self.message}"


class ConfigurationError(CodegenAPIError):
    """The client lacks something it needs: a token, an organization, a usable base URL."""


class NotSupportedError(CodegenAPIError):
    """The server cannot do this. Codegen's own API lacks it; a deployment of Codegen Runs in front of it has it."""


class TaskTimeoutError(CodegenAPIError, TimeoutError):
    """A task did not end in the time it was waited for. It goes on: wait again, or cancel it."""


class APIStatusError(CodegenAPIError):
    """The upstream answered with a 4xx or 5xx status."""


class BadRequestError(APIStatusError):
    """400: the upstream cannot do this, whatever the permissions."""


class AuthenticationError(APIStatusError):
    """401: the token is missing, wrong or expired."""


class QuotaExceededError(APIStatusError):
    """402: the billing plan's agent runs are used up."""


class PermissionDeniedError(APIStatusError):
    """403: the token's user is not in this organization, or may not do this."""


class NotFoundError(APIStatusError):
    """404: no such run, user, repository or sandbox."""


class ConflictError(APIStatusError):
    """409: the state of the thing does not allow this."""


class ValidationError(APIStatusError):
    """422: the upstream refuses the request's values; `body["detail"]` lists them."""


class RateLimitError(APIStatusError):
    """429: too many requests; nothing was done."""


class ServerError(APIStatusError):
    """5xx: the upstream failed."""


class APIConnectionError(CodegenAPIError):
    """The upstream could not be reached, or the connection broke before the answer was complete."""


class APITimeoutError(APIConnectionError):
    """The upstream did not answer in time."""


class DeadlineExceededError(APITimeoutError):
    """The caller's own deadline passed before an answer came."""


class InvalidResponseError(CodegenAPIError):
    """The answer is not what the API promises: not JSON, another shape, a redirect."""


_BY_STATUS: dict[int, type[CodegenAPIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
    501: NotSupportedError,
}


def error_class(status: int) -> type[CodegenAPIError]:
    """Choose the class for a 4xx or 5xx status."""
    return _BY_STATUS.get(status, ServerError if status >= 500 else APIStatusError)


def read_body(text: str) -> Any:
    """Read a body for an error: JSON if it is JSON and not too long, else text cut to `MAX_BODY`, None if empty."""
    text = text.strip()
    if len(text) <= MAX_BODY:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text[:MAX_BODY] or None


def read_message(body: Any) -> str | None:
    """Find the sentence for people in a refusal.

    Two shapes coexist upstream: `{"message", "status_code"}` for business errors, and FastAPI's `{"detail"}`, which is
    a text or, for 422, a list of `{"loc", "msg", "type"}`.
    """
    if isinstance(body, str):
        return body[:200]
    if not isinstance(body, dict):
        return None
    message = body.get("message") or body.get("detail")
    if isinstance(message, list):
        return "; ".join(_sentence(problem) for problem in message) or None
    return message if isinstance(message, str) else None


def _sentence(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    place = problem.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return ": ".join(part for part in (where, str(problem.get("msg", ""))) if part)
