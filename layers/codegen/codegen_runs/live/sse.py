"""A run's events as server-sent events.

One plain ASGI app, served in two ways. Behind Mangum its answer is a page: what there is, or the first news within the
hold, and then the end, after which an `EventSource` comes back with the last id it has seen. Under a runtime that sends
on what the app sends (see `runtime`), the same answer goes on until the run ends or the platform's time is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.events import Event as RunEvent
from codegen_runs.http import admission, edge
from codegen_runs.http.proxy import Answer, Event
from codegen_runs.live.reading import START, CursorExpired, Reader, open_reader
from codegen_runs.live.stream_request import StreamRequest
from codegen_runs.live.views import Frame, LogView, View
from codegen_runs.problems import StorageUnavailable

logger = logging.getLogger(__name__)

# The ASGI extension of a server that sends each part of the answer on at once.
LIVE = "codegen_runs.live"

# Seconds that a page without news is held, well within the gateway's 29.
HOLD = 20.0

# Seconds that a live stream lasts. The gateway cuts it after 15 minutes, and Lambda at the function's timeout, of which
# a margin is kept to end in order.
LIFETIME = 840.0
MARGIN = 10.0

# Seconds within which the Codegen API has to know a run that nobody followed yet.
OPENING = 8.0

# Seconds of silence after which a comment keeps proxies from taking the connection for dead; the shortest such limit
# of API Gateway is 30.
KEEP_ALIVE = 15.0

# Seconds between two times that a live stream says somebody watches the run.
LOOK = 25.0

# Bytes of frames after which an answer ends and is resumed. Lambda's limits are 6 MB, of JSON in which every quote is
# escaped once more, and 200 MB for what is streamed.
MAX_PAGE = 2 * 1024 * 1024
MAX_STREAM = 100 * 1024 * 1024

# Milliseconds after which an EventSource comes back.
RETRY = 1000

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Serve = Callable[[bool, Event, LambdaContext, Backend], Answer]
"""Answers a request; its first argument says whether frames are sent on at once. The frames of a `viewing` follow."""


@dataclass(frozen=True)
class Viewing:
    """One answer in the making."""

    reader: Reader
    view: View
    place: str
    """The cursor that `first` follows."""
    first: Sequence[RunEvent]
    interval: float
    until: float
    room: int
    """Bytes of frames after which the answer ends."""
    waits: bool
    """Whether it goes on after the first news."""
    silence: float = KEEP_ALIVE
    """Seconds after which a comment says that it still does."""
    key: str | None = None


class FrameStream:
    """The ASGI app. Its scope holds the gateway's event, as Mangum puts it there.

    Args:
        serve: Answers a request, up to the frames, and reports errors as answers.
        backend: What to work with.
    """

    def __init__(self, serve: Serve, backend: Backend | None = None) -> None:
        self._answer = serve
        self.backend = backend or Backend()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request."""
        live = LIVE in scope.get("extensions", {})
        answer = await asyncio.to_thread(self._answer, live, scope["aws.event"], scope["aws.context"], self.backend)
        headers = [
            (name.lower().encode(), value.encode())
            for name, values in answer["multiValueHeaders"].items()
            for value in values
        ]
        await send({"type": "http.response.start", "status": answer["statusCode"], "headers": headers})
        if viewing := answer.get("viewing"):
            async with aclosing(self._frames(viewing)) as frames:
                async for frame in frames:
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": answer["body"].encode(), "more_body": False})

    async def _frames(self, viewing: Viewing) -> AsyncGenerator[bytes, None]:
        reader, view, clock = viewing.reader, viewing.view, self.backend.clock
        yield _opening(viewing)
        yield _written(view.opening(reader))
        events, sent = viewing.first, 0
        spoke = looked = clock.now()
        while True:
            try:
                frames = await asyncio.to_thread(view.show, events, reader) if events else []
            except StorageUnavailable:
                logger.warning("A stream ended early.", exc_info=True)
                return
            for frame in frames:
                written = _written(frame, viewing.key)
                yield written
                sent += len(written)
                # A slow reader may have taken all the time. The rest follows when it comes back with this id.
                if frame.id and (sent >= viewing.room or clock.now() >= viewing.until):
                    return
            if view.over or reader.ended:
                yield _written(Frame("stream.end", {"cursor": reader.cursor}))
                return
            now = clock.now()
            if now >= viewing.until or (sent and not events and not viewing.waits):
                return
            if events:
                spoke = now
            elif now - spoke >= viewing.silence:
                yield b": keep-alive\n\n"
                spoke = now
            try:
                if now - looked >= LOOK:
                    await asyncio.to_thread(reader.refresh)
                    looked = now
                if not events:
                    await asyncio.to_thread(clock.sleep, min(viewing.interval, viewing.until - now))
                events = await asyncio.to_thread(reader.next)
            except (CursorExpired, StorageUnavailable):
                # The answer has begun: it ends here, and the next one says what is wrong, if it still is.
                logger.warning("A stream ended early.", exc_info=True)
                return


