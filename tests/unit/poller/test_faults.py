"""The poller among faults: storage that throttles, an outage of Codegen, repeated events, clocks that differ."""

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import CodegenAPI
from codegen_runs import aws
from codegen_runs.clock import Clock
from codegen_runs.poller.lease import LEASE_SECONDS, PollerLease
from codegen_runs.poller.wakeups import Wakeup
from codegen_runs.problems import StorageUnavailable
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, Script, Trouble
from local.template import Template
from tests.support import backend, handlers
from tests.support.aws import ENVIRONMENT, in_memory, operation_of
from tests.support.backend import SECRET_NAME, TestClock, Tokens
from tests.support.events import Context
from tests.support.json_values import json_values
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import KEY, TOKEN, Enqueue, MakePoller, Skewed, watch_of

MINUTE = 60.0


def lease(memory: MemoryRuns, clock: Clock, holder: str) -> PollerLease:
    return PollerLease(memory, clock, holder)


def check(runs: Any, fake: FakeCodegen, tokens: Tokens) -> None:
    """One run was created, its events are complete and there once, and its task is completed."""
    watch = watch_of(runs)
    assert (watch.status, watch.task_token) == (Status.COMPLETED, None)
    assert len(fake.creates) == 1
    assert list(tokens.answers) == [TOKEN]
    events = runs.events(DEMO_ORG_ID, KEY, limit=1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    types = [event.type for event in events]
    assert types[-1] == "run.completed"
    assert types.count("run.completed") == types.count("run.started") == 1
    logs = [event.data["position"] for event in events if event.type == "run.log"]
    assert logs == list(range(watch.log_count))


# --- storage ---


class Throttling(httpx.BaseTransport):
    """DynamoDB that throttles several calls in a row."""

    def __init__(self, services: httpx.BaseTransport, seed: int) -> None:
        self._services = services
        self._random = random.Random(seed)
        self._refusals = 0
        self.on = False
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.on and not self._refusals and self._random.random() < 0.1:
            self._refusals = self._random.choice([1, 2, 4, 4, 8])  # one call is tried four times
        if not self.on or not self._refusals:
            return self._services.handle_request(request)
        self._refusals -= 1
        self.refused += 1
        if operation_of(request) == "TransactWriteItems":
            reasons = [{"Code": "ThrottlingError"}, {"Code": "None"}]
            told: dict[str, Any] = {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons}
        else:
            told = {"__type": "x#ProvisionedThroughputExceededException"}
        return httpx.Response(400, json=told)


@pytest.fixture(params=range(3))
def throttling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Throttling]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUNS_TABLE", "RunsTable")
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "30")
    with in_memory() as services:
        backend.create_tables(backend.template())
        throttling = Throttling(services, seed=request.param)
        with aws.wire.over(throttling), aws.pause.over(lambda _: None):
            yield throttling


@pytest.mark.full
def test_storage_that_throttles_delays_the_poller_and_loses_nothing(
    throttling: Throttling,
    make_poller: MakePoller,
    enqueue: Enqueue,
    fake: FakeCodegen,
    clock: TestClock,
    tokens: Tokens,
) -> None:
    runs = RunsTable("RunsTable")
    fake.script(Script(seconds=90, steps=60))
    enqueue(runs=runs)
    failures: list[BaseException] = []
    tick = 0
    while watch_of(runs).due_at and tick < 200:
        tick += 1
        throttling.on = True
        poller = make_poller(str(tick), runs=runs)
        try:
            poller.tick(clock.now() + 58, patient=True)
        except* StorageUnavailable as group:
            failures += group.exceptions
        throttling.on = False
        clock.sleep(2)

    assert throttling.refused > 20
    assert failures
    check(runs, fake, tokens)


# --- the upstream ---


@pytest.mark.full
@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("error", status=500),
        Trouble("html"),
        Trouble("truncated"),
        Trouble("hang"),
    ],
    ids=["500", "html", "truncated", "timeout"],
)
def test_twenty_minutes_without_codegen_are_reported_and_lose_nothing(
    trouble: Trouble,
    make_poller: MakePoller,
    memory: MemoryRuns,
    fake: FakeCodegen,
    clock: TestClock,
    tokens: Tokens,
    enqueue: Enqueue,
) -> None:
    fake.script(Script(seconds=600, steps=150))
    enqueue()
    make_poller("0").tick(clock.now() + 58)
    before = len(memory.events(DEMO_ORG_ID, KEY, limit=1000))
    calls = fake.calls["get_agent_run_logs"]
    fake.trouble("get_agent_run_logs", trouble, times=None)
    for tick in range(20):
        make_poller(str(tick)).tick(clock.now() + 58)
        clock.sleep(2)

    away = run_snapshot(watch_of(memory), now=clock.now())
    assert (away.status, away.health) == (Status.RUNNING, "unreachable")
    assert away.health_detail
    assert len(memory.events(DEMO_ORG_ID, KEY, limit=1000)) == before
    assert fake.calls["get_agent_run_logs"] - calls < 20 * 60 / 5 + 5  # one call in five seconds
    fake.troubles.clear()
    for tick in range(5):
        make_poller(str(tick)).tick(clock.now() + 58)
        clock.sleep(2)
    check(memory, fake, tokens)
    assert run_snapshot(watch_of(memory), now=clock.now()).health != "unreachable"


