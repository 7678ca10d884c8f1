"""The values that operations, the core and the drivers exchange. See `_core` and `_driver` for how they use them."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

from ._deadline import Deadline

T = TypeVar("T")

# Failures before the first byte was sent: the request had no effect.
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
    """One API call: what to send and how to read the response.

    Attributes:
        method: The HTTP method.
        path: Path relative to the base URL, with `/v1`.
        parse: Turns the response body into the result; raises ValueError if it cannot.
        params: Query parameters; None values are left out.
        body: JSON body; None values in it are left out. No body if None.
        idempotency_key: Sent with every attempt, so that the server recognizes a repeated request. Only for a server
            that supports it, because a call with a key is retried.
    """

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None

    @property
    def may_have_effect(self) -> bool:
        """Whether it may change something on the server."""
        return self.method != "GET"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice has the same effect as sending it once."""
        return not self.may_have_effect or self.idempotency_key is not None

    @property
    def operation(self) -> str:
        """Method and path, with `*` for each id. All requests of an operation share its rate limits."""
        parts = ("*" if any(map(str.isdigit, part)) and part != "v1" else part for part in self.path.split("/"))
        return f"{self.method} {'/'.join(parts)}"


class Send(NamedTuple):
    """Wait `after` seconds, send the request, and read the response before the deadline."""

    request: httpx.Request
    deadline: Deadline
    after: float = 0.0

    def check(self) -> None:
        """Check the deadline before each further part of a response, so that a slow response cannot outlast it.

        Raises:
            httpx.ReadTimeout: The deadline has passed.
        """
        if self.deadline.passed:
            raise httpx.ReadTimeout("the response was still incomplete at the deadline")


class Wait(NamedTuple):
    """A step of a flow: wait."""

    seconds: float


class Emit(NamedTuple):
    """A step of a stream: hand `item` to the caller that iterates over the stream."""

    item: Any


Step = Call[Any] | Wait

Flow = Generator[Step, Any, T]
"""An operation of several calls and pauses, as a generator.

It yields each step, and is sent the result of the step or gets its exception thrown in.
"""

Stream = Generator[Step | Emit, Any, None]
"""A flow that also yields items for the caller while it runs."""


class Response(NamedTuple):
    """What the server answered."""

    status: int
    headers: httpx.Headers
    content: bytes


class Failure(NamedTuple):
    """Why there is no response.

    It holds no reference to the exception of the HTTP library, which leads to the request and so to the token.
    """

    kind: type[httpx.RequestError]
    reason: str

    @classmethod
    def of(cls, error: httpx.RequestError) -> "Failure":
        """Describe an exception of the HTTP library."""
        return cls(type(error), f"{type(error).__name__}: {error}".removesuffix(": "))

    @property
    def sent(self) -> bool:
        """Whether the request may have reached the server."""
        return not issubclass(self.kind, _NOTHING_SENT)
