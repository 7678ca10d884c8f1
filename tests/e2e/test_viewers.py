"""Three ways to watch one run on the whole local stack: however each viewer is cut, all see the same."""

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
from tests.support.viewers import frames

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
BEARER = {"Authorization": f"Bearer {DEMO_TOKEN}"}
CUTS = 100
LOGS = 500
HOUR = 3600.0
PATIENCE = 120

# Seconds for which a viewer is left alone at the most before it is cut, whether or not there was news.
LONGEST_LOOK = 0.4


class Viewer(ABC):
    """Watches a run, going on from the last event it has got, and is cut off a hundred times.

    Args:
        stack: Where the run is.
        run_id: The run.
        cut: Is called with each cut.
    """

    def __init__(self, stack: Stack, run_id: int, cut: Callable[[], None]) -> None:
        self.seen: list[dict[str, Any]] = []
        self.ends = 0
        self.random = Random(type(self).__name__)
        self._stack = stack
        self._run_id = run_id
        self._cut = cut
        # Without certificates, which take longer to read than an answer.
        self.http = httpx.AsyncClient(headers=BEARER, timeout=PATIENCE, trust_env=False, verify=False)

    async def watch(self) -> None:
        """Watch until the end is told."""
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
        """Connect, get what comes, and be cut after so many events."""

    @property
    def last_id(self) -> str | None:
        return self.seen[-1]["id"] if self.seen else None

    def take(self, events: list[dict[str, Any]], cut_after: int | None = None) -> None:
        """Keep events as all views show them; a link is only there where it leads somewhere."""
        self.seen += [
            {name: value for name, value in event.items() if name != "link" or value} for event in events[:cut_after]
        ]


class SseViewer(Viewer):
    """An EventSource."""

    async def look(self, cut_after: int | None) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        url = f"{self._stack.api_url}{RUNS}/{self._run_id}/logs/stream?poll_interval=0.5"
        answer = await self.http.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        # A page that is cut, mostly in the middle of a frame: what follows the last whole one never arrived.
        text = answer.text if cut_after is None else answer.text[: self.random.randrange(len(answer.text))]
        told = frames(text)
        self.take([frame["data"] for frame in told if frame["id"]])
        self.ends += cut_after is None and [frame["event"] for frame in told].count("stream_end")


class LongPollViewer(Viewer):
    """A loop over the JSON endpoint."""

    async def look(self, cut_after: int | None) -> None:
        after = f"&after={self.last_id}" if self.last_id else ""
        limit = max(1, cut_after or LOGS // 5)
        url = f"{self._stack.api_url}{RUNS}/{self._run_id}/events?wait=10&limit={limit}{after}"
        answer = await self.http.get(url)
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


def test_viewers_by_sse_websocket_and_long_poll_each_cut_a_hundred_times_see_the_same(paged: Stack) -> None:
    # At this pace, that is an hour.
    body = {"prompt": "Say hello.", "metadata": {"fake": {"steps": LOGS, "seconds": 10 * HOUR}}}
    with httpx.Client(base_url=paged.api_url, headers=BEARER, timeout=PATIENCE, trust_env=False) as http:
        run_id = http.post(RUNS, json=body).raise_for_status().json()["id"]
        fake = paged.fake
        assert fake

        def cut() -> None:
            """Let the run go on with each cut, so that it ends with the last of them, however fast the machine is."""
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
