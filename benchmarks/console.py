"""The console in a real browser: what it loads, how smoothly it draws, and what it calls."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.report import Section, Target
from codegen_runs.runs.schedule import VIEWED_INTERVAL
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

MOST_BYTES = 120_000
LONGEST_FRAME_MS = 50

ENTRIES = 10_000
WATCHED_SECONDS = 20
CONSOLES = (1, 10)
MOST_GROWTH = 1.1
MOST_INTERVALS = 1.5
FOLLOWED_RUNS = 20
FEW_RUNS = 5
ENTRIES_OF_A_RUN = 500
STEPS = 20
STEP_SECONDS = 1.5
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


# Wait for an element without more work than a look in each frame.
_UNTIL_THERE = """
  (id) => new Promise((there) => {
    const look = () => document.getElementById(id) ? there() : requestAnimationFrame(look);
    look();
  })
"""

# When each entry of a log appears in the page, and when it was written, in ms.
_APPEARANCES = """
  () => {
    window.appearances = [];
    new MutationObserver((changes) => requestAnimationFrame(() => {
      for (const change of changes) for (const added of change.addedNodes) {
        if (added.dataset?.at) window.appearances.push([Number(added.dataset.at), Date.now()]);
      }
    })).observe(document.querySelector(".log"), { childList: true, subtree: true });
  }
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
        heaps = _heaps(browser, stack)
        delays = _delays(browser, stack)
    return report(load, drawings, calls, heaps, delays)


def report(
    load: Load, drawings: list[Drawing], calls: dict[int, int], heaps: dict[int, int], delays: list[float]
) -> Section:
    """Report the measurements.

    Args:
        load: The first load.
        drawings: How a long log was drawn, several times.
        calls: The calls with one console and with several.
        heaps: The bytes of the page's heap after a few runs were followed, and after many.
        delays: The seconds from the time of a log entry to its appearance.
    """
    # A frame takes whole refreshes of the screen, and its time is known to 0.1 ms: three refreshes can be 50.1 ms.
    longest = round(median(max(drawing.frames) for drawing in drawings))
    usual = median(median(drawing.frames) for drawing in drawings)
    most = median(quantiles(drawing.frames, n=100)[-1] for drawing in drawings)
    one, ten = calls.values()
    few, many = heaps.values()
    intervals = median(delays) / VIEWED_INTERVAL
    return Section(
        title="Console",
        notes=[
            f"Frames: the times between animation frames while {ENTRIES} entries arrive in one stream.",
            f"Calls: lists of runs that Codegen was asked for in {WATCHED_SECONDS} s, with the list of runs open. The "
            "consoles are windows of one person.",
            f"Heap: after garbage collection, of a page that followed runs of {ENTRIES_OF_A_RUN} entries, one by one.",
            f"Log to pixel: from the time of a log entry to its appearance. A watched run is polled every "
            f"{VIEWED_INTERVAL:g} s.",
        ],
        head=("what", "value"),
        rows=[
            ["bytes of the first load, compressed", f"{load.compressed:,}"],
            ["requests until the first list", str(load.requests)],
            ["seconds until the first list", f"{load.seconds:.2f}"],
            ["median frame", f"{usual:.1f} ms"],
            ["99 of 100 frames take at most", f"{most:.1f} ms"],
            ["longest frame, median of the runs", f"{longest} ms"],
            [f"seconds until all {ENTRIES} entries are drawn", f"{median(each.seconds for each in drawings):.1f}"],
            *([f"calls with {consoles} open", str(number)] for consoles, number in calls.items()),
            *([f"heap after {runs} runs", f"{size / 1e6:.1f} MB"] for runs, size in heaps.items()),
            ["log to pixel, median", f"{intervals:.2f} poll intervals"],
            ["log to pixel, longest", f"{max(delays) / VIEWED_INTERVAL:.2f} poll intervals"],
        ],
        targets=[
            Target("bytes of the first load", load.compressed, MOST_BYTES),
            Target("longest frame in ms", longest, LONGEST_FRAME_MS),
            Target("calls that more consoles add", ten - one, 0),
            Target(f"heap, {FOLLOWED_RUNS} runs to {FEW_RUNS}", many / few, MOST_GROWTH),
            Target("log to pixel, median in poll intervals", intervals, MOST_INTERVALS),
        ],
        numbers={
            "load": {"bytes": load.compressed, "requests": load.requests, "seconds": load.seconds},
            "longest_frames_ms": [max(drawing.frames) for drawing in drawings],
            "drawn_s": [drawing.seconds for drawing in drawings],
            "calls": calls,
            "heap_bytes": heaps,
            "log_to_pixel_s": delays,
        },
    )


