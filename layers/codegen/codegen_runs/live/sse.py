"""The events of a run, or of a multi-run, as server-sent events.

One plain ASGI app, served in two ways. Behind Mangum its answer is a page: the stored events, or else the first events
within `HOLD` seconds, and then the end. An `EventSource` then reconnects with the last id that it has seen. Under a
runtime that streams (see `runtime`), the same answer continues until the run ends or the time of the platform is over.
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

from codegen_runs import links, settings
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.events import Event as RunEvent
from codegen_runs.http import admission, edge, methods, routing
from codegen_runs.http.proxy import Answer, Event
from codegen_runs.limits.shares import Hold
from codegen_runs.live.reading import START, CursorExpired, Reader, open_reader
from codegen_runs.live.stream_request import StreamRequest
from codegen_runs.live.viewers import LOOK_SECONDS, close, is_open, open_stream
from codegen_runs.live.views import Frame, LogView, View
from codegen_runs.problems import StorageUnavailable, Unprocessable
from codegen_runs.redaction import redact

logger = logging.getLogger(__name__)

# The ASGI extension of a server that sends each part of the answer at once.
LIVE = "codegen_runs.live"

# Seconds that a page waits for its first event. API Gateway's limit for an answer is 29.
HOLD = 20.0

# Seconds that a live stream lasts. API Gateway cuts it after 15 minutes, and Lambda at the function's timeout. The
# margin before that timeout is for ending the stream in order.
LIFETIME = 840.0
MARGIN = 10.0

# Seconds within which the upstream must return a run that is not followed yet.
UPSTREAM_SECONDS = 8.0

# Seconds without a frame after which a comment keeps the connection open. API Gateway's shortest idle timeout is 30.
KEEP_ALIVE = 15.0

# Seconds after which a live stream records again that the run has a viewer, and looks whether it is still counted.
VIEW_INTERVAL = LOOK_SECONDS

# Bytes of frames after which an answer ends and the viewer reconnects. Lambda's limits are 6 MB for a page, as JSON in
# which every quote is escaped once more, and 200 MB for a streamed answer.
MAX_PAGE = 2 * 1024 * 1024
MAX_STREAM = 100 * 1024 * 1024

# Milliseconds after which an EventSource reconnects.
RETRY = 1000

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Serve = Callable[[bool, Event, LambdaContext, Backend], Answer]
"""Answers a request. Its first argument says whether frames are sent at once. The frames of a `stream` follow."""


@dataclass(frozen=True)
class Stream:
    """The frames of one answer, and its limits."""

    reader: Reader[Any]
    view: View
    cursor: str
    """The cursor that the `first` events follow."""
    first: Sequence[RunEvent]
    interval: float
    """Seconds between two reads of events."""
    until: float
    """The epoch second at which the answer ends."""
    max_bytes: int
    """Bytes of frames after which the answer ends."""
    continues: bool
    """Whether the answer continues after the first events."""
    keep_alive: float = KEEP_ALIVE
    """Seconds without a frame after which a comment is sent."""
    key: str | None = None
    """The stream key of a viewer with a ticket."""
    hold: Hold | None = None
    """The share of the user's streams that this one takes; None if it does not count."""


