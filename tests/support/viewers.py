"""Viewers of a run in tests: after each interruption, a viewer continues after the last event that reached it."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from codegen_runs.callers import Caller
from codegen_runs.live.sse import LIVE
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from tests.support import handlers
from tests.support.events import Answer, Context, call, rest, serving

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token=DEMO_TOKEN)


def stream_event(
    agent_run_id: Any,
    query: str = "",
    last_id: str | None = None,
    org_id: int = DEMO_ORG_ID,
    caller: Caller = ADA,
    base_path: str = "",
) -> dict[str, Any]:
    """Return the proxy event of a request for a stream."""
    return rest(
        "GET",
        f"/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream{query}",
        caller=caller,
        base_path=base_path,
        headers={"Last-Event-ID": last_id} if last_id else {},
    )


def stream(agent_run_id: Any, query: str = "", last_id: str | None = None, org_id: int = DEMO_ORG_ID) -> Answer:
    """Request a page of a stream."""
    return call(handlers.handler("live/stream"), stream_event(agent_run_id, query, last_id, org_id))


def stream_live(event: dict[str, Any], on_part: Callable[[bytes], None] = lambda part: None) -> Answer:
    """Request a live stream, part by part. If `on_part` raises ConnectionError, the viewer disconnects."""
    return answer_live("live/stream", event, on_part)


def answer_live(handler: str, event: dict[str, Any], on_part: Callable[[bytes], None] = lambda part: None) -> Answer:
    """Send a request to a handler of a gateway that streams, and take the answer part by part."""
    parts: list[bytes] = []
    start: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["body"]:
            on_part(message["body"])
            parts.append(message["body"])

    scope = {
        "type": "http",
        "extensions": {LIVE: {}},
        "aws.event": event,
        "aws.context": Context(milliseconds_left=900_000),
    }
    # Not asyncio.run, which would close the event loop that Mangum uses.
    loop = asyncio.new_event_loop()
    with closing(loop), suppress(ConnectionError), serving(handlers.load(handler).stream) as app:
        loop.run_until_complete(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], b"".join(parts).decode(), headers)


def list_events(agent_run_id: Any, query: str = "", org_id: int = DEMO_ORG_ID) -> Answer:
    """Request events as JSON."""
    event = rest("GET", f"/v1/organizations/{org_id}/agent/run/{agent_run_id}/events{query}", caller=ADA)
    return call(handlers.handler("live/events"), event)


def frames(text: str) -> list[dict[str, Any]]:
    """Return the complete frames of a text, without a frame that was cut off."""
    found = []
    for frame in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append({"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])})
    return found


@dataclass
class Viewer:
    """Watches a run until its end. `seen` has the events that have reached it, by id and type."""

    agent_run_id: int
    random: Random
    seen: list[tuple[str | None, str]] = field(default_factory=list)
    cuts: int = 0
    done: bool = False

    @property
    def last_id(self) -> str | None:
        return next((id_ for id_, _ in reversed(self.seen) if id_), None)

    def cut_after(self) -> int | None:
        """Decide after how many frames this answer is cut. The first hundred answers are cut."""
        if self.cuts == 100:
            return None
        self.cuts += 1
        return self.random.randrange(8)

    def take(self, frames: Sequence[dict[str, Any]]) -> None:
        for frame in frames:
            if frame["event"] != "run_snapshot":
                self.seen.append((frame["id"], frame["event"].replace("_", ".", 1)))


class PageViewer(Viewer):
    """An EventSource on pages."""

    def look(self) -> None:
        answer = stream(self.agent_run_id, last_id=self.last_id)
        if answer.status == 204:
            self.done = True
            return
        text = answer.text
        if (whole := self.cut_after()) is not None:
            ends = [end.end() for end in re.finditer("\n\n", text)]
            text = text[: ends[min(whole, len(ends) - 1)] - self.random.randrange(3)]
        self.take(frames(text))


class LiveViewer(Viewer):
    """An EventSource on a live stream."""

    def look(self) -> None:
        cut_after = self.cut_after()
        sent = count()

        def on_part(_: bytes) -> None:
            if next(sent) == cut_after:
                raise ConnectionResetError

        answer = stream_live(stream_event(self.agent_run_id, last_id=self.last_id), on_part)
        if answer.status == 204:
            self.done = True
            return
        self.take(frames(answer.text))


class LongPollViewer(Viewer):
    """A loop over the JSON endpoint."""

    def look(self) -> None:
        limit = self.random.randrange(1, 10) if self.cuts < 100 else 100
        after = f"&after={self.last_id}" if self.last_id else ""
        answer = list_events(self.agent_run_id, f"?wait={self.random.choice([0, 1, 25])}&limit={limit}{after}")
        assert answer.status == 200, answer.text
        if self.random.random() < 0.7 and self.cut_after() is not None:
            return  # the answer never arrived
        self.seen += [(item["id"], item["type"]) for item in answer.json["items"]]
        if answer.json["ended"]:
            self.seen.append((None, "stream.end"))
            self.done = True
