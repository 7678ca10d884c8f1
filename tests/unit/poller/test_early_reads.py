"""The candidates that are left are read more often, with the reads that the others do not need any more."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs.poller.candidates import NoMultiRuns
from codegen_runs.poller.loop import Poller
from codegen_runs.runs.schedule import (
    CANDIDATE_INTERVALS,
    COMMON_INTERVAL,
    EARLIEST_READ,
    INTERVALS,
    early_read_interval,
)
from codegen_runs.storage.runs import Watch
from local.fake_codegen import FakeCodegen, Script, Trouble
from tests.support.backend import TestClock, Tokens
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import Enqueue, watch_of

LOGS = "get_agent_run_logs"


class Group(NoMultiRuns):
    """The candidates of one multi-run, all of them at work from the start."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ended: set[str] = set()

    def ended(self, watch: Watch) -> None:
        self._ended.add(watch.key)

    def left(self, watch: Watch) -> float:
        return 1 - len(self._ended) / self._size


class Unknown(Group):
    """A group of which nobody knows how many are left: no candidate is read early."""

    def left(self, watch: Watch) -> float:
        return 1.0


@pytest.fixture
def follow(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> Callable[..., tuple[float, int]]:
    """Follow a group to its end; return the wait after the end of its last run, and the reads of logs."""

    def follow(multi_run_id: str, seconds: list[float], group: Group) -> tuple[float, int]:
        before, poller = fake.calls[LOGS], poller_of(group, memory, codegen, clock)
        keys = [f"{multi_run_id}-{index}" for index in range(len(seconds))]
        for key, lasts in zip(keys, seconds, strict=True):
            fake.script(Script(seconds=lasts, steps=8, pull_request=False))
            enqueue(key, multi_run_id=multi_run_id)
        while not all(watch_of(memory, key).finished_at for key in keys):
            poller.tick(clock.now() + 58)
        watches = [watch_of(memory, key) for key in keys]
        ends = [(each.launching_since or 0) / 1000 + lasts for each, lasts in zip(watches, seconds, strict=True)]
        found = max(each.finished_at or 0 for each in watches) / 1000
        return found - max(ends), fake.calls[LOGS] - before

    return follow


def poller_of(group: Group, memory: MemoryRuns, codegen: Any, clock: TestClock) -> Poller:
    runs, tokens = cast("Any", memory), Tokens()
    return Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", candidates=group, concurrency=1)


def test_the_end_of_the_last_candidate_is_found_sooner_with_hardly_more_reads(
    follow: Callable[..., tuple[float, int]],
) -> None:
    groups = [[30.0, 31, 32, 40], [60.0, 63, 70, 71, 80], [45.0, 60], [20.0, 22, 24, 26, 28, 30, 32, 34]]
    # The moments of a multi-run depend on its id.
    ids = [f"mr-{number}" for number in range(3)]
    early = [follow(f"{name}-early-{each[0]}", each, Group(len(each))) for each in groups for name in ids]
    usual = [follow(f"{name}-{each[0]}", each, Unknown(len(each))) for each in groups for name in ids]

    waits, reads = ([sum(each[what] for each in side) for side in (early, usual)] for what in (0, 1))
    assert waits[0] < waits[1] / 2
    # The limit of the Codegen API decides about these intervals. Otherwise longer intervals before make up for it.
    assert reads[0] <= reads[1] * 1.1


def test_a_straggler_costs_no_more_reads_than_if_all_had_lasted_as_long(
    follow: Callable[..., tuple[float, int]],
) -> None:
    _, reads = follow("mr-1", [30.0, 31, 32, 90], Group(4))
    _, most = follow("mr-2", [90.0] * 4, Unknown(4))

    assert reads <= most


def test_the_last_candidates_are_read_at_least_a_second_apart(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    for index, lasts in enumerate((3, 3, 3, 20)):
        fake.script(Script(seconds=lasts, steps=30, pull_request=False))
        enqueue(f"mr-1-{index}")
    times: list[float] = []
    original = codegen.runs.logs

    def logs(*args: Any, **more: Any) -> Any:
        times.append(clock.now())
        return original(*args, **more)

    codegen.runs.logs = logs  # type: ignore[method-assign]
    poller_of(Group(4), memory, codegen, clock).tick(clock.now() + 16)

    moments = sorted({round(each, 3) for each in times})
    apart = [after - before for before, after in pairwise(moments)]
    # The limit of the Codegen API admits one read of a log in a second.
    assert min(apart) >= 0.99
    assert max(apart[-4:]) < COMMON_INTERVAL


def test_a_tick_goes_on_for_early_reads_although_nothing_is_due_before_its_end(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    fake.script(Script(seconds=600, steps=1, pull_request=False))
    enqueue("mr-1-0")
    group = Group(10)
    for index in range(1, 10):
        group.ended(Watch.model_construct(key=f"mr-1-{index}"))
    poller = poller_of(group, memory, codegen, clock)
    poller.tick(clock.now() + 100)
    before, due_at = fake.calls[LOGS], watch_of(memory, "mr-1-0").due_at or 0
    poller.tick(clock.now() + 12)

    assert due_at / 1000 > clock.now()
    assert fake.calls[LOGS] - before >= 3


def test_a_read_that_failed_is_not_repeated_early(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    for index, lasts in enumerate((2, 2, 2, 60)):
        fake.script(Script(seconds=lasts, steps=30, pull_request=False))
        enqueue(f"mr-1-{index}")
    poller = poller_of(Group(4), memory, codegen, clock)
    poller.tick(clock.now() + 8)
    fake.trouble(LOGS, Trouble("error"))
    before = fake.calls[LOGS]
    poller.poll(123, "mr-1-3")
    failed = watch_of(memory, "mr-1-3")
    poller.tick((failed.due_at or 0) / 1000 - 0.01)

    assert failed.failures == 1
    assert fake.calls[LOGS] == before + 1


def test_all_that_are_left_are_read_as_often_as_all_were_before() -> None:
    assert early_read_interval(30, left=0.1) == pytest.approx(3)
    assert early_read_interval(30, left=0.9) == pytest.approx(27)
    assert early_read_interval(30, left=1) == 30
    assert early_read_interval(30, left=0.01) == EARLIEST_READ
    assert early_read_interval(0.5, left=0.01) == 0.5


def test_a_candidate_is_never_read_more_often_than_another_run_while_most_are_at_work() -> None:
    for quiet in range(12):
        candidate, other = (steps[min(quiet, len(steps) - 1)] for steps in (CANDIDATE_INTERVALS, INTERVALS))
        assert candidate >= other
