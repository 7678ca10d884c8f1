"""The cost of watching a run, compared with one poller per viewer. Counted in simulated time, so figures are exact."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import boto3
import httpx

from benchmarks.artifacts import ROOT
from benchmarks.report import Section, Target
from codegen_api import CodegenAPI, RetryPolicy, parse_timestamp
from codegen_runs.aws import dynamodb
from codegen_runs.backend import Backend
from codegen_runs.events import Writer
from codegen_runs.poller.loop import Poller
from codegen_runs.poller.observation import LOGS_PER_POLL
from codegen_runs.runs.following import follow, view
from codegen_runs.runs.schedule import VIEWED_INTERVAL
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable, Watch
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock, Script
from local.scheduler import period
from local.template import ANY_SECRET, load
from tests.support.aws import ENVIRONMENT, in_memory
from tests.support.backend import SECRET_NAME, create_tables
from tests.support.events import Context
from tests.support.handlers import handler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.template import Template
    from tests.support.aws import Aws

VIEWERS = (1, 10, 1000)
_RUN_SECONDS = 60
_LOGS = 40
_READ_SECONDS = 25.0  # a viewer by long poll or page reads at least this often, and at once when there are new events
_NAIVE_INTERVAL = 2.0
_EAGER = 10
_PAGES = 20
_READS = ("BatchGetItem", "GetItem", "Query")


class _Clock:
    """The fake's time, as the poller reads it."""

    def __init__(self, manual: ManualClock) -> None:
        self.manual = manual

    def now(self) -> float:
        return self.manual.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.manual.advance(seconds)


class NoTokens:
    """Accepts no task token: no state machine waits."""

    def succeed(self, token: str, output: object) -> None:
        """Fail: nothing should call this."""
        raise AssertionError(token, output)

    fail = succeed  # type: ignore[assignment]


class Deployment(NamedTuple):
    """A deployment in memory, and the fake Codegen whose clock it uses."""

    runs: RunsTable
    fake: FakeCodegen
    clock: _Clock
    codegen: CodegenAPI
    aws: Aws
    template: Template


@dataclass(eq=False)
class _Viewer:
    seen: tuple[int, int] = (0, 0)
    due: float = 0.0
    delays: list[float] = field(default_factory=list)


@contextmanager
def deployment() -> Iterator[Deployment]:
    """Run a deployment in memory while the block runs."""
    template = load(ROOT / "template.yaml", {"CodegenOrgId": "1", "CodegenTokenSecret": ANY_SECRET})
    environment = dict(ENVIRONMENT)
    for function in template.functions.values():
        environment |= function.environment
    before = dict(os.environ)
    os.environ.update(environment)
    with in_memory() as services:
        create_tables(template)
        boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
        fake = FakeCodegen(clock=ManualClock(), limits={})
        client = httpx.Client(transport=FakeTransport(fake))
        codegen = CodegenAPI(
            token=DEMO_TOKEN, base_url="http://codegen.test", http_client=client, retry=RetryPolicy(max_retries=0)
        )
        assert isinstance(fake.clock, ManualClock)
        yield Deployment(Backend().runs, fake, _Clock(fake.clock), codegen, services, template)
    os.environ.clear()
    os.environ.update(before)


def section() -> Section:
    """Count what watching a run costs."""
    ours = {viewers: _watched(viewers) for viewers in VIEWERS}
    naive = {viewers: _naive(viewers) for viewers in VIEWERS}
    delays = sorted(delay / VIEWED_INTERVAL for delay in ours[10][1])
    p50, p95 = median(delays), quantiles(delays, n=20)[-1]
    appended, read, append_requests, read_requests = _throughput()
    idle, invocations = _idle_minute()
    reads = sum(count for operation, count in idle.items() if operation in _READS)
    rows = [
        [f"upstream calls per run-minute, {viewers} viewer(s)", f"{ours[viewers][0]:.0f}", f"{naive[viewers]:.0f}"]
        for viewers in VIEWERS
    ]
    rows += [
        ["delay from log to viewer, p50 / p95, in poll intervals", f"{p50:.2f} / {p95:.2f}", ""],
        ["events appended per second, storage left out", f"{median(appended):.0f}", ""],
        ["events read per second, storage left out", f"{median(read):.0f}", ""],
        [
            "storage requests per event, append / read, full pages",
            f"{append_requests:.3f} / {read_requests:.3f}",
            "1 / 1",
        ],
        [
            "an idle minute: DynamoDB reads / writes / Lambda invocations",
            f"{reads} / {sum(idle.values()) - reads} / {invocations:.1f}",
            "",
        ],
    ]
    return Section(
        title="Watching a run",
        notes=[
            f"A run of {_RUN_SECONDS} s and about {_LOGS} logs. Baseline: each viewer polls the upstream every "
            f"{_NAIVE_INTERVAL:.0f} s.",
            f"An idle minute has one tick of the poller: {dict(idle)}. Every fifth also has one of the reconciler.",
        ],
        head=("what", "ours", "baseline"),
        rows=rows,
        targets=[
            Target("upstream calls with 1,000 viewers by those with 1", ours[1000][0] / ours[1][0], 1.1),
            Target("delay to a viewer in poll intervals, p95", p95, 1.5),
        ],
        numbers={
            "upstream_calls_per_run_minute": {
                str(viewers): {"ours": ours[viewers][0], "baseline": naive[viewers]} for viewers in VIEWERS
            },
            "delay_in_poll_intervals": {"p50": p50, "p95": p95},
            "events_per_second": {"appended": appended, "read": read},
            "idle_minute": {"dynamodb": dict(idle), "lambda_invocations": invocations},
        },
    )


