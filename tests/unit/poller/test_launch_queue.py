"""The launch queue: in order, within the limit, and with room for the single run of a caller."""

from collections.abc import Callable

import pytest

from codegen_api import CodegenAPI
from codegen_runs.limits.buckets import Buckets
from codegen_runs.statuses import Status
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Trouble
from tests.support.backend import TestClock
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import Enqueue, MakePoller


@pytest.fixture
def tick(make_poller: MakePoller, clock: TestClock) -> Callable[[float], None]:
    def tick(seconds: float) -> None:
        until = clock.now() + seconds
        make_poller().tick(until)
        clock.sleep(max(0.0, until - clock.now()))

    return tick


@pytest.fixture
def enqueue_many(enqueue: Enqueue, clock: TestClock) -> Callable[..., None]:
    def enqueue_many(name: str, count: int, priority: int = 2) -> None:
        for number in range(count):
            enqueue(f"{name}-{number:02d}", multi_run_id=name, priority=priority, task_token=f"{name}-{number}")
            clock.sleep(0.001)

    return enqueue_many


def launched(fake: FakeCodegen) -> list[str]:
    return [create.body["metadata"]["client_run_id"] for create in fake.creates]


def test_twenty_runs_are_created_in_order_and_never_faster_than_ten_a_minute(
    memory: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
    enqueue_many: Callable[..., None],
) -> None:
    enqueue_many("mr", 20)
    for _ in range(4):
        tick(58)
        clock.sleep(2)

    assert launched(fake) == [f"mr-{number:02d}" for number in range(20)]
    times = [create.at.timestamp() for create in fake.creates]
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= 10
    # The upstream was never asked in vain.
    assert fake.calls["create_agent_run"] == 20


def test_a_single_run_is_created_at_once_while_others_wait(
    memory: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    codegen: CodegenAPI,
    tick: Callable[[float], None],
    enqueue_many: Callable[..., None],
) -> None:
    enqueue_many("mr", 20)
    tick(5)
    assert len(fake.creates) == 8

    for _ in range(2):
        assert Buckets(memory, "deployment", clock).take("create") == 1
        codegen.runs.create("A question of my own.", org_id=DEMO_ORG_ID)


def test_a_synthesis_is_launched_before_waiting_candidates(
    memory: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
    enqueue_many: Callable[..., None],
) -> None:
    enqueue_many("mr", 12)
    tick(5)
    enqueue_many("synthesis", 1, priority=1)
    tick(70)

    assert launched(fake)[8] == "synthesis-00"


def test_a_used_up_plan_fails_one_run_and_holds_the_others(
    memory: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
    enqueue_many: Callable[..., None],
) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=402, message="Upgrade your plan."))
    enqueue_many("mr", 3)
    tick(58)

    statuses = [memory.watches[DEMO_ORG_ID, f"mr-{number:02d}"].status for number in range(3)]
    assert statuses == [Status.FAILED, Status.QUEUED, Status.QUEUED]
    assert fake.calls["create_agent_run"] == 1
    closure = Buckets(memory, "deployment", clock).read("create").closure(str(DEMO_ORG_ID), round(clock.now() * 1000))
    assert closure is not None
    assert "Upgrade your plan." in closure.reason
    for _ in range(6):
        tick(60)
    assert launched(fake) == ["mr-01", "mr-02"]


def test_a_run_that_is_never_launched_is_timed_out(
    memory: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
    enqueue_many: Callable[..., None],
) -> None:
    Buckets(memory, "deployment", clock).block("create", 7200, "Closed.")
    enqueue_many("mr", 1)
    for _ in range(70):
        tick(60)

    assert memory.watches[DEMO_ORG_ID, "mr-00"].status is Status.TIMED_OUT
    assert fake.creates == []
