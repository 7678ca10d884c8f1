"""The exceptions of the client, as one tree.

    CodegenAPIError
    ├── ConfigurationError             a setting is missing or invalid; nothing was sent
    ├── InvalidArgumentError           an argument is invalid; nothing was sent; also a ValueError
    ├── NotSupportedError              the server lacks the operation: the Codegen API instead of a deployment, or 501
    ├── TaskTimeoutError               a task did not end within the given timeout; also a TimeoutError
    ├── APIStatusError                 the server answered with an error status
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401
    │   ├── QuotaExceededError         402  the agent runs of the billing plan are used up
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ConflictError              409
    │   ├── ValidationError            422
    │   ├── RateLimitError             429
    │   └── ServerError                5xx
    ├── APIConnectionError             no response
    │   └── APITimeoutError            no response in time
    │       └── DeadlineExceededError  no response before the caller's deadline
    └── InvalidResponseError           the response is not what the API documents
        └── ResponseTooLargeError      the response has more bytes than the caller allows

An exception holds plain values and no reference to the request. So it does not lead to the token, and it can be
pickled.
"""

import json
from typing import Any, ClassVar

MAX_BODY = 16_384
"""Maximum length of the response body in an exception, in characters."""


class CodegenAPIError(Exception):
    """Base class of the exceptions of this client. Its text says what happened and what you can do.

    Attributes:
        message: What happened, in words: the server's own message if it sent one.
        remedy: What you can do: the server's own advice, else what the client knows; None for nothing.
        status_code: The HTTP status, or None without a response.
        body: The response body: parsed JSON, else text (cut to `MAX_BODY`), else None.
        request_id: The server's id of the request, if it sent one.
        retry_after: Seconds to wait before a retry, if the server sent `Retry-After`.
        effect_unknown: True if the request was not a GET and may have taken effect in spite of the error. A retry may
            then do it twice: check first whether it succeeded.
        method: The HTTP method of the failed request.
        path: The path of the failed request, relative to the base URL.
    """

    _passes: ClassVar[bool] = False
    """Whether a retry may succeed, unless the server says something else."""

    def __init__(
        self,
        message: str = "",
        *,
        remedy: str | None = None,
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
        self.remedy = remedy
        self.status_code = status_code
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.effect_unknown = effect_unknown
        self.method = method
        self.path = path

    @property
    def code(self) -> str | None:
        """The code of the error, such as `run_not_found`; None if the server sent none."""
        code = self.body.get("code") if isinstance(self.body, dict) else None
        return code if isinstance(code, str) else None

    @property
    def retryable(self) -> bool:
        """Whether a retry may succeed: what the server says, else what is known of this kind of error."""
        said = read_retryable(self.body)
        return self._passes if said is None else said

    @property
    def summary(self) -> str:
        """The status and the message, without the remedy."""
        return self.message if self.status_code is None else f"{self.status_code}: {self.message}"

    def __str__(self) -> str:
        if not self.remedy or self.remedy in self.message:
            return self.summary
        end = "" if self.summary.endswith((".", "!", "?")) else "."
        return f"{self.summary}{end} {self.remedy}"


class ConfigurationError(CodegenAPIError):
    """A setting is missing or invalid: the token, the organization, the base URL, a proxy, ... Nothing was sent."""


class InvalidArgumentError(CodegenAPIError, ValueError):
    """An argument is invalid, such as an id with other characters than digits or an empty prompt. Nothing was sent."""


class NotSupportedError(CodegenAPIError):
    """The server lacks this operation. The Codegen API lacks operations that a deployment of Codegen Runs has."""


class TaskTimeoutError(CodegenAPIError, TimeoutError):
    """A task did not end within the given timeout. It continues: you can wait again or cancel it."""

    _passes = True


class APIStatusError(CodegenAPIError):
    """The server answered with a 4xx or 5xx status."""


class BadRequestError(APIStatusError):
    """400: the server cannot do this, whatever your permissions."""


class AuthenticationError(APIStatusError):
    """401: the token is missing, wrong or expired."""


class QuotaExceededError(APIStatusError):
    """402: the agent runs of the billing plan are used up."""


class PermissionDeniedError(APIStatusError):
    """403: the user of the token is not in this organization or lacks the permission."""


class NotFoundError(APIStatusError):
    """404: no such run, user, repository or sandbox."""


class ConflictError(APIStatusError):
    """409: the current state of the resource does not allow this."""


class ValidationError(APIStatusError):
    """422: the request has invalid values; `body["detail"]` lists them."""


class RateLimitError(APIStatusError):
    """429: too many requests. This one had no effect."""

    _passes = True


class ServerError(APIStatusError):
    """5xx: the server failed."""

    _passes = True


class APIConnectionError(CodegenAPIError):
    """Could not reach the server, or the connection broke before the response was complete."""

    _passes = True


class APITimeoutError(APIConnectionError):
    """The server did not respond in time."""


class DeadlineExceededError(APITimeoutError):
    """The caller's deadline passed before a response arrived."""


class InvalidResponseError(CodegenAPIError):
    """The response is not what the API documents: not JSON, another structure, or a redirect."""


class ResponseTooLargeError(InvalidResponseError):
    """The response has more bytes than the caller allows."""


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
    """Return the exception class for a 4xx or 5xx status."""
    return _BY_STATUS.get(status, ServerError if status >= 500 else APIStatusError)


def read_body(text: str) -> Any:
    """Parse the body of an error response: JSON if it is valid and not too long, else text cut to `MAX_BODY`.

    An empty body is None.
    """
    text = text.strip()
    if len(text) <= MAX_BODY:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text[:MAX_BODY] or None


def read_retryable(body: Any) -> bool | None:
    """Return whether a retry may succeed, according to the body of an error response; None if it does not say so."""
    said = body.get("retryable") if isinstance(body, dict) else None
    return said if isinstance(said, bool) else None


def read_remedy(body: Any) -> str | None:
    """Return the advice in the body of an error response, or None."""
    remedy = body.get("remedy") if isinstance(body, dict) else None
    return remedy if isinstance(remedy, str) and remedy else None


def read_message(body: Any) -> str | None:
    """Return the message in the body of an error response, or None.

    The Codegen API uses two formats: `{"message", "status_code"}` for business errors, and FastAPI's `{"detail"}`,
    which is a text or, for 422, a list of `{"loc", "msg", "type"}`.
    """
    if isinstance(body, str):
        return body[:200]
    if not isinstance(body, dict):
        return None
    message = body.get("message") or body.get("detail")
    if isinstance(message, list):
        return "; ".join(_describe(problem) for problem in message) or None
    return message if isinstance(message, str) else None


def _describe(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    place = problem.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return ": ".join(part for part in (where, str(problem.get("msg", ""))) if part)
