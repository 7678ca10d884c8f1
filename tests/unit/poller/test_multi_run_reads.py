"""How fast the poller brings a multi-run to its answer, and that this costs no more reads."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.poller.candidates import NoMultiRuns
from codegen_runs.poller.loop import BATCH, SHORT_PAUSE, Poller
from codegen_runs.poller.publisher import NoViewers
from codegen_runs.problems import StorageUnavailable
from codegen_runs.runs.following import add_token
from codegen_runs.runs.schedule import COMMON_INTERVAL
from codegen_runs.statuses import Status
from local.fake_codegen import FakeCodegen, Script
from tests.support.backend import TestClock, Tokens
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import Enqueue, MakePoller, watch_of

READS = ("get_agent_run", "get_agent_run_logs", "list_agent_runs")
SYNTHESIS = "mr-1-synthesis"


class Noting(Tokens, NoViewers, NoMultiRuns):
    """Notes what follows the end of a run, in `acts`."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[str] = []

    def succeed(self, token: str, output: Any) -> None:
        self.acts.append("complete")

    def publish(self, watch: Any, events: Any) -> None:
        self.acts.extend("push" for event in events if event.type == "run.completed")

    def ended(self, watch: Any) -> None:
        self.acts.append("record")


def reads(fake: FakeCodegen) -> int:
    return sum(fake.calls[operation] for operation in READS)


