"""Cancelled and paused runs in the poller, in any order of events."""

from collections.abc import Callable
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.events import Writer
from codegen_runs.poller.loop import Poller
from codegen_runs.prompts import Prompt
from codegen_runs.runs import transitions
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel, Launch, Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from tests.support.backend import TestClock, Tokens
from tests.support.memory import MemoryRuns
from tests.unit.run_control.controls import QUIET

KEY = "mr-1-0"
TOKEN = "a-task-token"


@pytest.fixture
def tick(runs: MemoryRuns, codegen: CodegenAPI, clock: TestClock, tokens: Tokens) -> Callable[[float], None]:
    poller = Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", concurrency=1)

    def tick(seconds: float) -> None:
        until = clock.now() + seconds
        poller.tick(until)
        clock.sleep(max(0, until - clock.now()))

    return tick


@pytest.fixture
def queued(runs: MemoryRuns, clock: TestClock) -> Watch:
    now = round(clock.now() * 1000)
    watch = Watch(
        org_id=DEMO_ORG_ID,
        key=KEY,
        status=Status.QUEUED,
        prompts=(Prompt(text="Say hello.", at=now),),
        launch=Launch(metadata={"multi_run_id": "mr-1"}),
        task_token=TOKEN,
        multi_run_id="mr-1",
        created_at=now,
        updated_at=now,
        due_at=now,
        deadline_at=now + 3_600_000,
    )
    writer = Writer(watch.position, run_id=None, now=clock.now())
    writer.add("run.queued", {"turn": 1})
    runs.add(watch.at(writer.position), writer.events)
    return stored(runs)


def stored(runs: MemoryRuns) -> Watch:
    watch = runs.get(DEMO_ORG_ID, KEY)
    assert watch is not None
    return watch


def history(runs: MemoryRuns) -> list[str]:
    return [event.type for event in runs.events(DEMO_ORG_ID, KEY, limit=1000) if event.type not in QUIET]


def wish(clock: TestClock, **more: Any) -> Cancel:
    return Cancel(requested_at=round(clock.now() * 1000), requested_by="user:1", **more)


def launching(runs: MemoryRuns, clock: TestClock, watch: Watch, **changes: Any) -> Watch:
    """Write the state of a run in the middle of its launch."""
    now = round(clock.now() * 1000)
    changes = {"status": Status.LAUNCHING, "launching_since": now, "due_at": now + 5000} | changes
    return runs.write(watch.model_copy(update=changes))


def test_a_cancelled_launch_that_left_no_trace_is_not_repeated(
    queued: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tokens: Tokens,
    tick: Callable[[float], None],
) -> None:
    watch = launching(runs, clock, queued)
    runs.write(*transitions.cancel_requested(watch, wish(clock, reason="Not needed."), now=clock.now()))
    tick(58)

    assert stored(runs).status is Status.CANCELLED
    assert stored(runs).status_reason == "The run was cancelled before it was launched: Not needed."
    assert history(runs) == ["run.queued", "run.cancel_requested", "run.cancelled"]
    assert tokens.answers[TOKEN][0] == "Run.cancelled"
    assert stored(runs).due_at is None
    assert len(fake.creates) == 0


def test_a_cancel_during_a_launch_bans_the_launched_run_if_allowed(
    queued: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tokens: Tokens,
    tick: Callable[[float], None],
) -> None:
    def cancel() -> None:
        runs.after = lambda: None
        runs.write(*transitions.cancel_requested(stored(runs), wish(clock, allow_pr_ban=True), now=clock.now()))

    runs.after = cancel  # The poller's first write marks the run as launching.
    fake.script(Script(ending="NEVER"))
    tick(40)

    assert len(fake.creates) == 1
    assert fake.calls["ban_all_checks_for_agent_run"] == 1
    assert stored(runs).status is Status.CANCELLED
    assert history(runs) == ["run.queued", "run.cancel_requested", "run.started", "run.cancelled"]
    assert tokens.answers[TOKEN][0] == "Run.cancelled"


def test_a_cancel_during_a_launch_without_an_allowed_ban_ends_unconfirmed(
    queued: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
) -> None:
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    tick(1)
    assert stored(runs).status is Status.LAUNCHING
    runs.write(*transitions.cancel_requested(stored(runs), wish(clock), now=clock.now()))
    tick(58)

    assert fake.calls["ban_all_checks_for_agent_run"] == 0
    assert stored(runs).status is Status.COMPLETED
    assert history(runs) == [
        "run.queued", "run.cancel_requested", "run.started", "run.cancel_unconfirmed", "run.completed"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (Trouble("error", status=429, retry_after=7), Status.CANCELLED),
        (Trouble("lost_answer"), Status.CANCELLED),
        (Trouble("error", status=403), Status.RUNNING),
    ],
)
def test_a_ban_that_fails_in_the_poller_is_retried_or_ends_unconfirmed(
    trouble: Trouble,
    status: Status,
    queued: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tick: Callable[[float], None],
) -> None:
    fake.script(Script(ending="NEVER"))
    fake.trouble("ban_all_checks_for_agent_run", trouble)
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    tick(1)
    runs.write(*transitions.cancel_requested(stored(runs), wish(clock, allow_pr_ban=True), now=clock.now()))
    tick(58)

    assert stored(runs).status is status
    assert ("run.cancel_unconfirmed" in history(runs)) is (status is Status.RUNNING)
    assert history(runs).count("run.cancel_requested") == 1


@pytest.fixture
def running(
    queued: Watch, runs: MemoryRuns, clock: TestClock, fake: FakeCodegen, tick: Callable[[float], None]
) -> Watch:
    fake.script(Script(ending="NEVER"))
    tick(5)
    return stored(runs)


