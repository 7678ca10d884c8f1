"""The callers, the viewers, and the receiver of webhooks. They record what they see."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from local.soak import histories
from local.soak.plan import Action, Step, View

if TYPE_CHECKING:
    from collections.abc import Iterator

# A request is tried this often, as a client does that retries errors of the server.
_TRIES = 5
# API Gateway answers within 29 seconds.
_TIMEOUT = 40.0
_WAIT_SECONDS = 10
_PAUSE_SECONDS = 0.5
# A viewer by WebSocket asks again if no frame came for so long.
_SILENCE_SECONDS = 15.0
# The shares of the messages that the receiver refuses at first, and that it answers slowly.
_REFUSED = 0.1
_SLOW = 0.1
_SLOW_SECONDS = 3.0


@dataclass
class Recorder:
    """What the callers and the viewers saw."""

    requests: list[histories.Request] = field(default_factory=list)
    views: list[histories.View] = field(default_factory=list)
    started: dict[str, str] = field(default_factory=dict)
    multi_runs: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)


class Callers:
    """All callers of a soak.

    Args:
        http: The client, with the base URL of the API.
        websocket_url: The URL of the WebSocket API.
        org_id: The organization.
        tokens: The token of each caller.
    """

    def __init__(self, http: httpx.AsyncClient, websocket_url: str, org_id: int, tokens: list[str]) -> None:
        self.recorder = Recorder()
        self._http = http
        self._websocket_url = websocket_url
        self._organization = f"/v1/organizations/{org_id}"
        self._tokens = tokens
        self._viewers: set[asyncio.Task[None]] = set()

    async def play(self, steps: tuple[Step, ...]) -> None:
        """Carry out all steps at their times. Viewers may still be watching when this returns."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for step in steps:
                await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
                group.create_task(self._step(step))

    async def finish(self, seconds: float) -> None:
        """Wait until all viewers have got the end, for at most some seconds, and disconnect the others."""
        if self._viewers:
            _, watching = await asyncio.wait(self._viewers, timeout=seconds)
            for viewer in watching:
                viewer.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def get(self, path: str, token: str, **query: Any) -> Any:
        """Return the JSON of a path of the organization, or None if no try succeeded."""
        answer = await self._send("GET", path, token, params=query)
        return answer.json() if answer and answer.is_success else None

    async def log(self, path: str, token: str) -> tuple[str, tuple[histories.Event, ...]] | None:
        """Return the key of a run or a multi-run, and its events from the first to the last."""
        events: list[histories.Event] = []
        after: dict[str, str] = {}
        while page := await self.get(f"{path}/events", token, limit=100, **after):
            events += map(event, page["items"])
            if not page["has_more"]:
                about = page.get("run") or page["multi_run"]
                return about.get("key") or about["id"], tuple(events)
            after = {"after": page["next_cursor"]}
        return None

    async def audit(self, token: str) -> tuple[dict[str, Any], ...]:
        """Return the entries of the audit trail, from the newest to the first."""
        entries: list[dict[str, Any]] = []
        before: dict[str, str] = {}
        while page := await self.get("/audit", token, limit=100, **before):
            entries += page["items"]
            if not page["has_more"]:
                break
            before = {"cursor": page["next_cursor"]}
        return tuple(entries)

    # --- steps ---

    async def _step(self, step: Step) -> None:
        token = self._tokens[step.caller]
        match step.action:
            case Action.START_RUN:
                await self._start(step, token, "/agent/run", {"prompt": f"Say hello to {step.key}."})
            case Action.START_MULTI_RUN:
                body = {"prompt": f"Explain {step.key}.", "concurrency": 2, "quorum": 1}
                await self._start(step, token, "/multi-runs", body)
            case Action.LIST_RUNS:
                await self.get("/run-cards", token, limit=20)
                await self.get("/agent/runs", token, limit=20)
            case Action.LIST_MULTI_RUNS:
                await self.get("/multi-runs", token, limit=20)
            case Action.STAR:
                if self.recorder.started:
                    run_id = int(Random(step.key).choice(list(self.recorder.started.values())))
                    await self._send("POST", "/starred-runs", token, json={"agent_run_id": run_id})
                await self.get("/starred-runs", token)
            case Action.CREATE_AGENT:
                body = {"id": step.key, "name": step.key}
                answer = await self._send("POST", "/agents", token, json=body, headers={"Idempotency-Key": step.key})
                if answer and answer.is_success:
                    self.recorder.agents.append(step.key)

    async def _start(self, step: Step, token: str, path: str, body: dict[str, Any]) -> None:
        script = {"seconds": step.lasts, "steps": step.steps, "ending": step.ending}
        body |= {"metadata": {"soak": step.key, "fake": script}}
        options: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": step.key}}
        sent = [self._send("POST", path, token, **options) for _ in range(2 if step.repeats else 1)]
        answers = [answer for answer in await asyncio.gather(*sent) if answer and answer.is_success]
        if not answers:
            return
        id_ = str(answers[0].json()["id"])
        if path == "/multi-runs":
            self.recorder.multi_runs.append(id_)
            watched = f"/multi-runs/{id_}"
        else:
            self.recorder.started[step.key] = id_
            watched = f"/agent/run/{id_}"
        viewer = _Viewer(self, step, watched, id_, token)
        task = asyncio.create_task(viewer.watch())
        self._viewers.add(task)
        task.add_done_callback(self._viewers.discard)

    async def _send(self, method: str, path: str, token: str, **options: Any) -> httpx.Response | None:
        """Send a request, and again after an error of the server, or None if no try had an answer."""
        answer = None
        for _ in range(_TRIES):
            answer = await self.send_once(method, path, token, **options)
            if answer is not None and not _repeat(answer):
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        return answer

    async def send_once(self, method: str, path: str, token: str, **options: Any) -> httpx.Response | None:
        """Send a request once, and record it."""
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        began, answer, code = time.time(), None, None
        try:
            answer = await self._http.request(
                method, self._organization + path, headers=headers, timeout=_TIMEOUT, **options
            )
            code = _code(answer)
        except httpx.TransportError as error:
            code = type(error).__name__
        status = 0 if answer is None else answer.status_code
        self.recorder.requests.append(histories.Request(f"{method} {path}", status, code, began, time.time()))
        return answer

    def connect(self, token: str) -> connect:
        """Return a WebSocket connection, to be entered."""
        return connect(
            self._websocket_url, additional_headers={"Authorization": f"Bearer {token}"}, max_queue=None, proxy=None
        )


