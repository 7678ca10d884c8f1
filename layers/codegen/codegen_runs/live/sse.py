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

from codegen_runs import edge, settings
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.events import Event
from codegen_runs.live.entries import entry
from codegen_runs.live.requests import StreamRequest
from codegen_runs.live.subscriptions import START, CursorExpired, Subscription
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

Subscribe = Callable[[StreamRequest, Caller, float], Subscription]
"""Opens the subscription that a caller asks for, within a number of seconds."""


@dataclass(frozen=True)
class _Viewing:
    """One answer in the making."""

    subscription: Subscription
    place: str
    """The cursor that `first` follows."""
    first: Sequence[Event]
    interval: float
    until: float
    live: bool
    key: str | None

    @property
    def room(self) -> int:
        return MAX_STREAM if self.live else MAX_PAGE


class EventStream:
    """The ASGI app. Its scope holds the gateway's event, as Mangum puts it there.

    Args:
        subscribe: Opens a subscription.
        clock: The time.
    """

    def __init__(self, subscribe: Subscribe, *, clock: Clock) -> None:
        self._subscribe = subscribe
        self._clock = clock
        self._open = {live: edge.answering(partial(self._serve, live)) for live in (False, True)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer one request; what goes wrong before the stream begins is answered as a problem."""
        live = LIVE in scope.get("extensions", {})
        answer = await asyncio.to_thread(self._open[live], scope["aws.event"], scope["aws.context"])
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

    def _serve(self, live: bool, event: edge.Event, context: LambdaContext) -> edge.Answer:
        started, left = self._clock.now(), context.get_remaining_time_in_millis() / 1000
        lasts = min(LIFETIME, left - MARGIN) if live else HOLD
        caller, request = edge.identify(event), StreamRequest.read(event)
        subscription = self._subscribe(request, caller, min(OPENING, left - lasts))
        place = subscription.cursor
        first = subscription.next()
        headers = {"Stream-Retention-Seconds": [str(settings.event_retention())], "Cache-Control": ["no-store"]}
        if subscription.ended and request.after and subscription.after != START:
            # What stops an EventSource: it has seen all there is.
            return {"statusCode": 204, "multiValueHeaders": headers, "body": "", "isBase64Encoded": False}
        headers["Content-Type"] = ["text/event-stream; charset=utf-8"]
        key = event["requestContext"]["authorizer"].get("stream_key")
        viewing = _Viewing(subscription, place, first, request.poll_interval, started + lasts, live, key)
        return {"statusCode": 200, "multiValueHeaders": headers, "body": "", "viewing": viewing}

    async def _frames(self, viewing: _Viewing) -> AsyncGenerator[bytes, None]:
        subscription, clock = viewing.subscription, self._clock
        yield _opening(viewing)
        snapshot = subscription.snapshot().model_dump(mode="json")
        yield _frame("run.snapshot", snapshot | {"expired": subscription.expired})
        events, sent = viewing.first, 0
        spoke = looked = clock.now()
        while True:
            for event in events:
                frame = _event_frame(event, subscription.watch.org_id, viewing.key)
                yield frame
                sent += len(frame)
                # A slow reader may have taken all the time. The rest follows when it comes back with this id.
                if sent >= viewing.room or clock.now() >= viewing.until:
                    return
            if subscription.ended:
                yield _frame("stream.end", {"cursor": subscription.cursor})
                return
            now = clock.now()
            if now >= viewing.until or (sent and not events and not viewing.live):
                return
            if events:
                spoke = now
            elif now - spoke >= KEEP_ALIVE:
                yield b": keep-alive\n\n"
                spoke = now
            try:
                if now - looked >= LOOK:
                    await asyncio.to_thread(subscription.refresh)
                    looked = now
                if not events:
                    await asyncio.to_thread(clock.sleep, min(viewing.interval, viewing.until - now))
                events = await asyncio.to_thread(subscription.next)
            except (CursorExpired, StorageUnavailable):
                # The answer has begun: it ends here, and the next one says what is wrong, if it still is.
                logger.warning("A stream ended early.", exc_info=True)
                return


def _opening(viewing: _Viewing) -> bytes:
    lines = [f"retry: {RETRY}"]
    if viewing.key:
        # An id without data, which an EventSource keeps and shows nobody: cut before the first event, it comes back
        # with the key all the same.
        lines.append(f"id: {viewing.place}~{viewing.key}")
    return ("\n".join(lines) + "\n\n").encode()


def _event_frame(event: Event, org_id: int, key: str | None) -> bytes:
    shown = entry(event, org_id)
    data = shown.model_dump(mode="json", exclude=set() if shown.link else {"link"})
    return _frame(event.type, data, f"{event.id}~{key}" if key else event.id)


def _frame(name: str, data: Mapping[str, Any], id_: str | None = None) -> bytes:
    """Write one frame; the names of the `event:` line have `_` for `.`."""
    lines = [f"id: {id_}"] if id_ else []
    lines += [f"event: {name.replace('.', '_')}", f"data: {json.dumps(data)}"]
    return ("\n".join(lines) + "\n\n").encode()
