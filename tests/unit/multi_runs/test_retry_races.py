"""A retry at the moment at which the end of the execution before it is completed, at each of their steps.

A step is a call of a table. The other function acts as a whole before one of them, and each of them has its turn.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import candidates, leaving, repairing
from codegen_runs.multi_runs.repairing import RetryCandidates
from codegen_runs.poller.candidates import RecordedCandidates
from codegen_runs.poller.loop import Poller
from codegen_runs.poller.publisher import NoViewers
from codegen_runs.runs import transitions
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.upstream import over
from local.fake_codegen import FakeCodegen, FakeTransport, Script
from tests.support import backend, handlers
from tests.support.events import call, current, rest
from tests.unit.multi_runs.flow import ORG, Runs, get, stored, task, watch
from tests.unit.multi_runs.test_budgets import ADA, BUDGETS, start, used

MOST_STEPS = 80


class Interrupted:
    """A table; before the call with a number, counted for all tables of a world, another function acts."""

    def __init__(self, table: Any, world: "Interruption") -> None:
        self._table = table
        self._world = world

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._table, name)

        def called(*args: Any, **more: Any) -> Any:
            self._world.step()
            return real(*args, **more)

        return called if callable(real) else real


class Interruption:
    """Tables of which one call is interrupted."""

    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self._left, self._act = at, act
        self.acted = False
        tables = {name: Interrupted(getattr(current(), name), self) for name in ("runs", "multi_runs", "budgets")}
        self.backend = Backend(clock=current().clock, kick=backend.Kicks(), **cast("Any", tables))

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.acted = True
            self._act()


@contextmanager
def counted(fake: FakeCodegen, limit: str) -> Iterator[None]:
    """Count runs in a budget that is never used up, and call Codegen as the deployment does."""
    with over(FakeTransport(fake)):
        body = {"organization": {limit: 100_000, "concurrent_runs": 200}}
        assert call(handlers.handler("budgets/set"), rest("PUT", BUDGETS, body=body, caller=ADA)).status == 200
        yield


@pytest.fixture(autouse=True)
def _world(upstream: Runs, fake: FakeCodegen) -> Iterator[None]:
    upstream.ticks, upstream.seconds = 1, 12
    with counted(fake, "runs_per_day"):
        yield


class Ended:
    """A multi-run of two candidates whose state machine failed. The function that ends it is not done.

    The first candidate is queued, the second is not, because its task is late.
    """

    def __init__(self, upstream: Runs) -> None:
        self.upstream = upstream
        self.used, self.creates = used(), len(upstream.fake.creates)
        self.id = start(2, quorum=2)
        task("plan", self.id)
        self.open = stored(self.id)
        candidates.queue(self.open, 0, "token-0", backend=current())
        self.record: MultiRun | None = None

    def end(self) -> "Ended":
        self.record = current().multi_runs.advance(stored(self.id), MultiRunStatus.FAILED, reason="It failed.")
        return self

    def all_of(self, names: Sequence[str]) -> Callable[[], object]:
        """Return a function that calls these methods."""
        return lambda: [getattr(self, name)() for name in names]

    def end_late(self) -> None:
        assert self.record is not None
        leaving.release(self.record, backend=current())

    def retry(self, tables: Backend | None = None) -> None:
        repairing.retry(ORG, self.id, RetryCandidates(), caller=ADA, backend=tables or current())

    def mark(self) -> None:
        """The poller is about to launch the first candidate."""
        current().runs.write(*transitions.launching(watch(self.id, 0), now=current().clock.now()))

    def queue_again(self) -> None:
        """Codegen has refused the launch for now."""
        found = watch(self.id, 0)
        if found.status is Status.LAUNCHING:
            current().runs.write(found.model_copy(update={"status": Status.QUEUED, "launching_since": None}))

    def queue_late(self) -> None:
        candidates.queue(self.open, 1, "token-1", backend=current())

    def poll(self) -> None:
        """Let the poller meet its queued runs."""
        self.upstream.follow(1)

    def finish(self) -> None:
        """Go through the tasks of the last execution, with answers that are usable."""
        self.upstream.clock.sleep(60)  # So that Codegen admits further launches.
        for _ in range(3):
            self.upstream.fake.script(Script(seconds=1, steps=1, result="Use a lock.", pull_request=False))
        self.upstream.launch(self.id)
        self.upstream.gather(self.id)
        task("publish", self.id)

    def check(self, *, spare: int = 0) -> None:
        """Both candidates gave an answer, and what counts is what was launched, and at most `spare` runs more."""
        found = get(self.id).json
        assert (found["status"], found["counts"]["usable"]) == ("completed", 2), found["candidates"]
        launched = len(self.upstream.fake.creates) - self.creates
        assert (launched, used("concurrent_runs")) == (2, 0)
        assert 0 <= used() - self.used - launched <= spare
        assert current().runs.get_backlog(ORG).count(round(current().clock.now() * 1000)) == 0


@pytest.mark.parametrize("is_launching", [pytest.param(False, marks=pytest.mark.full), True])
@pytest.mark.parametrize(
    "acts",
    [
        "end_late",
        pytest.param("poll", marks=pytest.mark.full),
        "queue_again end_late",
        pytest.param("queue_again poll", marks=pytest.mark.full),
        pytest.param("queue_late end_late", marks=pytest.mark.full),
        pytest.param("queue_late poll", marks=pytest.mark.full),
    ],
)
def test_a_retry_that_is_interrupted_at_any_step_waits_for_no_run_that_is_cancelled(
    upstream: Runs, acts: str, is_launching: bool
) -> None:
    for step in range(1, MOST_STEPS):
        ended = Ended(upstream)
        if is_launching:
            ended.mark()
        ended.end()
        interruption = Interruption(step, ended.all_of(acts.split()))
        ended.retry(interruption.backend)
        if not interruption.acted:
            break
        ended.queue_again()
        ended.finish()
        # A launch that was under way at the end counts, although Codegen refused it later.
        ended.check(spare=int(is_launching))
    assert 5 < step < MOST_STEPS - 1


def test_the_end_of_an_execution_that_is_interrupted_by_a_retry_cancels_no_run_of_it(upstream: Runs) -> None:
    for step in range(1, MOST_STEPS):
        ended = Ended(upstream).end()
        interruption = Interruption(step, ended.retry)
        leaving.release(cast("MultiRun", ended.record), backend=interruption.backend)
        if not interruption.acted:
            break
        ended.finish()
        ended.check()
    assert 5 < step < MOST_STEPS - 1


@pytest.mark.full
def test_the_poller_that_is_interrupted_by_a_retry_cancels_no_run_of_it(upstream: Runs) -> None:
    for step in range(1, MOST_STEPS):
        ended = Ended(upstream).end()
        interruption = Interruption(step, ended.retry)
        poller = Poller(
            runs=cast("Any", interruption.backend.runs),
            codegen=backend.codegen(FakeTransport(upstream.fake)),
            tokens=upstream.tokens,
            clock=upstream.clock,
            holder="me",
            concurrency=1,
            candidates=RecordedCandidates(interruption.backend, NoViewers()),
        )
        poller.tick(upstream.clock.now() + 3)
        if not interruption.acted:
            break
        ended.finish()
        ended.check()
    assert step > 5