def _start(stack: Stack, **script: object) -> int:
    """Start a run, by default one that stays at work."""
    body = {"prompt": "Watch the log", "metadata": {"fake": {"seconds": 90_000, "steps": 20} | script}}
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
    """Let the first stream of each run contain so many entries, and further ones none."""
    body, opened = frames_of_a_log(entries, FIRST), Counter[str]()

    def answer(route: Route) -> None:
        run = route.request.url.partition("?")[0]
        opened[run] += 1
        if opened[run] > 1:
            route.fulfill(status=204)
        else:
            route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.unroute_all()
    page.route("**/logs/stream*", answer)


def _last(entries: int) -> str:
    """Return the id of the element of a stream's last entry."""
    return f"entry-{FIRST + entries - 1}"


def _draw(browser: Browser, stack: Stack, run: int) -> Drawing:
    page = _page(browser)
    page.add_init_script(_RECORDER)
    _open(page, stack)
    page.locator(".run").first.wait_for()
    _stream(page, ENTRIES)
    began = time.perf_counter()
    _open(page, stack, f"/{DEMO_ORG_ID}/runs/{run}?tab=log")
    page.locator(".log .time").first.wait_for()
    page.evaluate("window.frameTimes.length = 0")
    page.evaluate(_UNTIL_THERE, _last(ENTRIES))
    seconds = time.perf_counter() - began
    drawing = Drawing(page.evaluate("window.frameTimes"), seconds)
    page.close()
    return drawing


def _calls(browser: Browser, stack: Stack, fake: FakeCodegen, consoles: int) -> int:
    """Return how many lists of runs Codegen was asked for while a person had so many consoles open."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    pages = [context.new_page() for _ in range(consoles)]
    for page in pages:
        _open(page, stack)
        page.locator(".run").first.wait_for()
    before = fake.calls["list_agent_runs"]
    pages[0].wait_for_timeout(WATCHED_SECONDS * 1000)
    asked = fake.calls["list_agent_runs"] - before
    context.close()
    return asked


def _heaps(browser: Browser, stack: Stack) -> dict[int, int]:
    """Return the bytes of the heap of one page after it followed a few runs, and after many."""
    page, sizes = _page(browser), {}
    runs = [_start(stack) for _ in range(FOLLOWED_RUNS)]
    _open(page, stack)
    page.locator(".run").first.wait_for()
    _stream(page, ENTRIES_OF_A_RUN)
    tools = page.context.new_cdp_session(page)
    for number, run in enumerate(runs, start=1):
        page.evaluate("address => { location.hash = address; }", f"/{DEMO_ORG_ID}/runs/{run}?tab=log")
        page.evaluate(_UNTIL_THERE, _last(ENTRIES_OF_A_RUN))
        page.evaluate("address => { location.hash = address; }", f"/{DEMO_ORG_ID}/runs")
        page.locator(".run").first.wait_for()
        if number in (FEW_RUNS, FOLLOWED_RUNS):
            tools.send("HeapProfiler.collectGarbage")
            sizes[number] = int(tools.send("Runtime.getHeapUsage")["usedSize"])
    page.close()
    return sizes


def _delays(browser: Browser, stack: Stack) -> list[float]:
    """Return the seconds from the time of each entry of a run that is being followed to its appearance."""
    page = _page(browser)
    _open(page, stack)
    page.locator(".run").first.wait_for()
    run = _start(stack, seconds=STEPS * STEP_SECONDS, steps=STEPS)
    _open(page, stack, f"/{DEMO_ORG_ID}/runs/{run}?tab=log")
    page.locator(".log .time").first.wait_for()
    page.evaluate(_APPEARANCES)
    page.locator(".entry.of-answer").wait_for()
    delays = [(shown - written) / 1000 for written, shown in page.evaluate("window.appearances")]
    page.close()
    return delays
