"""Three ways to watch one run, by viewers whose connections are cut again and again: all get the same events."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import httpx
from websockets.asyncio.client import connect

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support.profiles import examples
from tests.support.viewers import frames

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
BEARER = {"Authorization": f"Bearer {DEMO_TOKEN}"}
CUTS = examples(40)
LOGS = 500
HOUR = 3600.0
PATIENCE = 300

# Connections that were cut keep processes busy until the next event. Unlike Lambda, a slow machine may have no other
# process for 29 s. The viewer then connects again.
BUSY = 504

# Seconds after which a connection is cut if no event came.
LONGEST_LOOK = 0.4


class Viewer(ABC):
    """A client that watches a run, loses its connection again and again, and resumes after its last event.

    Args:
        stack: The stack that the run is on.
        run_id: The run.
        cut: Called with each cut.

    Attributes:
        seen: The events that it has got.
        ends: How often it has got the end of the stream.
    """

    def __init__(self, stack: Stack, run_id: int, cut: Callable[[], None]) -> None:
        self.seen: list[dict[str, Any]] = []
        self.ends = 0
        self.random = Random(type(self).__name__)
        self._stack = stack
        self._run_id = run_id
        self._cut = cut
        # Reading certificates would take longer than a request.
        self.http = httpx.AsyncClient(headers=BEARER, timeout=PATIENCE, trust_env=False, verify=False)

    async def watch(self) -> None:
        """Watch until the end of the stream."""
        async with self.http:
            for _ in range(CUTS):
                with suppress(TimeoutError):
                    async with asyncio.timeout(LONGEST_LOOK):
                        await self.look(cut_after=self.random.randrange(10))
                self._cut()
            while not self.ends:
                await self.look(cut_after=None)

    @abstractmethod
    async def look(self, cut_after: int | None) -> None:
        """Connect, and take events until the connection is cut after this number of them, or never for None."""

    @property
    def last_id(self) -> str | None:
        return self.seen[-1]["id"] if self.seen else None

    def take(self, events: list[dict[str, Any]], cut_after: int | None = None) -> None:
        """Keep events in the form that all three views share: only SSE and JSON leave out an empty link."""
        self.seen += [
            {name: value for name, value in event.items() if name != "link" or value} for event in events[:cut_after]
        ]


class SseViewer(Viewer):
    """An EventSource."""

    async def look(self, cut_after: int | None) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        url = f"{self._stack.api_url}{RUNS}/{self._run_id}/logs/stream?poll_interval=0.5"
        answer = await self.http.get(url, headers=headers)
        if answer.status_code == BUSY:
            return
        assert answer.status_code == 200, answer.text
        # Cut the page, mostly in the middle of a frame. `frames` ignores an incomplete frame.
        text = answer.text if cut_after is None else answer.text[: self.random.randrange(len(answer.text))]
        received = frames(text)
        self.take([frame["data"] for frame in received if frame["id"]])
        self.ends += cut_after is None and [frame["event"] for frame in received].count("stream_end")


class LongPollViewer(Viewer):
    """A loop over the JSON endpoint."""

    async def look(self, cut_after: int | None) -> None:
        after = f"&after={self.last_id}" if self.last_id else ""
        limit = max(1, cut_after or LOGS // 5)
        url = f"{self._stack.api_url}{RUNS}/{self._run_id}/events?wait=10&limit={limit}{after}"
        answer = await self.http.get(url)
        if answer.status_code == BUSY:
            return
        assert answer.status_code == 200, answer.text
        self.take(answer.json()["items"], cut_after)
        self.ends += cut_after is None and answer.json()["ended"]


class SocketViewer(Viewer):
    """A WebSocket."""

    async def look(self, cut_after: int | None) -> None:
        after = {"after": self.last_id} if self.last_id else {}
        async with connect(self._stack.websocket_url, additional_headers=BEARER, max_queue=None) as socket:
            await socket.send(json.dumps({"action": "subscribe", "run_id": self._run_id} | after))
            try:
                while True:
                    frame = json.loads(await socket.recv())
                    assert frame["type"] in ("subscribed", "snapshot", "events", "stream.end"), frame
                    if frame["type"] == "events":
                        self.take(frame["events"], cut_after)
                        if cut_after is not None:
                            break
                    if frame["type"] == "stream.end":
                        self.ends += cut_after is None
                        break
            finally:
                socket.transport.abort()


def test_viewers_by_sse_websocket_and_long_poll_get_the_same_events_through_many_cuts(paged: Stack) -> None:
    # An hour: the pace of the fake is 0.1.
    body = {"prompt": "Say hello.", "metadata": {"fake": {"steps": LOGS, "seconds": 10 * HOUR}}}
    with httpx.Client(base_url=paged.api_url, headers=BEARER, timeout=PATIENCE, trust_env=False) as http:
        run_id = http.post(RUNS, json=body).raise_for_status().json()["id"]
        fake = paged.fake
        assert fake

        def cut() -> None:
            """Advance the run with each cut, so that it ends with the last one on a machine of any speed."""
            fake.clock.advance(HOUR / (3 * CUTS))

        viewers = [kind(paged, run_id, cut) for kind in (SseViewer, LongPollViewer, SocketViewer)]

        async def story() -> None:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                for viewer in viewers:
                    group.create_task(viewer.watch())

        asyncio.run(story())
        whole = viewers[0].seen
        assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
        assert [event["type"] for event in whole].count("run.log") >= LOGS
        assert [event["type"] for event in whole].count("run.completed") == 1
        assert whole[-1]["type"] == "run.completed"
        for viewer in viewers:
            assert viewer.seen == whole
            assert viewer.ends == 1
        after = {"Last-Event-ID": whole[-1]["id"]}
        assert http.get(f"{RUNS}/{run_id}/logs/stream", headers=after).status_code == 204
