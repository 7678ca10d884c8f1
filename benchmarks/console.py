"""The console in a real browser: what it loads, how smoothly it draws, and what it calls."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.report import Section, Target
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

MOST_BYTES = 120_000
LONGEST_FRAME_MS = 50

ENTRIES = 10_000
WATCHED_SECONDS = 20
CONSOLES = (1, 10)
PATIENCE_MS = 180_000

# The numbers of the events that a stream contains. The run itself has fewer.
FIRST = 1000

_LIMITS = {"CodegenLimitFactor": "100", "ConnectionsPerCaller": "1000", "StreamsPerCaller": "1000"}

# The times between frames, as the page itself sees them. It runs before the page's own scripts.
_RECORDER = """
  window.frameTimes = [];
  let before = null;
  const tick = (now) => {
    if (before !== null) window.frameTimes.push(now - before);
    before = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
"""


class NoBrowserError(Exception):
    """There is no chromium on this machine."""


@dataclass(frozen=True)
class Load:
    """The first load of the console, until the first list is shown."""

    compressed: int
    requests: int
    seconds: float


@dataclass(frozen=True)
class Drawing:
    """How a log was drawn: the times between its frames in ms, and the seconds until its last entry was there."""

    frames: list[float]
    seconds: float


def section(*, repetitions: int) -> Section:
    """Measure on one stack. Raises `NoBrowserError`."""
    # Playwright is imported here, because the other sections work without it.
    from tests.support.console import CHROMIUM, chromium

    if CHROMIUM is None or not shutil.which(CHROMIUM):
        raise NoBrowserError("There is no chromium on this machine.")
    fake = FakeCodegen(limits={})
    with Stack(fake=fake, parameters={"LiveStreaming": "true", **_LIMITS}) as stack, chromium() as browser:
        run = _start(stack)
        load = _load(browser, stack)
        drawings = [_draw(browser, stack, run) for _ in range(repetitions)]
        calls = {consoles: _calls(browser, stack, fake, consoles) for consoles in CONSOLES}
    return report(load, drawings, calls)


def report(load: Load, drawings: list[Drawing], calls: dict[int, int]) -> Section:
    """Report the measurements. `calls` has the calls with one console and with several."""
    longest = median(max(drawing.frames) for drawing in drawings)
    usual = median(median(drawing.frames) for drawing in drawings)
    one, ten = calls.values()
    return Section(
        title="Console",
        notes=[
            f"Frames: the times between animation frames while {ENTRIES} entries arrive in one stream.",
            f"Calls: lists of runs that Codegen was asked for in {WATCHED_SECONDS} s, with the list of runs open.",
        ],
        head=("what", "value"),
        rows=[
            ["bytes of the first load, compressed", f"{load.compressed:,}"],
            ["requests until the first list", str(load.requests)],
            ["seconds until the first list", f"{load.seconds:.2f}"],
            ["median frame", f"{usual:.1f} ms"],
            ["longest frame, median of the runs", f"{longest:.1f} ms"],
            [f"seconds until all {ENTRIES} entries are drawn", f"{median(each.seconds for each in drawings):.1f}"],
            *([f"calls with {consoles} open", str(number)] for consoles, number in calls.items()),
        ],
        targets=[
            Target("bytes of the first load", load.compressed, MOST_BYTES),
            Target("longest frame in ms", longest, LONGEST_FRAME_MS),
            Target("calls that more consoles add", ten - one, 0),
        ],
        numbers={
            "load": {"bytes": load.compressed, "requests": load.requests, "seconds": load.seconds},
            "longest_frames_ms": [max(drawing.frames) for drawing in drawings],
            "drawn_s": [drawing.seconds for drawing in drawings],
            "calls": calls,
        },
    )


def _start(stack: Stack) -> int:
    """Start a run that stays at work."""
    body = {"prompt": "Watch the log", "metadata": {"fake": {"seconds": 90_000, "steps": 20}}}
    answer = httpx.post(
        f"{stack.api_url}/v1/organizations/{DEMO_ORG_ID}/agent/run",
        json=body,
        headers={"Authorization": f"Bearer {DEMO_TOKEN}"},
        timeout=35,
        trust_env=False,
    )
    return int(answer.raise_for_status().json()["id"])


def _page(browser: Browser) -> Page:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    return page


def _open(page: Page, stack: Stack, view: str = "") -> None:
    page.goto("about:blank")
    page.goto(f"{stack.api_url}/console#{view or f'token={DEMO_TOKEN}'}")


def _load(browser: Browser, stack: Stack) -> Load:
    page = _page(browser)
    finished: list[Any] = []
    sent: Counter[str] = Counter()
    page.on("requestfinished", lambda request: finished.append(request))
    page.on("request", lambda request: sent.update([request.url]))
    began = time.perf_counter()
    _open(page, stack)
    page.locator(".run").first.wait_for()
    seconds, requests = time.perf_counter() - began, sent.total()
    page.wait_for_load_state("networkidle")
    files = [request for request in finished if "/console" in request.url]
    compressed = sum(request.sizes()["responseBodySize"] for request in files)
    page.close()
    return Load(compressed, requests, seconds)


def frames_of_a_log(entries: int, first: int) -> str:
    """Make a stream of events, as the deployment would send it."""
    frames = []
    for number in range(first, first + entries):
        log = {
            "message_type": "ACTION",
            "tool_name": ("ripgrep_search", "view_file", "edit_file", "run_command")[number % 4],
            "tool_input": {"path": f"src/module_{number % 97}.py", "query": f"name_{number}"},
            "tool_output": {"exit_code": int(number % 50 == 0), "text": f"line {number}\n" * 5},
            "thought": f"Step {number}: look at the next module.",
            "created_at": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        }
        event = {
            "id": f"0-{number}",
            "seq": number,
            "type": "run.log",
            "ts": log["created_at"],
            "data": {"position": number, "log": log},
        }
        frames.append(f"id: 0-{number}\nevent: run.log\ndata: {json.dumps(event)}\n\n")
    return "".join(frames)


def _stream(page: Page, entries: int) -> None:
    """Let the next stream of the page contain so many entries, and further ones none."""
    body, opened = frames_of_a_log(entries, FIRST), Counter[str]()

    def answer(route: Route) -> None:
        opened["streams"] += 1
        if opened["streams"] > 1:
            route.fulfill(status=204)
        else:
            route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.unroute_all()
    page.route("**/logs/stream*", answer)


def _last(page: Page, entries: int) -> Locator:
    """Return the last entry of a stream."""
    return page.locator(f"#entry-{FIRST + entries - 1}")


def _draw(browser: Browser, stack: Stack, run: int) -> Drawing:
    page = _page(browser)
    page.add_init_script(_RECORDER)
    _open(page, stack)
    page.locator(".run").first.wait_for()
    _stream(page, ENTRIES)
    began = time.perf_counter()
    _open(page, stack, f"/{DEMO_ORG_ID}/runs/{run}?tab=log")
    page.locator(".log > li").first.wait_for()
    page.evaluate("window.frameTimes.length = 0")
    _last(page, ENTRIES).wait_for(state="attached")
    seconds = time.perf_counter() - began
    drawing = Drawing(page.evaluate("window.frameTimes"), seconds)
    page.close()
    return drawing


def _calls(browser: Browser, stack: Stack, fake: FakeCodegen, consoles: int) -> int:
    """Return how many lists of runs Codegen was asked for while so many consoles were open."""
    pages = [_page(browser) for _ in range(consoles)]
    for page in pages:
        _open(page, stack)
        page.locator(".run").first.wait_for()
    before = fake.calls["list_agent_runs"]
    pages[0].wait_for_timeout(WATCHED_SECONDS * 1000)
    asked = fake.calls["list_agent_runs"] - before
    for page in pages:
        page.close()
    return asked
