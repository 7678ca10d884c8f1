"""A run's events as server-sent events.

The app is plain ASGI and knows only its subscription. Behind Mangum its answer is a page: what there is, or the first
news within the hold, and then the end, after which an `EventSource` comes back with the last id it has seen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from codegen_runs.clock import Clock
from codegen_runs.events import Event
from codegen_runs.live.subscriptions import START, Subscription

# Milliseconds after which an EventSource comes back.
RETRY = 1000

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class EventPage:
    """The ASGI app that answers one subscription.

    Args:
        subscription: Who reads what, from where on.
        clock: Whose time the hold is measured in.
        hold: Seconds to wait for news when there are none.
        interval: Seconds between two looks.
    """

    def __init__(self, subscription: Subscription, *, clock: Clock, hold: float, interval: float) -> None:
        self._subscription = subscription
        self._clock = clock
        self._hold = hold
        self._interval = interval

    async def __call__(self, _scope: Mapping[str, Any], _receive: Receive, send: Send) -> None:
        """Send the page."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for frame in self._frames():
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self) -> AsyncIterator[bytes]:
        subscription = self._subscription
        yield f"retry: {RETRY}\n\n".encode()
        if subscription.after == START:
            snapshot = await asyncio.to_thread(subscription.snapshot)
            yield _frame("run.snapshot", snapshot.model_dump(mode="json"))
        until = self._clock.now() + self._hold
        seen = 0
        while True:
            events = await asyncio.to_thread(subscription.next)
            for event in events:
                yield _frame(event.type, _data(event), event.id)
            seen += len(events)
            if events:
                continue
            if subscription.ended:
                yield _frame("stream.end", {"cursor": "{}-{}".format(*subscription.after)})
                return
            if seen or self._clock.now() >= until:
                return
            await asyncio.to_thread(self._clock.sleep, self._interval)


def _data(event: Event) -> dict[str, Any]:
    return {"id": event.id, **event.model_dump(mode="json")}


def _frame(name: str, data: Mapping[str, Any], id_: str | None = None) -> bytes:
    """Write one frame; the names of the `event:` line have `_` for `.`."""
    lines = [f"id: {id_}"] if id_ else []
    lines += [f"event: {name.replace('.', '_')}", f"data: {json.dumps(data)}"]
    return ("\n".join(lines) + "\n\n").encode()
