"""The Python client: its import, and what it costs to stream the events of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.artifacts import ROOT
from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_BYTES = 10_000
LONG_LOG = 5_000
"""Events of a log of 50 MB."""
SHORT_LOG = 500
SMALL_EVENT_BYTES = 300
MANY_EVENTS = 20_000

IMPORT = "import time; started = time.perf_counter(); import {}; print(time.perf_counter() - started)"

TASK = "for _ in CodegenAPI(1, 'YOUR_TOKEN', url).get_task(7).stream(): count += 1"
CONNECTION = "for _ in CodegenAPI(1, 'YOUR_TOKEN', url).runs.stream(7): count += 1"
LINES = """
with httpx.stream("GET", url + "/v1/organizations/1/agent/run/7/logs/stream") as response:
    for line in response.iter_lines(): count += line.startswith("id:")
"""
READER = """
import resource, sys, time, httpx
from codegen_api import CodegenAPI
url, count, started = sys.argv[1], 0, time.perf_counter()
{}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, count)
"""


def section(*, repetitions: int) -> Section:
    """Measure the import in pairs, the memory with a short and a long log, and the speed against a reader of lines."""
    imports = Pairs("import codegen_api", [], [])
    _seconds("codegen_api"), _seconds("httpx")
    for _ in range(repetitions):
        imports.ours.append(_seconds("codegen_api"))
        imports.baseline.append(_seconds("httpx"))
    with serving(SHORT_LOG, EVENT_BYTES) as url:
        short = _read(TASK, url, SHORT_LOG)[1]
    with serving(LONG_LOG, EVENT_BYTES) as url:
        long = _read(TASK, url, LONG_LOG)[1]
    task, connection = Pairs("task.stream()", [], []), Pairs("api.runs.stream()", [], [])
    with serving(MANY_EVENTS, SMALL_EVENT_BYTES) as url:
        for _ in range(max(3, repetitions // 10)):
            lines = _read(LINES, url, MANY_EVENTS)[0]
            for pairs, program in ((task, TASK), (connection, CONNECTION)):
                pairs.ours.append(_read(program, url, MANY_EVENTS)[0])
                pairs.baseline.append(lines)
    speed = [f"{pairs.name}: {MANY_EVENTS / min(pairs.ours):,.0f} events per second" for pairs in (task, connection)]
    return Section(
        title="Python client",
        notes=[
            "import: in a new process, against the import of httpx, which the client needs.",
            f"streams: {MANY_EVENTS} events of {SMALL_EVENT_BYTES} bytes, against httpx's `iter_lines` on the same.",
            f"{'; '.join(speed)}; lines: {MANY_EVENTS / min(task.baseline):,.0f}.",
            f"memory: {long / 1024:.0f} MB at most for a log of 50 MB, {short / 1024:.0f} MB for one of 5 MB.",
        ],
        head=PAIRS_HEAD,
        rows=[imports.row(), task.row(), connection.row()],
        targets=[
            Target("import, ratio to httpx", imports.ratio, 1.5),
            Target("memory, 50 MB to 5 MB", long / short, 1.1),
        ],
        numbers={
            "import_s": imports.ours,
            "httpx_s": imports.baseline,
            "kilobytes": {"5 MB": short, "50 MB": long},
            "task_stream_s": task.ours,
            "runs_stream_s": connection.ours,
            "lines_s": task.baseline,
        },
    )


def _seconds(module: str) -> float:
    return float(_run(IMPORT.format(module)))


def _read(program: str, url: str, expected: int) -> tuple[float, int]:
    """Return the seconds that a program takes to read all events, and the kilobytes that it needs at most."""
    seconds, kilobytes, count = _run(READER.format(program), url).split()
    if int(count) != expected:
        raise RuntimeError(f"{count} events were read, not {expected}")
    return float(seconds), int(kilobytes)


def _run(program: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "layers" / "codegen"), "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def serving(events: int, size: int) -> Iterator[str]:
    """Serve a run with so many events of so many bytes, in a process of its own."""
    program = f"from benchmarks.client import serve; serve({events}, {size})"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def serve(events: int, size: int) -> None:
    """Serve a run until the process ends, and print the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # a response in one write, or the kernel delays its second part

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            after = int(parse_qs(url.query).get("after", ["0-0"])[0].partition("-")[2])
            if url.path.endswith("/logs/stream"):
                frames = (
                    f"id: 0-{n}\nevent: run_log\ndata: {event(n, size)}\n\n" for n in range(after + 1, events + 1)
                )
                self.answer("".join(frames) + "event: stream_end\ndata: {}\n\n", "text/event-stream")
            elif url.path.endswith("/events"):
                last = min(after + 100, events)
                items = ",".join(event(n, size) for n in range(after + 1, last + 1))
                ended = "true" if last == events else "false"
                run = '{"key": "7", "status": "running"}'
                self.answer(f'{{"run": {run}, "items": [{items}], "next_cursor": "0-{last}", "ended": {ended}}}')
            elif url.path == "/health":
                self.answer('{"service": "codegen-runs"}')
            else:
                self.answer(f'{{"id": 7, "status": "{"completed" if url.query else "running"}"}}')

        def answer(self, body: str, kind: str = "application/json") -> None:
            content = body.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def event(number: int, size: int) -> str:
    """Return an event as JSON."""
    log = {"agent_run_id": 7, "message_type": "ACTION", "tool_name": "bash", "observation": "x" * (size - 200)}
    data = {"position": number - 1, "log": log}
    return json.dumps({"id": f"0-{number}", "type": "run.log", "ts": "2026-01-02T03:04:05.678Z", "data": data})
