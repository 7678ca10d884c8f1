"""Nothing stays open: neither a multi-run whose state machine died, nor any run among many with random faults."""

import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.multi_runs import reconciler, tasks
from codegen_runs.poller.loop import Poller
from codegen_runs.runs import following
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import Launch, RunsTable
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, FakeTransport, ManualClock, Script, Trouble
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import Context
from tests.support.memory import MemoryRuns
from tests.support.profiles import examples
from tests.unit.multi_runs.records import multi_run


def executions(**ended: str) -> Callable[[MultiRun], str | None]:
    """Return a function that knows how the given state machines ended; all others are running."""
    return lambda record: ended.get(record.id.replace("-", "_"))


@pytest.fixture
def work(deployed: Template, clock: backend.TestClock) -> Backend:
    return Backend(clock=clock, kick=backend.Kicks())


def test_a_multi_run_whose_state_machine_died_is_settled_with_the_reason(
    work: Backend, clock: backend.TestClock
) -> None:
    table = work.multi_runs
    for name in ("mr-dead", "mr-alive"):
        table.add(multi_run(id=name, created_at=round(clock.now() * 1000)))
    clock.sleep(600)
    report = reconciler.reconcile(executions(mr_dead="TIMED_OUT"), backend=work)

    dead, alive = table.get(123, "mr-dead"), table.get(123, "mr-alive")
    assert report == reconciler.Report(open=2, settled=1)
    assert dead is not None
    assert dead.status is MultiRunStatus.FAILED
    assert (dead.reason or "").startswith("The state machine ended with status TIMED_OUT.")
    assert alive is not None
    assert alive.status is MultiRunStatus.QUEUED


def test_a_settled_multi_run_is_not_open(work: Backend, clock: backend.TestClock) -> None:
    table = work.multi_runs
    table.add(multi_run(id="mr-dead", created_at=round(clock.now() * 1000)))
    clock.sleep(600)
    for _ in range(2):
        report = reconciler.reconcile(executions(mr_dead="ABORTED"), backend=work)

    assert report == reconciler.Report(open=0, settled=0)


def test_a_multi_run_that_was_just_created_is_not_settled(work: Backend, clock: backend.TestClock) -> None:
    table = work.multi_runs
    table.add(multi_run(id="mr-new", created_at=round(clock.now() * 1000)))
    clock.sleep(5)

    assert reconciler.reconcile(executions(mr_new="MISSING"), backend=work).open == 0


def test_a_multi_run_published_meanwhile_keeps_its_answer(work: Backend, clock: backend.TestClock) -> None:
    table = work.multi_runs
    record = multi_run(id="mr-done", created_at=round(clock.now() * 1000))
    table.add(record)
    table.advance(record, MultiRunStatus.COMPLETED, reason="As it was.")
    tasks.publish(123, "mr-done", "The state machine ended with status FAILED.", backend=work)

    found = table.get(123, "mr-done")
    assert found is not None
    assert (found.status, found.reason) == (MultiRunStatus.COMPLETED, "As it was.")


def test_the_function_reads_executions_from_step_functions(
    deployed: Template, work: Backend, clock: backend.TestClock
) -> None:
    backend.create_state_machine(deployed)
    work.multi_runs.add(multi_run(id="mr-never-started", created_at=round(clock.now() * 1000)))
    clock.sleep(600)

    answer = handlers.load("reconciler/reconcile").handler({}, Context(), work)
    assert answer == {"open": 1, "settled": 1}


class Killed(BaseException):
    """The poller's process is killed."""


@pytest.mark.full
def test_no_run_is_stranded_by_random_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    count = examples(1000)
    chance = random.Random(20261121)
    fake = FakeCodegen(clock=ManualClock(), limits={})
    clock = backend.TestClock(cast(ManualClock, fake.clock))
    runs, tokens = MemoryRuns(), backend.Tokens()
    work = Backend(clock=clock, kick=backend.Kicks(), runs=cast(RunsTable, runs))
    # Higher rate limits shorten the simulated time.
    monkeypatch.setenv("CODEGEN_LIMIT_FACTOR", "20")
    codegen: CodegenAPI = backend.codegen(FakeTransport(fake))

    endings = ["COMPLETE"] * 6 + ["FAILED", "TIMEOUT", "NEVER", "PONDERING", "MAX_ITERATIONS_REACHED"]
    kinds = ["error", "html", "cut", "hang", "lost_answer", "truncated", "empty"]
    operations = ["create_agent_run", "get_agent_run_logs", "list_agent_runs"]

    def strike(*_: Any) -> None:
        if chance.random() < 0.005:
            raise Killed

    runs.before = runs.after = cast(Any, strike)
    waiting, killed = list(range(count)), 0
    for tick in range(400):
        for number in [waiting.pop() for _ in range(min(40, len(waiting)))]:
            fake.script(Script(ending=chance.choice(endings), seconds=chance.uniform(0, 40), steps=1))
            following.enqueue(
                org_id=DEMO_ORG_ID, key=f"mr-{number}", prompt="Say hello.", launch=Launch(),
                task_token=f"token-{number}", multi_run_id="mr", deadline=clock.now() + 300, backend=work,
            )  # fmt: skip
        for _ in range(chance.randint(0, 9)):
            kind: Any = chance.choice(kinds)
            fake.trouble(chance.choice(operations), Trouble(kind, status=chance.choice([429, 500, 503])))
        poller = Poller(
            runs=cast(RunsTable, runs), codegen=codegen, tokens=tokens, clock=clock, holder=str(tick), concurrency=1
        )
        try:
            poller.tick(clock.now() + 58, patient=True)
        except (Killed, BaseExceptionGroup):
            killed += 1  # the next one waits until the lease is taken for abandoned
        clock.sleep(chance.uniform(1, 30))
        if not waiting and runs.outlook(1) == []:
            break

    assert killed > count / 50, "the poller was killed often"
    stranded = [watch.key for watch in runs.watches.values() if not watch.status.terminal or watch.task_token]
    assert stranded == []
    assert len(runs.watches) == count
    assert set(tokens.answers) == {f"token-{number}" for number in range(count)}
    intents = [create.body["metadata"]["client_run_id"] for create in fake.creates]
    assert len(intents) > 0.9 * count, "most came to be launched"
    assert len(intents) == len(set(intents)), "two upstream runs for one intent"
