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
from email.utils import parsedate_to_datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import pydantic

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
from ._retry import Attempt, RetryPolicy
from ._version import __version__

T = TypeVar("T")

Id = int | str
"""An id: an integer, or its decimal digits as text. The upstream's own are integers everywhere."""

DEFAULT_BASE_URL = "https://api.codegen.com"

log = logging.getLogger("codegen_api")

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "cf-ray")
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
# A socket asked to wait 0 s would not wait but fail in another way, and nothing useful fits into less than this.
_INSTANT = 0.01


def as_id(value: Id) -> int:
    """Return an id as the integer the upstream expects. It is then safe in a path as it stands.

    Raises:
        ValueError: It is not a whole number.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError(f"not an id: {value!r}")
    return int(value)


def normalize_base_url(base_url: str) -> str:
    """Return the address below which `/v1/...` lies: without `/v1`, without a slash at the end, any prefix kept.

    Raises:
        ConfigurationError: It is not an http(s) address, or it carries credentials, a query or a fragment.
    """
    # No message quotes the address: it may hold credentials.
    try:
        parts = urlsplit(base_url.strip())
        url = httpx.URL(
            urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1").rstrip("/"), "", ""))
        )
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationError("the base URL cannot be read") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("the base URL must be an http:// or https:// address")
    if url.userinfo or parts.query or parts.fragment:
        raise ConfigurationError("the base URL takes no credentials, query or fragment")
    return str(url)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After` as seconds, from its number or its HTTP date; None when absent or unreadable.

    A date is measured against the answer's own `Date` where there is one, so that our clock need not agree with
    the upstream's; otherwise against `now` (Unix seconds).
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until, sent = _unix(value), _unix(headers.get("date", ""))
        if until is None:
            return None
        seconds = until - (now if sent is None else sent)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _unix(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None


class Token:
    """A bearer token that shows itself nowhere but in the header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        value = value.strip()  # secrets stored from a shell end with a newline
        # Refused here, because the HTTP stack would quote an illegal header value in its error.
        if not value or not all("!" <= character <= "~" for character in value):
            raise ConfigurationError("the token must be visible ASCII characters without spaces")
        self._value = value

    @property
    def header(self) -> str:
        """The `Authorization` header's value."""
        return f"Bearer {self._value}"

    def scrub(self, text: str) -> str:
        """Blank the token out of a text, should an upstream or a proxy echo it."""
        return text.replace(self._value, "[token]")

    def __repr__(self) -> str:
        return "Token(...)"

    def __reduce__(self) -> Any:
        raise TypeError("a token is not to be pickled")


class Deadline:
    """A moment on a clock, or never."""

    __slots__ = ("_at", "_clock")

    def __init__(self, at: float, clock: Callable[[], float]) -> None:
        self._at = at
        self._clock = clock

    @property
    def remaining(self) -> float:
        """Seconds left; infinite for never."""
        return self._at - self._clock()

    @property
    def passed(self) -> bool:
        """Whether too little is left to do anything with."""
        return self.remaining < _INSTANT


class PhaseTimeouts(dict[str, float | None]):
    """Time limits by phase (connect, write, read, pool), in seconds, that shrink as a deadline comes nearer.

    The transport looks a limit up when its phase begins. So the phases of one attempt share what is left, where fixed
    limits would grant it to each of them anew.
    """

    def __init__(self, limits: Mapping[str, float | None], deadline: Deadline) -> None:
        super().__init__(limits)
        self._deadline = deadline

    def get(self, phase: str, default: Any = None) -> Any:
        """Return the phase's limit, cut to what is left."""
        limit = super().get(phase, default)
        left = max(_INSTANT, self._deadline.remaining)
        if limit is None:
            return None if left == math.inf else left
        return min(limit, left)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One operation: what to send, and how to read a 200.

    Attributes:
        method: GET or POST.
        path: Path below the base URL, from `/v1` on.
        parse: Turns the body into the result; raises ValueError if it cannot.
        params: Query; None values are left out.
        body: JSON body; None values are left out. None: no body.
    """

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is like sending it once."""
        return self.method == "GET"


class Send(NamedTuple):
    """Wait `after` seconds, send the request, and read its answer before the deadline."""

    request: httpx.Request
    deadline: Deadline
    after: float = 0.0

    def check(self) -> None:
        """Call before taking in a further piece of the answer, so that a trickle cannot outlast the deadline.

        Raises:
            httpx.ReadTimeout: The deadline has passed.
        """
        if self.deadline.passed:
            raise httpx.ReadTimeout("the answer was still coming in at the deadline")


class Answer(NamedTuple):
    """What the upstream answered."""

    status: int
    headers: httpx.Headers
    content: bytes


class Fault(NamedTuple):
    """Why no answer came.

    It takes what matters out of the HTTP stack's exception, which leads to the request and so to the token.
    """

    kind: type[httpx.RequestError]
    reason: str

    @classmethod
    def of(cls, error: httpx.RequestError) -> "Fault":
        """Describe an exception of the HTTP stack."""
        return cls(type(error), f"{type(error).__name__}: {error}")

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the upstream."""
        return not issubclass(self.kind, _NOTHING_SENT)


Exchange = Generator[Send, Answer | Fault, T]


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

    def exchange(self, call: Call[T]) -> Exchange[T]:
        """Carry one call through its attempts; the module's docstring tells how to drive it.

        Raises:
            CodegenAPIError: It failed; the tree is in `_errors`.
        """
        deadline = self._deadline()
        number, pause = 1, 0.0
        if deadline.passed:
            raise DeadlineExceededError(
                "the deadline passed before anything was sent", method=call.method, path=call.path
            )
        while True:
            started = self.clock() + pause
            outcome = yield Send(self._request(call, deadline), deadline, pause)
            log.debug(
                "%s %s -> %s (attempt %d, %.0f ms)",
                call.method,
                call.path,
                outcome.status if isinstance(outcome, Answer) else outcome.reason,
                number,
                (self.clock() - started) * 1000,
            )
            if isinstance(outcome, Fault):
                error = self._failure(call, outcome, deadline)
            elif 200 <= outcome.status < 300:
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
            if wait is None or wait + _INSTANT >= deadline.remaining:
                raise error
            number, pause = number + 1, wait

    def _deadline(self) -> Deadline:
        at = self.until if self.budget is None else min(self.until, self.clock() + self.budget)
        return Deadline(at, self.clock)

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
        return httpx.Request(
            call.method,
            self.base_url + call.path,
            params=_given(call.params) or None,
            headers=headers,
            content=content,
            extensions={"timeout": PhaseTimeouts(self.timeout.as_dict(), deadline)},
        )

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
            effect_unknown=not call.repeatable and not 300 <= answer.status < 500,
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
            effect_unknown=fault.sent and not call.repeatable,
            method=call.method,
            path=call.path,
        )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