def _repeat(answer: httpx.Response) -> bool:
    return answer.status_code >= 500 or answer.status_code == 429 or _code(answer) == "request_in_progress"


def _code(answer: httpx.Response) -> str | None:
    if answer.is_success or not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    code: str | None = answer.json().get("code")
    return code


def event(item: dict[str, Any]) -> histories.Event:
    """Return an event of the API as the check needs it."""
    position = item["data"].get("position") if item["type"] == "run.log" else None
    return histories.Event(item["id"], item["seq"], item["type"], position)


class _Viewer:
    """Watches a run or a multi-run to its end. It is disconnected a few times, and continues after its last event."""

    def __init__(self, callers: Callers, step: Step, path: str, id_: str, token: str) -> None:
        # A WebSocket sends the events of all runs of a multi-run, and this viewer compares one log.
        self._view = View.STREAM if path.startswith("/multi-runs") and step.view is View.WEBSOCKET else step.view
        self._callers = callers
        self._cuts = list(step.cuts)
        self._name = f"{self._view} of {step.key}"
        self._path = path
        self._id = id_
        self._token = token
        self._seen: list[histories.Event] = []
        self._ended = False

    async def watch(self) -> None:
        """Watch until the end, or until cancelled."""
        look = {View.STREAM: self._stream, View.LONG_POLL: self._long_poll, View.WEBSOCKET: self._websocket}[self._view]
        try:
            while not self._ended:
                cut = self._cuts.pop(0) if self._cuts else None
                if not await look(cut):
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._callers.recorder.views.append(
                histories.View(self._name, self._id, tuple(self._seen), ended=self._ended)
            )

    async def _stream(self, cut: int | None) -> bool:
        headers = {"Last-Event-ID": self._seen[-1].id} if self._seen else {}
        answer = await self._callers.send_once("GET", f"{self._path}/logs/stream", self._token, headers=headers)
        if answer is None or not answer.is_success:
            return False
        if answer.status_code == 204:
            self._ended = True
            return True
        frames = _frames(answer.text)
        self._take([data for _, data in frames if "seq" in data], cut)
        self._ended = cut is None and any(name == "stream_end" for name, _ in frames)
        return True

    async def _long_poll(self, cut: int | None) -> bool:
        after = {"after": self._seen[-1].id} if self._seen else {}
        query = {"wait": _WAIT_SECONDS, **after}
        answer = await self._callers.send_once("GET", f"{self._path}/events", self._token, params=query)
        if answer is None or not answer.is_success:
            return False
        page = answer.json()
        self._take(page["items"], cut)
        self._ended = cut is None and page["ended"]
        return True

    async def _websocket(self, cut: int | None) -> bool:
        after = {"after": self._seen[-1].id} if self._seen else {}
        left = cut
        try:
            async with self._callers.connect(self._token) as socket:
                await socket.send(json.dumps({"action": "subscribe", "run_id": int(self._id), **after}))
                while True:
                    async with asyncio.timeout(_SILENCE_SECONDS):
                        frame = json.loads(await socket.recv())
                    if frame.get("type") == "events":
                        self._take(frame["events"], left)
                        left = None if left is None else left - len(frame["events"])
                        if left is not None and left <= 0:
                            return True
                    elif frame.get("type") == "stream.end":
                        self._ended = True
                        return True
                    elif frame.get("type") not in ("subscribed", "snapshot"):
                        return False
        except (WebSocketException, OSError, TimeoutError):
            return False

    def _take(self, items: list[dict[str, Any]], cut: int | None) -> None:
        self._seen += map(event, items[:cut])


def _frames(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the data of each complete server-sent event."""
    frames = []
    for frame in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
        if "data" in fields:
            frames.append((fields["event"], json.loads(fields["data"])))
    return frames


class Receiver:
    """Receives webhooks on loopback.

    Of a tenth of the messages, chosen by the seed, it refuses the first try. Another tenth it answers slowly.

    Attributes:
        received: The id of each message that was taken, in the order of the answers.
        tries: How many requests there were.
        overlapping: How many of them came while the same message was being received.
    """

    def __init__(self, seed: int) -> None:
        self.received: list[str] = []
        self.tries = 0
        self.overlapping = 0
        self._seed = seed
        self._tried: set[str] = set()
        self._receiving: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, message_id: str) -> int:
        """Record a message, and return the status of the answer."""
        chosen = Random(f"{self._seed}:{message_id}").random()
        with self._lock:
            self.tries += 1
            self.overlapping += self._receiving[message_id] > 0
            self._receiving[message_id] += 1
            is_refused = chosen < _REFUSED and message_id not in self._tried
            self._tried.add(message_id)
        if _REFUSED <= chosen < _REFUSED + _SLOW:
            time.sleep(_SLOW_SECONDS)
        with self._lock:
            self._receiving[message_id] -= 1
            if is_refused:
                return 500
            self.received.append(message_id)
            return 204

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve, and yield the URL."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(self.headers["webhook-id"]))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/soak"
        finally:
            server.shutdown()
            server.server_close()
