"""The values that operations, the core and the drivers exchange. See `_core` and `_driver` for how they use them."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

from ._deadline import Deadline
from ._errors import InvalidArgumentError

T = TypeVar("T")

Json = Any
"""A response whose form is not documented."""

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "cf-ray")

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
        max_bytes: The most bytes that the response body may have; None for no limit.
        accept: The media type to ask for.
    """

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    max_bytes: int | None = None
    accept: str = "application/json"

    @property
    def may_have_effect(self) -> bool:
        """Whether it may change something on the server."""
        return self.method not in ("GET", "HEAD")

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice has the same effect as sending it once."""
        return not self.may_have_effect or self.idempotency_key is not None

    def payload(self, more: Mapping[str, Any]) -> "Payload | None":
        """Return the body to send, with the fields of `more` that it does not have itself.

        Raises:
            InvalidArgumentError: A value has no form in JSON.
        """
        if self.body is None:
            return None
        body = {**more, **without_none(self.body)}
        try:
            return Payload(json.dumps(body, allow_nan=False).encode(), "application/json")
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"an argument cannot be written as JSON: {error}") from None

    def result(self, response: "Response") -> T:
        """Return the result of the call. Raises ValueError if the response has none."""
        return self.parse(response.content)

    @property
    def operation(self) -> str:
        """Method and path, with `*` for each id. All requests of an operation share its rate limits."""
        parts = ("*" if any(map(str.isdigit, part)) and part != "v1" else part for part in self.path.split("/"))
        return f"{self.method} {'/'.join(parts)}"


class Send(NamedTuple):
    """Wait `after` seconds, send the request, and read the response before the deadline.

    If the body of the response has more than `max_bytes` bytes, the rest of it is not read. With `stream`, the body
    of a 200 is not read but left to iterate over.
    """

    request: httpx.Request
    deadline: Deadline
    after: float = 0.0
    max_bytes: int | None = None
    stream: bool = False

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


class Read(NamedTuple):
    """A step of a stream: read the next part of an open response, None at its end."""

    response: "Response"


class Emit(NamedTuple):
    """A step of a stream: hand `item` to the caller that iterates over the stream."""

    item: Any


Step = Call[Any] | Wait | Read

Flow = Generator[Step, Any, T]
"""An operation of several calls and pauses, as a generator.

It yields each step, and is sent the result of the step or gets its exception thrown in.
"""

StreamFlow = Generator[Step | Emit, Any, None]
"""A flow that also yields items for the caller while it runs."""


class Payload(NamedTuple):
    """The body of a request, and its media type if it has one."""

    content: bytes
    media_type: str | None


class Response(NamedTuple):
    """A response of the server.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        content: The body; empty for a stream.
        parts: The parts of a stream, as they arrive; None for a response that has been read.
    """

    status: int
    headers: httpx.Headers
    content: bytes
    parts: Any = None

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, if it sent one."""
        return next((self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), None)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, request_id={self.request_id!r}, {len(self.content)} bytes)"


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


def _not_parsed(_content: bytes) -> Response:
    raise NotImplementedError("a raw call returns the response itself")


@dataclass(frozen=True, slots=True)
class RawCall(Call[Response]):
    """A call of an operation that the client does not know. Its result is the response itself.

    Attributes:
        content: The body, sent as it is; None for none.
        content_type: The media type of the body.
    """

    parse: Callable[[bytes], Response] = field(default=_not_parsed, init=False)
    content: bytes | None = None
    content_type: str | None = None

    def payload(self, more: Mapping[str, Any]) -> Payload | None:  # noqa: ARG002 - a raw body has no fields
        """Return the body to send."""
        return None if self.content is None else Payload(self.content, self.content_type)

    def result(self, response: Response) -> Response:
        """Return the response."""
        return response


@dataclass(frozen=True, slots=True)
class StreamCall(Call[Response]):
    """A call whose response is a stream of server-sent events. Its result is the open response."""

    parse: Callable[[bytes], Response] = field(default=_not_parsed, init=False)
    accept: str = field(default="text/event-stream", init=False)

    def result(self, response: Response) -> Response:
        """Return the response."""
        return response


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def any_json(content: bytes) -> Json:
    """Parse a response of any form; None if it is empty."""
    return json.loads(content) if content.strip() else None


def no_content(_content: bytes) -> None:
    """Read a response without content."""