def _watched(viewers: int) -> tuple[float, list[float]]:
    """Return the upstream calls per minute of a run, and the delays (seconds) until viewers saw its logs."""
    with deployment() as (runs, fake, clock, codegen, *_):
        fake.script(Script(seconds=_RUN_SECONDS, steps=_LOGS))
        run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
        fake.calls.clear()
        backend = Backend(runs=runs, clock=clock, kick=lambda *_: None)
        watch = follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=run.status, backend=backend)
        poller = Poller(runs=runs, codegen=codegen, tokens=NoTokens(), clock=clock, holder="bench", concurrency=1)
        audience = [_Viewer() for _ in range(viewers)]
        began = clock.now()
        while not (current := _read(runs, watch)).status.terminal:
            # Only the first few read new events at once. How often viewers read makes no difference to the upstream.
            news = [viewer for viewer in audience[:_EAGER] if viewer.seen < _place(current)]
            due = [viewer for viewer in audience if viewer in news or viewer.due <= clock.now()]
            for viewer in due:
                view(_read(runs, watch), backend=backend)
                _read_events(viewer, runs, watch, clock)
            poller.tick(clock.now() + 0.5)
            clock.sleep(0.5)
        minutes = (clock.now() - began) / 60
        return sum(fake.calls.values()) / minutes, [delay for viewer in audience[:_EAGER] for delay in viewer.delays]


def _read_events(viewer: _Viewer, runs: RunsTable, watch: Watch, clock: _Clock) -> None:
    for event in runs.events(watch.org_id, watch.key, after=viewer.seen):
        viewer.seen = (event.epoch, event.seq)
        created = parse_timestamp(event.data["log"]["created_at"]) if event.type == "run.log" else None
        if isinstance(created, datetime):
            viewer.delays.append(clock.now() - created.timestamp())
    viewer.due = clock.now() + _READ_SECONDS


def _naive(viewers: int) -> float:
    with deployment() as (_, fake, clock, codegen, *_):
        fake.script(Script(seconds=_RUN_SECONDS, steps=_LOGS))
        run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
        fake.calls.clear()
        began, running = clock.now(), True
        while running:
            for _ in range(viewers):
                running = codegen.runs.logs(run.id, org_id=DEMO_ORG_ID).status != "COMPLETE"
            clock.sleep(_NAIVE_INTERVAL)
        return sum(fake.calls.values()) / ((clock.now() - began) / 60)


def _throughput() -> tuple[list[float], list[float], float, float]:
    """Return the events per second that our own code appends and reads, and the requests that each takes per event.

    DynamoDB itself is left out, because its stand-in has another speed.
    """
    appended, read = [], []
    for _ in range(5):
        with deployment() as (runs, _, clock, *_):
            now = round(clock.now() * 1000)
            watch = Watch(
                org_id=1,
                key="1",
                agent_run_id=1,
                status=Status.RUNNING,
                created_at=now,
                updated_at=now,
                deadline_at=now,
            )
            pages: list[list[dict[str, Any]]] = []
            started = time.perf_counter()
            with patch(
                "codegen_runs.storage.runs.transact", lambda actions, pages=pages: pages.append([a for _, a in actions])
            ):
                for _page in range(_PAGES):
                    writer = Writer(watch.position, run_id=1, now=clock.now())
                    for number in range(LOGS_PER_POLL):
                        writer.add("run.log", {"position": number, "log": {"thought": "x" * 200}})
                    watch = runs.write(watch.at(writer.position), writer.events)
            appended.append(_PAGES * LOGS_PER_POLL / (time.perf_counter() - started))
            answers = [{"Items": [action["Item"] for action in page[1:]]} for page in pages]
            started = time.perf_counter()
            with patch.object(dynamodb(), "query", lambda answers=answers, **_: answers.pop()):
                count = sum(len(runs.events(1, "1", limit=100)) for _ in range(_PAGES))
            read.append(count / (time.perf_counter() - started))
    return appended, read, 1 / LOGS_PER_POLL, 1 / 100


def _idle_minute() -> tuple[Counter[str], float]:
    """Return the poller's calls of DynamoDB when it has nothing to do, and how many functions the schedules invoke."""
    with deployment() as deployed, redirect_stdout(StringIO()):
        tick = handler("poller/poll")
        for _ in range(2):  # the first tick also reads the secret, and stores which rate limits it uses
            deployed.aws.asked.clear()
            tick({"source": "aws.scheduler"}, Context(milliseconds_left=85_000))
        invocations = sum(60 / period(schedule.expression) for schedule in deployed.template.schedules)
        return Counter(operation for operation in deployed.aws.asked if operation != "GetSecretValue"), invocations


def _read(runs: RunsTable, watch: Watch) -> Watch:
    current = runs.get(watch.org_id, watch.key)
    assert current is not None
    return current


def _place(watch: Watch) -> tuple[int, int]:
    return watch.epoch, watch.seq
