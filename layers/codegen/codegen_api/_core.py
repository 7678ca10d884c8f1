"""The request core: builds requests, reads responses, decides on retries and keeps deadlines. It does no I/O.

`Core.exchange` is a generator. It yields each `Send`. The driver waits and sends the request, and passes the `Response`
or the `Failure` to the generator, until the generator returns the result or raises an exception. So the blocking and
the asynchronous client share every decision.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from ._client_state import ClientState
from ._deadline import INSTANT, Deadline, PhaseTimeouts
from ._errors import (
    APIConnectionError,
    APITimeoutError,
    CodegenAPIError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    InvalidResponseError,
    ResponseTooLargeError,
    error_class,
    read_body,
    read_message,
    read_remedy,
    read_retryable,
)
from ._ids import Id, as_id
from ._protocol import Call, Failure, Response, Send, StreamCall, without_none
from ._retry import Attempt, RetryPolicy, read_retry_after
from ._settings import Token
from ._version import __version__

T = TypeVar("T")

Exchange = Generator[Send, Response | Failure, T]

_ORGANIZATION = re.compile(r"/v1/(?:alpha/)?organizations/(\d+)(?:/|$)")

log = logging.getLogger("codegen_api")


@dataclass(frozen=True)
class Core:
    """The settings of one client or of one view of it, and every decision that depends on them.

    Attributes:
        base_url: The URL that `/v1/...` is appended to, as `normalize_base_url` returns it.
        token: Sent with every request.
        org_id: The default organization of calls.
        timeout: Timeouts of one attempt.
        retry: Decides which requests are retried.
        sources: Where each of these values comes from, for messages.
        call_seconds: Seconds that each call may take with all its retries; None for no limit.
        clock: Returns monotonic seconds.
        headers: Additional headers of every request.
        state: What earlier responses reported; shared by the views of one client.
        deadline: Time on `clock` that no call may exceed; infinite for no deadline.
        more_query: Query parameters of every request, unless the call has them itself.
        more_body: Fields of every JSON body, unless the call has them itself.
        on_response: Called with each response; None for nothing.
    """

    base_url: str
    token: Token
    org_id: int | None
    timeout: httpx.Timeout
    retry: RetryPolicy
    sources: Mapping[str, str] = field(repr=False)
    call_seconds: float | None
    clock: Callable[[], float]
    headers: Mapping[str, str] = field(repr=False)
    state: ClientState = field(repr=False)
    deadline: float = math.inf
    more_query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    more_body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    on_response: Callable[[Response], object] | None = None

    def org(self, org_id: Id | None) -> int:
        """Return the organization of a call: its own, else the client's default.

        Raises:
            ConfigurationError: There is neither.
        """
        if org_id is not None:
            return as_id(org_id)
        if self.org_id is None:
            raise ConfigurationError("no organization: pass org_id or set CODEGEN_ORG_ID")
        return self.org_id

    def with_deadline(self, seconds: float) -> "Core":
        """Return these settings with a deadline in `seconds` from now, or with the current one if that is earlier."""
        return replace(self, deadline=min(self.deadline, self.clock() + seconds))

    def with_more(self, query: Mapping[str, Any], body: Mapping[str, Any]) -> "Core":
        """Return these settings with further query parameters, and further fields of JSON bodies."""
        return replace(self, more_query={**self.more_query, **query}, more_body={**self.more_body, **body})

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        on_response: Callable[[Response], object] | None = None,
    ) -> "Core":
        """Return these settings with other ones. What is None stays."""
        return replace(
            self,
            timeout=self.timeout if timeout is None else httpx.Timeout(timeout),
            retry=retry or self.retry,
            headers={**self.headers, **(headers or {})},
            on_response=on_response or self.on_response,
        )

    def cut_to_deadline(self, seconds: float) -> float:
        """Return the length of a pause that ends at the deadline at the latest."""
        return max(0.0, min(seconds, self.deadline - self.clock()))

    def check_deadline(self) -> None:
        """Raise DeadlineExceededError if the deadline has passed."""
        if self.clock() + INSTANT > self.deadline:
            raise DeadlineExceededError("the deadline passed while the stream was read")

    def stream_error(self, failure: Failure) -> CodegenAPIError:
        """Return the exception for a stream that was cut."""
        kind = APITimeoutError if issubclass(failure.kind, httpx.TimeoutException) else APIConnectionError
        return kind(self.token.scrub(failure.reason), remedy=self._reachable(failure))

    def _reachable(self, failure: Failure) -> str | None:
        """Return what can be done about a failed connection."""
        if issubclass(failure.kind, httpx.DecodingError):
            return None
        server = f"{self.base_url}, from {self.sources.get('base_url', 'the argument base_url')}"
        return f"Check that the server is running and that its address is right: {server}."

    def exchange(self, call: Call[T]) -> Exchange[T]:
        """Carry out one call with all its attempts. The docstring of this module describes how to drive it.

        Raises:
            CodegenAPIError: The call failed; see `_errors` for the exceptions.
        """
        deadline = self._call_deadline()
        number = 1
        if deadline.passed:
            raise DeadlineExceededError(
                "the deadline passed before the request was sent", method=call.method, path=call.path
            )
        max_pause = min(self.retry.max_retry_after, deadline.remaining - INSTANT)
        pause = self.state.pause(call.operation, self.clock(), max_seconds=max_pause)
        while True:
            started = self.clock() + pause
            request = self._request(call, deadline)
            outcome = yield Send(request, deadline, pause, call.max_bytes, isinstance(call, StreamCall))
            self._record(call, outcome, number, self.clock() - started)
            if isinstance(outcome, Failure):
                error = self._connection_error(call, outcome, deadline)
            elif outcome.status == httpx.codes.NOT_MODIFIED and (cached := self.state.cached(str(request.url))):
                self.state.metrics.count_cached(hit=True)
                return self._result(call, outcome._replace(content=cached.content))
            elif 200 <= outcome.status < 300:
                if call.method == "GET":
                    self.state.cache(str(request.url), outcome.headers, outcome.content)
                return self._result(call, outcome)
            else:
                error = self._status_error(call, outcome)
            wait = self.retry.pause(
                Attempt(
                    number,
                    call.repeatable,
                    sent=isinstance(outcome, Response) or outcome.sent,
                    status=error.status_code,
                    retry_after=error.retry_after,
                    retryable=read_retryable(error.body),
                )
            )
            if wait is None or wait + INSTANT >= deadline.remaining:
                raise error
            number, pause = number + 1, wait

    def _call_deadline(self) -> Deadline:
        ends_at = self.deadline if self.call_seconds is None else min(self.deadline, self.clock() + self.call_seconds)
        return Deadline(ends_at, self.clock)

    def _record(self, call: Call[Any], outcome: Response | Failure, number: int, seconds: float) -> None:
        """Log an attempt, count it, and read the rate limits in its response."""
        status = outcome.status if isinstance(outcome, Response) else None
        ended = self.token.scrub(outcome.reason) if isinstance(outcome, Failure) else status
        log.debug("%s %s -> %s (attempt %d, %.0f ms)", call.method, call.path, ended, number, seconds * 1000)
        self.state.metrics.count(status, seconds, retry=number > 1)
        if isinstance(outcome, Response):
            if self.on_response:
                self.on_response(outcome)
            refused = status == httpx.codes.TOO_MANY_REQUESTS
            refused_for = read_retry_after(outcome.headers, time.time()) if refused else None
            self.state.update_rate_limits(call.operation, outcome.headers, self.clock(), refused_for=refused_for)

    def _request(self, call: Call[Any], deadline: Deadline) -> httpx.Request:
        headers = httpx.Headers(self.headers)
        headers.update(
            {
                "accept": call.accept,
                "accept-encoding": "gzip, deflate",
                "authorization": self.token.header,
                "user-agent": f"codegen-api-python/{__version__}",
            }
        )
        payload = call.payload(self.more_body)
        if payload and payload.media_type:
            headers["content-type"] = payload.media_type
        if call.idempotency_key is not None:
            headers["idempotency-key"] = _printable("an idempotency key", call.idempotency_key)
        try:
            request = httpx.Request(
                call.method,
                self.base_url + call.path,
                params={**self.more_query, **without_none(call.params)} or None,
                headers=headers,
                content=payload and payload.content,
                extensions={"timeout": PhaseTimeouts(self.timeout.as_dict(), deadline)},
            )
        except (UnicodeError, httpx.InvalidURL) as error:
            raise InvalidArgumentError(f"an argument cannot be sent: {type(error).__name__}") from None
        if call.method == "GET" and (cached := self.state.cached(str(request.url))):
            request.headers["if-none-match"] = cached.etag
        return request

    def _result(self, call: Call[T], response: Response) -> T:
        if call.max_bytes is not None and len(response.content) > call.max_bytes:
            message = f"the response has more than {call.max_bytes} bytes"
            raise self._response_error(ResponseTooLargeError, call, response, message)
        try:
            return call.result(response)
        except (ValueError, RecursionError) as error:
            reason = _reason(error)
        raise self._response_error(InvalidResponseError, call, response, f"the response is not valid: {reason}")

    def _status_error(self, call: Call[Any], response: Response) -> CodegenAPIError:
        if response.status < 400:
            return self._response_error(
                InvalidResponseError, call, response, "unexpected status: is the base URL correct?"
            )
        return self._response_error(error_class(response.status), call, response)

    def _remedy(self, call: Call[Any], response: Response, body: Any) -> str | None:
        """Return what can be done about an error response."""
        token, organization = self.sources.get("token", "the token"), _ORGANIZATION.match(call.path)
        if response.status == httpx.codes.UNAUTHORIZED:
            # Not what the server advises: to send a token does not help, because one was sent.
            return (
                f"The server {self.base_url} refused {token}: check that it is a token of this server and not expired."
            )
        if response.status == httpx.codes.FORBIDDEN and organization:
            source = self.sources.get("org_id", "the argument org_id")
            chosen = source if self.org_id == int(organization[1]) else "the argument org_id"
            about = f"This is about organization {organization[1]}, from {chosen}."
            return " ".join(filter(None, (read_remedy(body), about)))
        return read_remedy(body)

    def _response_error(
        self, kind: type[CodegenAPIError], call: Call[Any], response: Response, message: str | None = None
    ) -> CodegenAPIError:
        body = read_body(self.token.scrub(response.content.decode("utf-8", errors="replace")))
        return kind(
            message or read_message(body) or httpx.codes.get_reason_phrase(response.status),
            remedy=None if message else self._remedy(call, response, body),
            status_code=response.status,
            body=body,
            request_id=response.request_id,
            retry_after=read_retry_after(response.headers, time.time()),
            # A 3xx or 4xx had no effect. A 5xx may have failed halfway. A 2xx had its effect, though it is not valid.
            effect_unknown=call.may_have_effect and not 300 <= response.status < 500,
            method=call.method,
            path=call.path,
        )

    def _connection_error(self, call: Call[Any], failure: Failure, deadline: Deadline) -> CodegenAPIError:
        kind: type[CodegenAPIError] = APIConnectionError
        if issubclass(failure.kind, httpx.DecodingError):
            kind = InvalidResponseError
        elif issubclass(failure.kind, httpx.TimeoutException):
            kind = DeadlineExceededError if deadline.passed else APITimeoutError
        return kind(
            self.token.scrub(failure.reason),
            remedy=None if kind is DeadlineExceededError else self._reachable(failure),
            effect_unknown=failure.sent and call.may_have_effect,
            method=call.method,
            path=call.path,
        )


def _printable(name: str, value: str) -> str:
    if not isinstance(value, str) or not value or not all(" " <= character <= "~" for character in value):
        raise InvalidArgumentError(f"{name} must be printable ASCII characters, not {value!r}")
    return value


def _reason(error: Exception) -> str:
    """Return why a response cannot be read."""
    faults = getattr(error, "errors", None)  # of Pydantic, which is not imported for this
    if faults is None:
        return str(error)
    # Not str(error), which quotes the values: they may be confidential.
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults()[:3])