class Waking:
    """A clock with which something happens at a time, however long the sleeper sleeps."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self._acts: list[tuple[float, Callable[[], None]]] = []

    def at(self, moment: float, act: Callable[[], None]) -> None:
        self._acts.append((moment, act))

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        due = [act for act in self._acts if act[0] <= until]
        self._acts = [act for act in self._acts if act not in due]
        for moment, act in due:
            self._clock.sleep(moment - self._clock.now())
            act()
        self._clock.sleep(until - self._clock.now())


@pytest.mark.parametrize("seconds", [0.5, 1.5, 3, 5, 9, 40])
def test_a_run_that_its_multi_run_waits_for_alone_is_read_no_more_than_another_one(
    memory: MemoryRuns, fake: FakeCodegen, enqueue: Enqueue, poll_until_idle: Callable[[], None], seconds: float
) -> None:
    counts, lags = [], []
    for key, multi_run_id in (("other", None), (SYNTHESIS, "mr-1")):
        before = reads(fake)
        fake.script(Script(seconds=seconds, steps=2, pull_request=False))
        enqueue(key, multi_run_id=multi_run_id)
        poll_until_idle()
        counts.append(reads(fake) - before)
        ended = watch_of(memory, key)
        assert ended.finished_at
        assert ended.launching_since
        lags.append(ended.finished_at / 1000 - ended.launching_since / 1000 - seconds)

    assert counts[1] <= counts[0]
    assert lags[1] <= (0.6 if seconds < 3 else 1.1) or seconds > 6


def test_the_ends_of_all_candidates_are_found_within_the_common_interval(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, enqueue: Enqueue, make_poller: MakePoller
) -> None:
    for index in range(2):
        fake.script(Script(seconds=5 + index * 0.3, steps=3, pull_request=False))
        enqueue(f"mr-1-{index}")
        clock.sleep(0.4)
    make_poller().tick(clock.now() + 30)

    watches = [watch_of(memory, f"mr-1-{index}") for index in range(2)]
    last_end = max((each.launching_since or 0) / 1000 + 5 + index * 0.3 for index, each in enumerate(watches))
    assert max(each.finished_at or 0 for each in watches) / 1000 - last_end <= COMMON_INTERVAL + 0.2


def test_the_run_that_follows_a_completed_task_is_launched_soon(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    waking, followed = Waking(clock), []

    class StateMachine(Tokens):
        def succeed(self, token: str, output: Any) -> None:
            if not followed:
                # It needs a moment to decide what follows: no multiple of any pause.
                followed.append(clock.now() + 0.33)
                waking.at(followed[0], lambda: enqueue(SYNTHESIS))

    fake.script(Script(seconds=3, steps=1, pull_request=False), times=2)
    enqueue()
    Poller(
        runs=cast("Any", memory), codegen=codegen, tokens=StateMachine(), clock=waking, holder="me", concurrency=1
    ).tick(clock.now() + 20)

    launched_at = (watch_of(memory, SYNTHESIS).launching_since or 0) / 1000
    assert launched_at - followed[0] <= SHORT_PAUSE + 0.01


def test_the_state_machine_goes_on_before_anything_is_pushed_or_recorded(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    class Faulty(Noting):
        def ended(self, watch: Any) -> None:
            super().ended(watch)
            if self.acts.count("record") == 1:
                raise StorageUnavailable("The table cannot be reached.")

    noting = Faulty()
    fake.script(Script(seconds=1, steps=1, pull_request=False))
    enqueue()
    poller = Poller(
        runs=cast("Any", memory),
        codegen=codegen,
        tokens=noting,
        clock=clock,
        holder="me",
        publisher=noting,
        candidates=noting,
        concurrency=1,
    )
    with pytest.raises(BaseExceptionGroup):
        poller.tick(clock.now() + 10)
    poller.tick(clock.now() + 10)

    # What failed is done again, and the task is complete then: the second completion has no effect.
    assert noting.acts == ["complete", "push", "record", "complete", "record"]
    assert watch_of(memory).task_token is None


def test_the_events_are_pushed_if_the_task_cannot_be_completed(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    pushed: list[str] = []

    class Silent(Tokens, NoViewers):
        def succeed(self, token: str, output: Any) -> None:
            raise StorageUnavailable("Step Functions did not accept the outcome of a run.")

        def publish(self, watch: Any, events: Any) -> None:
            pushed.extend(event.type for event in events)

    silent = Silent()
    fake.script(Script(seconds=1, steps=1, pull_request=False))
    enqueue()
    with pytest.raises(BaseExceptionGroup):
        Poller(
            runs=cast("Any", memory),
            codegen=codegen,
            tokens=silent,
            clock=clock,
            holder="me",
            publisher=silent,
            concurrency=1,
        ).tick(clock.now() + 10)

    assert "run.completed" in pushed
    assert watch_of(memory).task_token is not None


def test_runs_that_a_multi_run_waits_for_are_read_before_others_but_one(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, enqueue: Enqueue, make_poller: MakePoller
) -> None:
    fake.script(Script(seconds=600, steps=1, pull_request=False), times=BATCH * 3)
    others, awaited = ([f"{name}-{number}" for number in range(BATCH)] for name in ("other", "mr-1"))
    poller = make_poller()
    for keys, multi_run_id in ((others, None), (awaited, "mr-1")):
        for key in keys:
            enqueue(key, multi_run_id=multi_run_id)
        poller.tick(clock.now() + 30)
        clock.sleep(61)
    due = [key for _, key in poller._due()]

    assert len(fake.creates) == 2 * BATCH
    assert len(due) == BATCH
    assert set(due[:-1]) < set(awaited)
    assert due[-1] in others


def test_a_token_that_is_added_during_a_launch_is_kept_with_the_run(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    fake.script(Script(seconds=600, steps=1, pull_request=False))
    enqueue(SYNTHESIS, task_token=None)
    create = codegen.runs.create

    def overtaken(*args: Any, **more: Any) -> Any:
        created = create(*args, **more)
        backend = Backend(runs=memory, clock=clock, kick=lambda *_: None)  # type: ignore[typeddict-item]
        assert add_token(123, SYNTHESIS, "late", backend=backend)
        return created

    codegen.runs.create = overtaken  # type: ignore[method-assign]
    runs, tokens = cast("Any", memory), Tokens()
    Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", concurrency=1).tick(clock.now() + 0.5)
    found = watch_of(memory, SYNTHESIS)

    assert (found.status, found.task_token) == (Status.RUNNING, "late")
    assert found.agent_run_id in fake.runs


def test_what_follows_the_end_of_a_run_does_not_delay_the_reads_that_are_due(
    memory: MemoryRuns, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI, enqueue: Enqueue
) -> None:
    noting = Noting()
    fake.script(Script(seconds=1, steps=1, pull_request=False), times=2)
    for index in range(2):
        enqueue(f"mr-1-{index}")
    runs = cast("Any", memory)
    Poller(runs=runs, codegen=codegen, tokens=noting, clock=clock, holder="me", candidates=noting, concurrency=1).tick(
        clock.now() + 10
    )

    assert noting.acts == ["complete", "complete", "record", "record"]
