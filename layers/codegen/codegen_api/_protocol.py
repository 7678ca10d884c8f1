"""What the core and the faces tell each other: a call, what to send for it, and how that went."""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

from ._deadline import Deadline

T = TypeVar("T")

# Failures before the first byte: whatever the request was to do, it was not done.
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One operation: what to send, and how to read a 200.

    Attributes:
        method: The HTTP method.
        path: Path below the base URL, from `/v1` on.
        parse: Turns the body into the result; raises ValueError if it cannot.
        params: Query; None values are left out.
        body: JSON body; None values are left out. None: no body.
        idempotency_key: By which the server knows that a request was sent before; sent with every attempt. Only for a
            server that heeds it, because a request that has one is repeated.
    """

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None

    @property
    def acts(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is like sending it once."""
        return not self.acts or self.idempotency_key is not None

    @property
    def kind(self) -> str:
        """The operation: method and path with each id left out. Rate limits are for all requests of one kind."""
        steps = ("*" if any(map(str.isdigit, step)) and step != "v1" else step for step in self.path.split("/"))
        return f"{self.method} {'/'.join(steps)}"


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


class Wait(NamedTuple):
    """A step of a flow: wait `seconds`."""

    seconds: float


class Emit(NamedTuple):
    """A step of a stream: give `item` to whoever iterates."""

    item: Any


Step = Call[Any] | Wait

Flow = Generator[Step, Any, T]
"""An operation of several calls and pauses: yields each step and is sent its result, or has its error thrown in."""

Stream = Generator[Step | Emit, Any, None]
"""A flow that also emits items while it runs."""


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
        return cls(type(error), f"{type(error).__name__}: {error}".removesuffix(": "))

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the upstream."""
        return not issubclass(self.kind, _NOTHING_SENT)


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
