"""What the budgets count of a multi-run after any order of launches, drops, ends and retries, each of them repeated."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codegen_runs.multi_runs import candidates, leaving, repairing, tasks
from codegen_runs.multi_runs.repairing import RetryCandidates
from codegen_runs.multi_runs.tasks import CandidateDropped, MultiRunGone
from codegen_runs.problems import Conflict
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from local.fake_codegen import FakeCodegen, Script
from tests.support.events import current
from tests.unit.multi_runs.flow import ORG, Runs, stored
from tests.unit.multi_runs.test_budgets import ADA, drop, start, used
from tests.unit.multi_runs.test_retry_races import Interruption, counted

CANDIDATES = 3


@pytest.fixture(autouse=True)
def _world(upstream: Runs, fake: FakeCodegen) -> Iterator[None]:
    upstream.ticks, upstream.seconds = 1, 4
    with counted(fake, "runs_per_month"):
        yield


class World:
    """One multi-run, whose runs fail soon after their launches, and the functions that work on it."""

    def __init__(self, upstream: Runs) -> None:
        self.upstream = upstream
        self.used, self.creates = used("runs_per_month"), len(upstream.fake.creates)
        self.id = start(CANDIDATES, quorum=CANDIDATES)
        self.first = stored(self.id)
        self.ended: list[MultiRun] = []

    def act(self, name: str, index: int, tables: Any = None) -> None:
        with suppress(Conflict, CandidateDropped, MultiRunGone):
            getattr(self, f"_{name}")(index, tables or current())

    def _launch(self, index: int, tables: Any) -> None:
        tasks.plan(ORG, self.id, backend=tables)
        tasks.launch(ORG, self.id, index, f"token-{index}", backend=tables)

    def _launch_late(self, index: int, tables: Any) -> None:
        """A task of the first execution is slow: it read the multi-run before it ended."""
        candidates.queue(self.first, index, f"late-{index}", backend=tables)

    def _poll(self, index: int, tables: Any) -> None:
        self.upstream.clock.sleep(8)
        self.upstream.fake.script(Script(seconds=1, steps=1, ending="FAILED"))
        self.upstream.follow()

    def _drop(self, index: int, tables: Any) -> None:
        drop(self.id, index)

    def _die(self, index: int, tables: Any) -> None:
        """The function that ends the multi-run dies before it gives anything back."""
        if not stored(self.id).status.terminal:
            current().multi_runs.advance(stored(self.id), MultiRunStatus.FAILED, reason="It failed.")
            self.ended.append(stored(self.id))

    def _end(self, index: int, tables: Any) -> None:
        tasks.publish(ORG, self.id, "The state machine failed.", backend=tables)
        if stored(self.id).status.terminal:
            self.ended.append(stored(self.id))

    def _end_late(self, index: int, tables: Any) -> None:
        """Complete the end of an earlier execution, or repeat it."""
        if self.ended:
            leaving.release(self.ended[index % len(self.ended)], backend=tables)

    def _retry(self, index: int, tables: Any) -> None:
        repairing.retry(ORG, self.id, RetryCandidates(), caller=ADA, backend=tables)

    @property
    def launched(self) -> int:
        return len(self.upstream.fake.creates) - self.creates

    @property
    def counted(self) -> int:
        return used("runs_per_month") - self.used

    def settle(self) -> None:
        self.act("die", 0)
        self.act("end_late", len(self.ended) - 1)


NAMES = ["launch", "launch_late", "poll", "poll", "drop", "die", "end", "end", "end_late", "retry", "retry"]
ACTS = st.tuples(st.sampled_from(NAMES), st.integers(0, CANDIDATES - 1))
STEPS = st.lists(st.tuples(ACTS, st.none() | st.tuples(st.integers(1, 25), ACTS)), max_size=8)


def each(*names: str) -> list[Any]:
    return [((name, 0), None) for name in names]


@example(each("launch", "die", "retry", "end_late", "poll"))
@example(each("launch", "poll", "end", "retry", "launch", "poll", "end", "end_late"))
@example(each("drop", "end", "retry", "drop", "launch_late", "poll"))
@example([*each("launch", "die"), (("retry", 0), (9, ("end_late", 0))), *each("launch", "poll")])
@given(STEPS)
@settings(max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_at_the_end_the_budgets_count_the_runs_that_were_launched(upstream: Runs, steps: list[Any]) -> None:
    world = World(upstream)
    for (name, index), interruption in steps:
        # The poller is not interrupted: a launch that is under way at the end stays counted.
        if interruption is None or name in ("poll", "drop", "die"):
            world.act(name, index)
        else:
            at, other = interruption
            act = cast("Callable[[], object]", lambda other=other: world.act(*other))
            world.act(name, index, Interruption(at, act).backend)
        assert world.counted >= world.launched
    world.settle()

    assert (world.counted, used("concurrent_runs")) == (world.launched, 0)
    assert current().budgets.get(ORG).reserved == {}
    assert current().runs.get_backlog(ORG).multi_runs == {}