class FrameStream:
    """The ASGI app. Its scope holds the gateway's event, as Mangum puts it there.

    Args:
        serve: Answers a request, without the frames, and returns errors as answers.
        backend: What to work with.
    """

    def __init__(self, serve: Serve, backend: Backend | None = None) -> None:
        self._answer = serve
        self.backend = backend or Backend()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request."""
        with links.below(routing.base_path_of(scope["aws.event"])):
            await self._respond(scope, send)

    async def _respond(self, scope: Message, send: Send) -> None:
        live = LIVE in scope.get("extensions", {})
        answer = await asyncio.to_thread(self._answer, live, scope["aws.event"], scope["aws.context"], self.backend)
        headers = [
            (name.lower().encode(), value.encode())
            for name, values in answer["multiValueHeaders"].items()
            for value in values
            if value is not None
        ]
        await send({"type": "http.response.start", "status": answer["statusCode"], "headers": headers})
        if stream := answer.get("stream"):
            try:
                async with aclosing(self._frames(stream)) as frames:
                    async for frame in frames:
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
            finally:
                if stream.hold:
                    await asyncio.to_thread(close, stream.hold, backend=self.backend)
        await send({"type": "http.response.body", "body": answer["body"].encode(), "more_body": False})

    async def _frames(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        reader, view, clock = stream.reader, stream.view, self.backend.clock
        yield _opening(stream)
        yield _written(view.opening(reader))
        events, sent = stream.first, 0
        last_sent = viewed = clock.now()
        while True:
            try:
                frames = await asyncio.to_thread(view.show, events, reader) if events else []
            except StorageUnavailable:
                logger.warning("A stream ended early.", exc_info=True)
                return
            for frame in frames:
                written = _written(frame, stream.key)
                yield written
                sent += len(written)
                # A slow viewer may have used up the time. The rest follows when the viewer reconnects with this id.
                if frame.id and (sent >= stream.max_bytes or clock.now() >= stream.until):
                    return
            if view.over or reader.ended:
                yield _written(Frame("stream.end", {"cursor": reader.cursor}))
                return
            now = clock.now()
            if now >= stream.until or (sent and not events and not stream.continues):
                return
            if events:
                last_sent = now
            elif now - last_sent >= stream.keep_alive:
                yield b": keep-alive\n\n"
                last_sent = now
            try:
                if now - viewed >= VIEW_INTERVAL:
                    if stream.hold and not await asyncio.to_thread(is_open, stream.hold, backend=self.backend):
                        return  # The viewer has reconnected.
                    await asyncio.to_thread(reader.refresh)
                    viewed = now
                if not events:
                    await asyncio.to_thread(clock.sleep, min(stream.interval, stream.until - now))
                events = await asyncio.to_thread(reader.next)
            except (CursorExpired, StorageUnavailable):
                # The answer has begun, so it only ends. If the error persists, the next request is answered with it.
                logger.warning("A stream ended early.", exc_info=True)
                return


class EventStream(FrameStream):
    """The stream of the events of one run, or of one multi-run.

    Args:
        views: The views of a run besides `log`, by their names in requests.
        backend: What to work with.
    """

    def __init__(
        self, views: Mapping[str, Callable[[], View]] | None = None, *, backend: Backend | None = None
    ) -> None:
        # An error before the first frame is answered as a problem.
        serve = {live: edge.answering(partial(self._serve, live)) for live in (False, True)}
        super().__init__(lambda live, event, context, work: serve[live](event, context, work), backend)
        self._views = {"log": LogView} | dict(views or {})

    def _serve(self, live: bool, event: Event, context: LambdaContext, backend: Backend) -> Answer:
        methods.served(event, ["GET"])
        started, left = backend.clock.now(), context.get_remaining_time_in_millis() / 1000
        lasts = min(LIFETIME, left - MARGIN) if live else HOLD
        org_id = routing.organization_of(event)
        caller, request = admission.identify(event, org_id), StreamRequest.read(event, org_id)
        views = event["httpMethod"] == "GET"  # HEAD has no effect.
        acting = backend.acting_as(caller, deadline=min(UPSTREAM_SECONDS, left - lasts))
        reader, view = self._opened(request, caller, views=views, backend=acting)
        cursor = reader.cursor
        first = reader.next()
        headers = {"Stream-Retention-Seconds": [str(settings.event_retention())], "Cache-Control": ["no-store"]}
        if reader.ended and request.after and reader.after != START:
            # 204 stops an EventSource, which has seen all events.
            return {"statusCode": 204, "multiValueHeaders": headers, "body": "", "isBase64Encoded": False}
        headers["Content-Type"] = ["text/event-stream; charset=utf-8"]
        key = event["requestContext"]["authorizer"].get("stream_key")
        hold = None
        if views:
            resumes = request.after is not None
            hold = open_stream(caller, reader.followed.key, seconds=lasts, resumes=resumes, backend=backend)
        stream = Stream(
            reader,
            view,
            cursor,
            first,
            interval=request.poll_interval,
            until=started + lasts,
            max_bytes=MAX_STREAM if live else MAX_PAGE,
            continues=live,
            key=key,
            hold=hold,
        )
        return {"statusCode": 200, "multiValueHeaders": headers, "body": "", "stream": stream}

    def _opened(
        self, request: StreamRequest, caller: Caller, *, views: bool, backend: Backend
    ) -> tuple[Reader[Any], View]:
        if request.multi_run_id is not None:
            # Imported here, because a stream of a run needs none of it.
            from codegen_runs.live.multi_runs import open_multi_run_reader

            if request.view != "log":
                raise Unprocessable(errors=[_no_view(request.view)])
            multi_run = open_multi_run_reader(
                org_id=request.org_id, multi_run_id=request.multi_run_id, after=request.after, backend=backend
            )
            return multi_run, LogView("multi_run")
        run = open_reader(
            org_id=request.org_id,
            agent_run_id=request.agent_run_id or 0,
            after=request.after,
            caller=caller,
            # A caller with a ticket has no token. The run has been followed since the ticket was issued.
            may_follow=caller.asks_codegen,
            views=views,
            backend=backend,
        )
        return run, self._views[request.view]()


def _no_view(name: str) -> dict[str, Any]:
    return {"loc": ["query", "view"], "msg": f"A multi-run has no view {name}.", "type": "no_such_view"}


def _opening(stream: Stream) -> bytes:
    lines = [f"retry: {RETRY}"]
    if stream.key:
        # An EventSource stores an id without data and dispatches no event for it. So it reconnects with the key even if
        # the connection is lost before the first event.
        lines.append(f"id: {stream.cursor}~{stream.key}")
    return ("\n".join(lines) + "\n\n").encode()


def _written(frame: Frame, key: str | None = None) -> bytes:
    """Return one frame as text; a name in the `event:` line has `_` for `.`."""
    lines = []
    if frame.id:
        lines.append(f"id: {frame.id}~{key}" if key else f"id: {frame.id}")
    lines += [f"event: {frame.name.replace('.', '_')}", f"data: {json.dumps(redact(frame.data))}"]
    return ("\n".join(lines) + "\n\n").encode()
