"""The frames that a WebSocket client receives.

| type                   | meaning                                                            |
|------------------------|--------------------------------------------------------------------|
| `subscribed`           | a subscription has begun; all its frames contain its id            |
| `snapshot`             | the run, or the multi-run, as it is now                            |
| `events`               | the next events of the log                                         |
| `stream.end`           | the run has ended, and the subscription with it                    |
| `unsubscribed`, `pong` | the answers to `unsubscribe` and `ping`                            |
| `error`                | the problem with a message, or the end of a subscription           |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codegen_runs import problems
from codegen_runs.events import Event, shorten
from codegen_runs.links import link_to_run
from codegen_runs.live.entries import entry, preview
from codegen_runs.live.reading import Reader, RunReader
from codegen_runs.problems import Problem
from codegen_runs.redaction import redact
from codegen_runs.storage.connections import Subscription
from codegen_runs.storage.runs import Watch

# Bytes. API Gateway accepts larger messages, and bills them in units of this size.
MAX_FRAME = 32 * 1024

MAX_RESULT_CHARACTERS = 2_000
MAX_REASON_CHARACTERS = 500


def frame(type_: str, **content: Any) -> bytes:
    """Return a frame."""
    return json.dumps(redact({"type": type_, **content})).encode()


def snapshot_frame(subscription: Subscription, reader: Reader[Any], expired: int = 0) -> bytes:
    """Return the snapshot of a run or a multi-run, with the number of its first events that are no longer stored.

    A long result is replaced by a preview; the link leads to the whole result.
    """
    snapshot = reader.snapshot().model_dump(mode="json")
    if isinstance(reader, RunReader):
        snapshot |= _shortened(subscription, reader.watch)
    return frame("snapshot", **target(subscription), snapshot=snapshot | {"expired": expired})


def _shortened(subscription: Subscription, watch: Watch) -> dict[str, Any]:
    result, cut = shorten(watch.result, MAX_RESULT_CHARACTERS)
    return {
        "result": result,
        "result_truncated": cut or watch.result_truncated,
        "status_reason": shorten(watch.status_reason, MAX_REASON_CHARACTERS)[0],
        **({"link": link_to_run(subscription.org_id, watch.agent_run_id)} if watch.agent_run_id else {}),
    }


def end_frame(subscription: Subscription, cursor: tuple[int, int]) -> bytes:
    """Return the frame that ends a subscription, because the run has ended."""
    return frame("stream.end", **target(subscription), cursor="{}-{}".format(*cursor))


def lost_frame(subscription: Subscription, problem: Problem) -> bytes:
    """Return the frame that ends a subscription, because its next events are no longer stored."""
    error = problems.render(problem, "websocket:subscribe", subscription.id)
    return frame("error", action="subscribe", **target(subscription), error=error)


def event_frames(subscription: Subscription, events: Sequence[Event]) -> Iterator[tuple[Event, bytes]]:
    """Yield the events in as few frames as possible, each frame with the last event in it."""
    room = MAX_FRAME - len(_events_frame(subscription, []))
    batch: list[str] = []
    size = 0
    last = None
    for event in events:
        text = _event(subscription, event, room)
        if last and size + len(text) + 2 > room:
            yield last, _events_frame(subscription, batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 2
        last = event
    if last:
        yield last, _events_frame(subscription, batch)


def target(subscription: Subscription) -> dict[str, Any]:
    """Return the fields that identify the subscription and the run of a frame."""
    run: Mapping[str, Any] = {"run_id": subscription.run_id}
    if subscription.multi_run_id is not None:
        run = {"multi_run_id": subscription.multi_run_id, "part": subscription.part}
    return {"subscription": subscription.id, **run}


def _events_frame(subscription: Subscription, events: Sequence[str]) -> bytes:
    head = frame("events", **target(subscription))
    return head[:-1] + b', "events": [' + ", ".join(events).encode() + b"]}"


def _event(subscription: Subscription, event: Event, room: int) -> str:
    text = json.dumps(entry(event, subscription.org_id).model_dump(mode="json"))
    if len(text) > room:
        text = json.dumps(preview(event, subscription.org_id).model_dump(mode="json"))
    return text