# --- the schedule ---


def test_a_tick_that_runs_twice_or_late_repeats_nothing(
    make_poller: MakePoller,
    memory: MemoryRuns,
    fake: FakeCodegen,
    clock: TestClock,
    tokens: Tokens,
    enqueue: Enqueue,
) -> None:
    fake.script(Script(seconds=90, steps=60))
    enqueue()
    late = make_poller("late")
    for minute in range(6):
        first, again = make_poller(f"{minute}"), make_poller(f"{minute}-again")
        real, reports = memory.due, []

        def due(now: int, limit: int, *, again: Any = again, reports: list[Any] = reports, real: Any = real) -> Any:
            """Receive the same event again during the first tick."""
            memory.due = real  # type: ignore[method-assign]
            reports.append(again.tick(clock.now() + 58))
            return real(now, limit)

        memory.due = due  # type: ignore[method-assign]
        assert first.tick(clock.now() + 58).held_lease
        assert [report.held_lease for report in reports] == [False]
        clock.sleep(2)
    late.tick(clock.now() + 58)

    check(memory, fake, tokens)


def test_the_function_accepts_a_scheduled_event_of_another_day(
    deployed: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
    event = {"source": "aws.scheduler", "time": "2020-01-01T00:00:00Z", "id": "the-same"}

    answers = [handlers.handler("poller/poll")(event, Context(milliseconds_left=85_000)) for _ in range(2)]

    assert answers == [{"held_lease": True, "polls": 0}] * 2


@given(json_values | st.fixed_dictionaries({}, optional={"kick": json_values, "told": json_values}))
def test_any_event_wakes_the_poller(event: Any) -> None:
    wakeup = Wakeup.read(event)

    assert all(type(org_id) is int and type(key) is str for org_id, key in wakeup.told)


@pytest.mark.parametrize("event", [None, [], "x", {"told": [[1]]}, {"told": 5, "kick": "maybe"}, {"kick": []}])
def test_the_function_does_a_tick_whatever_the_event_is(deployed: Template, event: Any) -> None:
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)

    answer = handlers.handler("poller/poll")(event, Context(milliseconds_left=85_000))

    assert answer == {"held_lease": True, "polls": 0}


# --- clocks ---


@pytest.mark.parametrize("skew", [-4 * MINUTE, -20.0, 20.0, 4 * MINUTE])
def test_an_extended_lease_is_not_taken_by_a_poller_whose_clock_differs(
    skew: float, memory: MemoryRuns, clock: TestClock
) -> None:
    holder, other = lease(memory, clock, "holder"), lease(memory, Skewed(clock, skew), "other")
    for _ in range(8):
        assert holder.acquire()
        clock.sleep(LEASE_SECONDS / 2)
        assert not other.acquire()


@pytest.mark.parametrize("skew", [-4 * MINUTE, -20.0, 20.0, 4 * MINUTE])
def test_the_lease_of_a_dead_poller_is_taken_after_its_time_by_a_poller_whose_clock_differs(
    skew: float,
    make_poller: MakePoller,
    memory: MemoryRuns,
    fake: FakeCodegen,
    clock: TestClock,
    enqueue: Enqueue,
) -> None:
    lease(memory, clock, "dead").acquire()
    began = clock.now()
    enqueue()

    assert make_poller("next", skew=skew).tick(began + skew + 58, patient=True).held_lease
    assert len(fake.creates) == 1
    assert clock.now() - began >= LEASE_SECONDS


@pytest.mark.parametrize("skew", [-4 * MINUTE, 4 * MINUTE])
def test_pollers_whose_clocks_differ_lose_and_repeat_nothing(
    skew: float,
    make_poller: MakePoller,
    memory: MemoryRuns,
    fake: FakeCodegen,
    clock: TestClock,
    tokens: Tokens,
    enqueue: Enqueue,
) -> None:
    fake.script(Script(seconds=300, steps=120))
    enqueue()
    for tick in range(40):
        off = skew if tick % 2 else 0
        make_poller(str(tick), skew=off).tick(clock.now() + off + 58, patient=True)
        clock.sleep(2)

    check(memory, fake, tokens)


@pytest.mark.parametrize("skew", [-4 * MINUTE, 4 * MINUTE])
def test_a_launch_without_an_answer_is_not_repeated_early_by_a_poller_whose_clock_differs(
    skew: float,
    make_poller: MakePoller,
    memory: MemoryRuns,
    codegen: CodegenAPI,
    fake: FakeCodegen,
    clock: TestClock,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    enqueue: Enqueue,
) -> None:
    shown_at, real = clock.now() + 20, codegen.runs.list

    def listed(**query: Any) -> Any:
        """List runs late, as an index that is behind."""
        page = real(**query).first
        return SimpleNamespace(first=page if clock.now() >= shown_at else page.model_copy(update={"items": []}))

    monkeypatch.setattr(codegen.runs, "list", listed)
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    enqueue()
    make_poller("one").tick(clock.now() + 1)
    for tick in range(20):
        off = skew if tick % 2 == 0 else 0
        make_poller(str(tick), skew=off).tick(clock.now() + off + 58, patient=True)
        clock.sleep(2)

    check(memory, fake, tokens)