def test_a_cancel_that_the_upstream_does_not_confirm_ends_unconfirmed(
    running: Watch, runs: MemoryRuns, clock: TestClock, tick: Callable[[float], None]
) -> None:
    runs.write(*transitions.cancelling(running, wish(clock, allow_pr_ban=True), now=clock.now()))
    tick(transitions.CONFIRMATION_SECONDS - 30)
    assert stored(runs).status is Status.CANCELLING
    tick(90)

    watch = stored(runs)
    assert watch.status is Status.RUNNING
    assert (watch.cancel, watch.cancel_deadline_at) == (None, None)
    assert history(runs)[-2:] == ["run.cancel_requested", "run.cancel_unconfirmed"]


def test_a_run_that_completes_before_it_is_stopped_is_completed(
    runs: MemoryRuns, clock: TestClock, fake: FakeCodegen, queued: Watch, tick: Callable[[float], None]
) -> None:
    fake.script(Script(seconds=30))
    tick(5)
    runs.write(*transitions.cancelling(stored(runs), wish(clock, allow_pr_ban=True), now=clock.now()))
    tick(58)

    assert stored(runs).status is Status.COMPLETED
    assert history(runs)[-1] == "run.completed"


def test_a_completion_after_a_cancel_is_recorded_but_the_run_stays_cancelled(
    running: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    codegen: CodegenAPI,
    fake: FakeCodegen,
    tokens: Tokens,
    tick: Callable[[float], None],
) -> None:
    assert running.agent_run_id is not None
    runs.write(*transitions.cancelling(running, wish(clock, allow_pr_ban=True), now=clock.now()))
    codegen.runs.ban(running.agent_run_id, org_id=DEMO_ORG_ID)
    tick(30)
    assert stored(runs).status is Status.CANCELLED
    fake.set_plan(running.agent_run_id, Script(seconds=1, result="Done all the same."))
    tick(transitions.CONFIRMATION_SECONDS)

    watch = stored(runs)
    assert watch.status is Status.CANCELLED
    assert (watch.upstream_status, watch.result) == ("COMPLETE", "Done all the same.")
    assert watch.due_at is None
    events = runs.events(DEMO_ORG_ID, KEY, limit=1000)
    after_cancel = [event.type for event in events if event.type not in ("run.log", "stream.reset")]
    assert after_cancel[-2:] == ["run.cancelled", "run.status_changed"]
    assert events[-1].data == {
        "from": "cancelled",
        "to": "cancelled",
        "upstream_status": "COMPLETE",
        "result_preview": "Done all the same.",
    }
    assert tokens.answers[TOKEN][0] == "Run.cancelled"


@pytest.mark.parametrize("trouble", [None, Trouble("error", status=404), Trouble("error", status=500)])
def test_a_cancelled_run_is_read_once_more_and_then_no_longer_polled(
    trouble: Trouble | None,
    running: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    codegen: CodegenAPI,
    fake: FakeCodegen,
    tick: Callable[[float], None],
) -> None:
    assert running.agent_run_id is not None
    runs.write(*transitions.cancelling(running, wish(clock, allow_pr_ban=True), now=clock.now()))
    codegen.runs.ban(running.agent_run_id, org_id=DEMO_ORG_ID)
    if trouble:
        fake.trouble("get_agent_run", trouble, times=None)
    tick(3 * transitions.CONFIRMATION_SECONDS)

    assert stored(runs).status is Status.CANCELLED
    assert stored(runs).due_at is None
    assert history(runs)[-1] == "run.cancelled"
    assert fake.calls["get_agent_run"] == 2  # as for each run that ends, and for this one later on


def test_a_paused_run_is_not_launched_until_it_is_unpaused(
    queued: Watch, runs: MemoryRuns, clock: TestClock, fake: FakeCodegen, tick: Callable[[float], None]
) -> None:
    runs.write(*transitions.paused(queued, now=clock.now()))
    tick(1800)
    assert stored(runs).status is Status.PAUSED
    assert len(fake.creates) == 0
    runs.write(*transitions.unpaused(stored(runs), now=clock.now()))
    tick(58)

    assert stored(runs).status is Status.COMPLETED
    assert history(runs) == [
        "run.queued", "run.status_changed", "run.status_changed", "run.started", "run.completed"
    ]  # fmt: skip


def test_a_paused_run_times_out_at_its_deadline(
    queued: Watch,
    runs: MemoryRuns,
    clock: TestClock,
    fake: FakeCodegen,
    tokens: Tokens,
    tick: Callable[[float], None],
) -> None:
    runs.write(*transitions.paused(queued, now=clock.now()))
    tick(3700)

    assert stored(runs).status is Status.TIMED_OUT
    assert tokens.answers[TOKEN] == ("Run.timed_out", "The run was still paused at its deadline.")
    assert len(fake.creates) == 0


def test_a_run_paused_during_a_launch_without_trace_is_not_launched_again(
    queued: Watch, runs: MemoryRuns, clock: TestClock, fake: FakeCodegen, tick: Callable[[float], None]
) -> None:
    watch = launching(runs, clock, queued)
    runs.write(*transitions.paused(watch, now=clock.now()))
    tick(120)

    assert stored(runs).status is Status.PAUSED
    assert len(fake.creates) == 0


def test_a_run_that_is_pending_upstream_is_never_launched_again(
    queued: Watch, runs: MemoryRuns, fake: FakeCodegen, tick: Callable[[float], None]
) -> None:
    fake.script(Script(via="PENDING", seconds=40))
    tick(58)

    assert stored(runs).status is Status.COMPLETED
    assert len(fake.creates) == 1
