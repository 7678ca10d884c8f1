"""Streams: objects to iterate over, and the flow that reads server-sent events.

A deployment ends each stream after some minutes, and a connection can break at any time. The flow then opens the stream
again after the last event that it has seen, so no event is lost or repeated.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from ._errors import CodegenAPIError, InvalidResponseError
from ._flows import RETRY_PAUSE, TRANSIENT, FailureLimit, retry_pause
from ._protocol import Emit, Read, StreamCall, StreamFlow, Wait

T = TypeVar("T")

MAX_FAILURES = 10
"""Requests in a row that may fail before a stream fails. Each of them is a call with all its retries."""


class Stream(Generic[T]):
    """Items that arrive one after another, to iterate over. `with` closes the connection early."""

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return next(self._items)

    def through(self, function: Callable[[T], T]) -> Self:
        """Return the stream of what a function makes of each item."""
        items = self._items

        def changed() -> Generator[T, None, None]:
            with closing(items):
                for item in items:
                    yield function(item)

        return type(self)(changed())

    def close(self) -> None:
        """Close the connection. What the server does continues."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Generic[T]):
    """Items that arrive one after another, to iterate over. `async with` closes the connection early."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await anext(self._items)

    def through(self, function: Callable[[T], T]) -> Self:
        """Return the stream of what a function makes of each item."""
        items = self._items

        async def changed() -> AsyncGenerator[T, None]:
            async with aclosing(items):
                async for item in items:
                    yield function(item)

        return type(self)(changed())

    async def close(self) -> None:
        """Close the connection. What the server does continues."""
        await self._items.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class Frame(NamedTuple):
    """A server-sent event: its name, its data as text, and its id if it has one."""

    event: str
    data: str
    id: str | None


class FrameReader:
    """Reads server-sent events from the parts of a response. What is incomplete waits for the next part."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: bytes) -> list[Frame]:
        """Return the frames that a further part completes."""
        # The two characters of a line end may arrive in two parts.
        *blocks, self._rest = (self._rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        return [frame for block in blocks if (frame := _frame(block.decode("utf-8", errors="replace")))]


def _frame(block: str) -> Frame | None:
    event, data, id_ = "message", [], None
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            id_ = value
    return Frame(event, "\n".join(data), id_) if data else None


def follow_frames(
    call: Callable[[str | None], StreamCall], after: str | None, read: Callable[[Frame], Any]
) -> StreamFlow:
    """Emit what the frames of a stream contain until its `stream_end`, from the event after `after` on.

    Args:
        call: Makes the call that opens the stream after an event.
        after: The id of the last event that is known; None for all events.
        read: Returns what a frame contains; None to leave it out. Raises ValueError if it cannot be read.
    """
    limit = FailureLimit(MAX_FAILURES)
    while True:
        try:
            response = yield call(after)
        except TRANSIENT as error:
            limit.count(error)
            yield Wait(retry_pause(limit.failures, error.retry_after))
            continue
        if response.parts is None:
            return  # 204: there is no further event
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise InvalidResponseError("the server did not return a stream of events")
        reader, before, arrived = FrameReader(), after, False
        cut: CodegenAPIError = InvalidResponseError("the stream ended before its first event")
        while True:
            try:
                part = yield Read(response)
            except TRANSIENT as error:
                cut = error
                break
            if part is None:
                break
            for frame in reader.feed(part):
                if frame.event == "stream_end":
                    return
                arrived = True
                limit.reset()
                item = _read(read, frame)
                after = frame.id or after
                if item is not None:
                    yield Emit(item)
        if not arrived:
            limit.count(cut)
        if after == before:
            yield Wait(RETRY_PAUSE)


def _read(read: Callable[[Frame], Any], frame: Frame) -> Any:
    try:
        return read(frame)
    except ValueError as error:
        raise InvalidResponseError(f"the server sent an event that cannot be read: {error}") from None