class EventStream(FrameStream):
    """The stream of one run's events.

    Args:
        views: Further views of the log besides `log`, by the names that requests have for them.
        backend: What to work with.
    """

    def __init__(
        self, views: Mapping[str, Callable[[], View]] | None = None, *, backend: Backend | None = None
    ) -> None:
        # An error before the stream begins is answered as a problem.
        serve = {live: edge.answering(partial(self._serve, live)) for live in (False, True)}
        super().__init__(lambda live, event, context, work: serve[live](event, context, work), backend)
        self._views = {"log": LogView} | dict(views or {})

    def _serve(self, live: bool, event: Event, context: LambdaContext, backend: Backend) -> Answer:
        started, left = backend.clock.now(), context.get_remaining_time_in_millis() / 1000
        lasts = min(LIFETIME, left - MARGIN) if live else HOLD
        caller, request = admission.identify(event), StreamRequest.read(event)
        reader = open_reader(
            org_id=request.org_id,
            agent_run_id=request.agent_run_id,
            after=request.after,
            caller=caller,
            # A caller with a ticket has no token, and the run was followed when the ticket was issued.
            ask=caller.asks_codegen,
            backend=backend.acting_as(caller, deadline=min(OPENING, left - lasts)),
        )
        place = reader.cursor
        first = reader.next()
        headers = {"Stream-Retention-Seconds": [str(settings.event_retention())], "Cache-Control": ["no-store"]}
        if reader.ended and request.after and reader.after != START:
            # What stops an EventSource: it has seen all there is.
            return {"statusCode": 204, "multiValueHeaders": headers, "body": "", "isBase64Encoded": False}
        headers["Content-Type"] = ["text/event-stream; charset=utf-8"]
        key = event["requestContext"]["authorizer"].get("stream_key")
        viewing = Viewing(
            reader,
            self._views[request.view](),
            place,
            first,
            interval=request.poll_interval,
            until=started + lasts,
            room=MAX_STREAM if live else MAX_PAGE,
            waits=live,
            key=key,
        )
        return {"statusCode": 200, "multiValueHeaders": headers, "body": "", "viewing": viewing}


def _opening(viewing: Viewing) -> bytes:
    lines = [f"retry: {RETRY}"]
    if viewing.key:
        # An id without data, which an EventSource keeps and shows nobody: cut before the first event, it comes back
        # with the key all the same.
        lines.append(f"id: {viewing.place}~{viewing.key}")
    return ("\n".join(lines) + "\n\n").encode()


def _written(frame: Frame, key: str | None = None) -> bytes:
    """Write one frame; the names of the `event:` line have `_` for `.`."""
    lines = []
    if frame.id:
        lines.append(f"id: {frame.id}~{key}" if key else f"id: {frame.id}")
    lines += [f"event: {frame.name.replace('.', '_')}", f"data: {json.dumps(frame.data)}"]
    return ("\n".join(lines) + "\n\n").encode()
