"""The EventSource of a real browser, authenticated by a ticket, follows a run to its end through a cut connection."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

PATIENCE = 180
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PAGE = """<!doctype html><title>A viewer</title><script>
const seen = [];
const source = new EventSource(STREAM);
for (const name of ["run_snapshot", "run_started", "run_status_changed", "run_log", "run_log_updated",
                    "run_completed", "run_failed", "checkpoint_created", "run_pr_opened", "stream_reset", "stream_end"])
  source.addEventListener(name, event => seen.push({name, id: event.lastEventId, data: JSON.parse(event.data)}));
source.onerror = () => {
  if (source.readyState === EventSource.CLOSED) fetch("/done", {method: "POST", body: JSON.stringify(seen)});
};
</script>"""


class Page(BaseHTTPRequestHandler):
    """Serve the page, from another origin than the API, and receive the events that it has got in the end."""

    stream = ""
    done: Queue[list[dict[str, Any]]] = Queue()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.replace("STREAM", json.dumps(self.stream)).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.done.put(json.loads(body))

    def log_message(self, *_: Any) -> None:
        pass


class CuttingProxy:
    """Forward connections to a server, and cut the first one in the middle of an event."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.requests: list[str] = []
        self.cut = False
        self.url = "http://{}:{}".format(*self._listening.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for way in ((client, server, self._note), (server, client, self._cut)):
                threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, length: Any) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    keep = length(data)
                    sink.sendall(data[:keep])
                    if keep < len(data):
                        break
            except OSError:
                pass
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _note(self, data: bytes) -> int:
        self.requests.append(data.decode("latin-1"))
        return len(data)

    def _cut(self, data: bytes) -> int:
        found = data.find(b"event: run_log")
        if self.cut or found < 0:
            return len(data)
        self.cut = True
        return found + 30


@contextmanager
def browser(url: str, profile: Path) -> Iterator[None]:
    """Open a page in a headless browser."""
    assert CHROMIUM
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server", *quiet]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def either(kind: str, request: pytest.FixtureRequest) -> Stack:
    """One of the two stacks, by the name of its fixture."""
    found: Stack = request.getfixturevalue(kind)
    return found


@pytest.mark.full
@pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium to test EventSource")
@pytest.mark.parametrize("kind", ["live", "paged"])
def test_an_eventsource_follows_a_run_through_a_cut_and_stops_by_itself(
    kind: str, either: Stack, tmp_path: Path
) -> None:
    api = urlsplit(either.api_url)
    proxy = CuttingProxy((str(api.hostname), int(api.port or 0)))
    pages = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    runs = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
    bearer = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with httpx.Client(base_url=either.api_url, headers=bearer, timeout=35, trust_env=False) as http:
        run = {"prompt": "Say hello. [[fake seconds=20 steps=12]]"}
        run_id = http.post(runs, json=run).raise_for_status().json()["id"]
        ticket = http.post("/v1/stream-tickets", json={"agent_run_id": run_id}).raise_for_status().json()
    Page.stream = f"{proxy.url}{ticket['stream_path']}?poll_interval=0.5&ticket={ticket['ticket']}"
    try:
        with browser(f"http://127.0.0.1:{pages.server_port}/", tmp_path):
            seen = Page.done.get(timeout=PATIENCE)
    except Empty:
        pytest.fail(f"The browser did not stop within {PATIENCE} s. Its requests: {proxy.requests}")
    finally:
        pages.shutdown()
        pages.server_close()
        proxy.close()

    events = [event for event in seen if event["name"] not in ("run_snapshot", "stream_end")]
    assert proxy.cut
    assert [event["data"]["id"] for event in events] == [f"0-{n}" for n in range(1, len(events) + 1)]
    assert [event["name"] for event in events].count("run_completed") == 1
    assert seen[-1]["name"] == "stream_end"
    assert [event["name"] for event in seen].count("stream_end") == 1
    streams = [request for request in proxy.requests if "/logs/stream" in request.split("\r\n")[0]]
    assert ["Last-Event-ID: " in request for request in streams] == [False] + [True] * (len(streams) - 1)
    # The browser opens the stream, resumes it, and gets a 204. In pages it may open further ones.
    assert len(streams) == 3 or (kind == "paged" and len(streams) > 3)
