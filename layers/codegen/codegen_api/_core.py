"""The request core: builds requests, reads answers, decides retries, keeps deadlines - and does no I/O.

`Core.exchange` is a generator. It yields each `Send`, the face that drives it waits and sends as told and hands back an
`Answer` or a `Fault`, until the generator returns the result or raises. So the blocking and the asynchronous client
share every decision.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx
import pydantic

from ._client_state import Memory
from ._deadline import INSTANT, Deadline, PhaseTimeouts
from ._errors import (
    APIConnectionError,
    APITimeoutError,
    CodegenAPIError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidResponseError,
    error_class,
    read_body,
    read_message,
)
from ._ids import Id, as_id
from ._protocol import Answer, Call, Fault, Send, retry_after
from ._retry import Attempt, RetryPolicy
from ._settings import Token
from ._version import __version__

T = TypeVar("T")

Exchange = Generator[Send, Answer | Fault, T]

log = logging.getLogger("codegen_api")

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "cf-ray")


@dataclass(frozen=True)
class Core:
    """The settings of one client, or of one view of it, and every decision that follows from them.

    Attributes:
        base_url: Where `/v1/...` lies, as `normalize_base_url` returns it.
        token: Goes into every request.
        org_id: The organization of calls that name none.
        timeout: Limits of one attempt.
        retry: Decides what is sent again.
        budget: Seconds each call may take with all its retries; None for no limit.
        clock: Monotonic seconds.
        headers: Sent with every request, besides our own.
        memory: What earlier answers told; shared by the views of one client.
        until: A moment on `clock` that no call may pass; infinite for never.
    """

    base_url: str
    token: Token
    org_id: int | None
    timeout: httpx.Timeout
    retry: RetryPolicy
    budget: float | None
    clock: Callable[[], float]
    headers: Mapping[str, str] = field(repr=False)
    memory: Memory = field(repr=False)
    until: float = math.inf

    def org(self, org_id: Id | None) -> int:
        """Return the organization of a call: its own, or the client's.

        Raises:
            ConfigurationError: Neither is given.
        """
        if org_id is not None:
            return as_id(org_id)
        if self.org_id is None:
            raise ConfigurationError("no organization: pass org_id or set CODEGEN_ORG_ID")
        return self.org_id

    def within(self, seconds: float) -> "Core":
        """Return these settings with a deadline that many seconds from now, or the one already set if earlier."""
        return replace(self, until=min(self.until, self.clock() + seconds))

    def patience(self, seconds: float) -> float:
        """Return how long a pause of so many seconds may last: no longer than the deadline allows."""
        return max(0.0, min(seconds, self.until - self.clock()))

    def exchange(self, call: Call[T]) -> Exchange[T]:
        """Carry one call through its attempts; the module's docstring tells how to drive it.

        Raises:
            CodegenAPIError: It failed; the tree is in `_errors`.
        """
        deadline = self._deadline()
        number = 1
        if deadline.passed:
            raise DeadlineExceededError(
                "the deadline passed before anything was sent", method=call.method, path=call.path
            )
        most = min(self.retry.max_retry_after, deadline.remaining - INSTANT)
        pause = self.memory.pause(call.kind, self.clock(), most=most)
        while True:
            started = self.clock() + pause
            request = self._request(call, deadline)
            outcome = yield Send(request, deadline, pause)
            self._note(call, outcome, number, self.clock() - started)
            if isinstance(outcome, Fault):
                error = self._failure(call, outcome, deadline)
            elif outcome.status == httpx.codes.NOT_MODIFIED and (kept := self.memory.kept(str(request.url))):
                self.memory.metrics.count_cached(hit=True)
                return self._result(call, outcome._replace(content=kept.content))
            elif 200 <= outcome.status < 300:
                if call.method == "GET":
                    self.memory.keep(str(request.url), outcome.headers, outcome.content)
                return self._result(call, outcome)
            else:
                error = self._refusal(call, outcome)
            wait = self.retry.pause(
                Attempt(
                    number,
                    call.repeatable,
                    sent=isinstance(outcome, Answer) or outcome.sent,
                    status=error.status_code,
                    retry_after=error.retry_after,
                )
            )
            if wait is None or wait + INSTANT >= deadline.remaining:
                raise error
            number, pause = number + 1, wait

    def _deadline(self) -> Deadline:
        at = self.until if self.budget is None else min(self.until, self.clock() + self.budget)
        return Deadline(at, self.clock)

    def _note(self, call: Call[Any], outcome: Answer | Fault, number: int, seconds: float) -> None:
        """Log an attempt, count it, and learn from it."""
        status = outcome.status if isinstance(outcome, Answer) else None
        told = self.token.scrub(outcome.reason) if isinstance(outcome, Fault) else status
        log.debug("%s %s -> %s (attempt %d, %.0f ms)", call.method, call.path, told, number, seconds * 1000)
        self.memory.metrics.count(status, seconds, retry=number > 1)
        if isinstance(outcome, Answer):
            refused_for = retry_after(outcome.headers, time.time()) if status == httpx.codes.TOO_MANY_REQUESTS else None
            self.memory.heed(call.kind, outcome.headers, self.clock(), refused_for=refused_for)

    def _request(self, call: Call[Any], deadline: Deadline) -> httpx.Request:
        headers = httpx.Headers(self.headers)
        headers.update(
            {
                "accept": "application/json",
                "accept-encoding": "gzip, deflate",
                "authorization": self.token.header,
                "user-agent": f"codegen-api-python/{__version__}",
            }
        )
        content = None
        if call.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(_given(call.body), allow_nan=False).encode()
        if call.idempotency_key is not None:
            headers["idempotency-key"] = call.idempotency_key
        request = httpx.Request(
            call.method,
            self.base_url + call.path,
            params=_given(call.params) or None,
            headers=headers,
            content=content,
            extensions={"timeout": PhaseTimeouts(self.timeout.as_dict(), deadline)},
        )
        if call.method == "GET" and (kept := self.memory.kept(str(request.url))):
            request.headers["if-none-match"] = kept.etag
        return request

    def _result(self, call: Call[T], answer: Answer) -> T:
        try:
            return call.parse(answer.content)
        except pydantic.ValidationError as error:
            # Not its text, which quotes the values: they may be anybody's.
            reason = "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()[:3])
        except (ValueError, RecursionError) as error:
            reason = str(error)
        raise self._error(InvalidResponseError, call, answer, f"the answer cannot be read: {reason}")

    def _refusal(self, call: Call[Any], answer: Answer) -> CodegenAPIError:
        if answer.status < 400:
            return self._error(InvalidResponseError, call, answer, "unexpected status: is the base URL right?")
        return self._error(error_class(answer.status), call, answer)

    def _error(
        self, kind: type[CodegenAPIError], call: Call[Any], answer: Answer, message: str | None = None
    ) -> CodegenAPIError:
        body = read_body(self.token.scrub(answer.content.decode("utf-8", errors="replace")))
        return kind(
            message or read_message(body) or httpx.codes.get_reason_phrase(answer.status),
            status_code=answer.status,
            body=body,
            request_id=next((answer.headers[name] for name in _REQUEST_ID_HEADERS if name in answer.headers), None),
            retry_after=retry_after(answer.headers, time.time()),
            # A 3xx or 4xx did nothing; a 5xx may have failed halfway, and a 2xx that cannot be read did it.
            effect_unknown=call.acts and not 300 <= answer.status < 500,
            method=call.method,
            path=call.path,
        )

    def _failure(self, call: Call[Any], fault: Fault, deadline: Deadline) -> CodegenAPIError:
        kind: type[CodegenAPIError] = APIConnectionError
        if issubclass(fault.kind, httpx.DecodingError):
            kind = InvalidResponseError
        elif issubclass(fault.kind, httpx.TimeoutException):
            kind = DeadlineExceededError if deadline.passed else APITimeoutError
        return kind(
            self.token.scrub(fault.reason),
            effect_unknown=fault.sent and call.acts,
            method=call.method,
            path=call.path,
        )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
