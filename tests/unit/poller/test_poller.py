"""The poller: launching runs, following them and completing their tasks, whatever fails in between."""

from collections.abc import Callable
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.poller.lease import LEASE
from codegen_runs.runs import following
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from tests.support.backend import TestClock, Tokens
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import KEY, TOKEN, Enqueue, MakePoller, history, watch_of


def test_a_queued_run_is_launched_and_followed_and_its_task_completed(
    memory: MemoryRuns, tokens: Tokens, codegen: CodegenAPI, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    enqueue()
    poll_until_idle()

    watch = watch_of(memory)
    assert watch.status is Status.COMPLETED
    assert watch.result
    assert watch.due_at is None
    assert tokens.answers == {TOKEN: {"run": KEY, "status": "completed"}}
    types = history(memory)
    assert types[:2] == ["run.queued", "run.started"]
    assert types[-1] == "run.completed"
    assert set(types[2:-1]) == {"run.log", "checkpoint.created"}
    assert watch.agent_run_id is not None
    assert types.count("run.log") == codegen.runs.logs(watch.agent_run_id, org_id=DEMO_ORG_ID).total_logs


def test_events_are_numbered_without_gaps_and_carry_the_position_of_their_log_entry(
    memory: MemoryRuns, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    enqueue()
    poll_until_idle()

    events = memory.events(DEMO_ORG_ID, KEY, limit=1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    logs = [event.data["position"] for event in events if event.type == "run.log"]
    assert logs == list(range(len(logs)))


def test_hundreds_of_log_entries_come_before_the_end(
    memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(steps=350, seconds=5))
    enqueue()
    poll_until_idle()

    types = history(memory)
    assert types.count("run.log") > 350
    assert types[-1] == "run.completed"


def test_a_failed_run_fails_its_task_with_the_reason(
    memory: MemoryRuns, tokens: Tokens, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(ending="FAILED"))
    enqueue()
    poll_until_idle()

    assert watch_of(memory).status is Status.FAILED
    assert tokens.answers[TOKEN][0] == "Run.failed"


def test_a_run_with_an_unknown_status_is_still_followed(
    memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(via="PONDERING", seconds=30))
    enqueue()
    poll_until_idle()

    assert watch_of(memory).status is Status.COMPLETED
    changed = [e.data for e in memory.events(DEMO_ORG_ID, KEY, limit=1000) if e.type == "run.status_changed"]
    assert changed[0]["upstream_status"] == "PONDERING"
    assert changed[0]["to"] == "unknown"


def test_a_run_that_never_ends_is_timed_out_at_its_deadline(
    memory: MemoryRuns, tokens: Tokens, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(ending="NEVER"))
    enqueue(seconds=120)
    poll_until_idle()

    assert watch_of(memory).status is Status.TIMED_OUT
    assert tokens.answers[TOKEN][0] == "Run.timed_out"
    assert history(memory)[-1] == "run.timed_out"


@pytest.mark.parametrize("status", [402, 403, 404, 422])
def test_a_refused_launch_fails_the_run_with_codegens_message(
    status: int,
    memory: MemoryRuns,
    tokens: Tokens,
    fake: FakeCodegen,
    poll_until_idle: Callable[[], None],
    enqueue: Enqueue,
) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=status, message="No, thank you."))
    enqueue()
    poll_until_idle()

    assert watch_of(memory).status is Status.FAILED
    assert "No, thank you." in (watch_of(memory).status_reason or "")
    assert tokens.answers[TOKEN][0] == "Run.failed"


def test_a_rate_limited_launch_waits_for_retry_after(
    memory: MemoryRuns, clock: TestClock, fake: FakeCodegen, make_poller: MakePoller, enqueue: Enqueue
) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=429, retry_after=17))
    enqueue()
    enqueue("mr-1-1")
    before = clock.now()
    make_poller().tick(before + 10)

    assert len(fake.creates) == 0
    for key in (KEY, "mr-1-1"):
        watch = watch_of(memory, key)
        assert watch.status is Status.QUEUED
        assert watch.due_at is not None
        assert watch.due_at >= round((before + 17) * 1000)
    assert fake.calls["create_agent_run"] == 1


@pytest.mark.parametrize("trouble", ["lost_answer", "truncated", "cut", "empty"])
def test_a_launch_whose_answer_is_lost_creates_one_run(
    trouble: Any, memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.trouble("create_agent_run", Trouble(trouble))
    enqueue()
    poll_until_idle()

    assert watch_of(memory).status is Status.COMPLETED
    assert len(fake.creates) == 1


@pytest.mark.parametrize("trouble", ["error", "html", "cut", "truncated", "hang", "empty"])
def test_failed_reads_delay_and_lose_nothing(
    trouble: Any, memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    enqueue()
    fake.trouble("get_agent_run_logs", Trouble(trouble), times=3)
    poll_until_idle()

    assert watch_of(memory).status is Status.COMPLETED
    assert history(memory)[-1] == "run.completed"


def test_an_entry_that_is_filled_in_late_has_another_event(
    memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(logs="late", seconds=30, steps=4))
    enqueue()
    poll_until_idle()

    assert "run.log_updated" in history(memory)


def test_a_pull_request_has_one_event_before_the_end(
    memory: MemoryRuns, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(pull_request=True, seconds=60, steps=20))
    enqueue()
    poll_until_idle()

    events = memory.events(DEMO_ORG_ID, KEY, limit=1000)
    (opened,) = [event for event in events if event.type == "run.pr_opened"]
    run = fake.runs[watch_of(memory).agent_run_id or 0].response(fake.clock.now())
    (pull_request,) = run.github_pull_requests or []
    assert opened.data["pull_request"]["url"] == pull_request.url
    assert opened.data["pull_request"]["head_branch_name"] == pull_request.head_branch_name
    assert events[-1].data["summary"] == run.summary
    # One look for an entry that tells of it, perhaps another when its output is there, and one at the end.
    assert 1 <= fake.calls["get_agent_run"] <= 3


def test_a_run_without_a_pull_request_is_read_once_and_ends_even_if_that_fails(
    memory: MemoryRuns, fake: FakeCodegen, poll_until_idle: Callable[[], None], enqueue: Enqueue
) -> None:
    fake.script(Script(pull_request=False, seconds=60, steps=20))
    fake.trouble("get_agent_run", Trouble("error", status=500), times=None)
    enqueue()
    poll_until_idle()

    assert history(memory)[-1] == "run.completed"
    assert "run.pr_opened" not in history(memory)
    assert fake.calls["get_agent_run"] == 1


def test_a_second_poller_leaves_the_work_to_the_first(
    memory: MemoryRuns, clock: TestClock, fake: FakeCodegen, make_poller: MakePoller, enqueue: Enqueue
) -> None:
    enqueue()
    assert memory.acquire_lease(LEASE, "another", round(clock.now() * 1000), round(clock.now() * 1000) + 30_000)

    assert not make_poller().tick(clock.now() + 10).held_lease
    assert len(fake.creates) == 0


def test_a_patient_tick_continues_when_the_holder_of_the_lease_ends(
    memory: MemoryRuns, clock: TestClock, fake: FakeCodegen, make_poller: MakePoller, enqueue: Enqueue
) -> None:
    enqueue()
    memory.acquire_lease(LEASE, "another", round(clock.now() * 1000), round(clock.now() * 1000) + 30_000)

    assert make_poller().tick(clock.now() + 58, patient=True).held_lease
    assert len(fake.creates) == 1


def test_a_run_whose_step_fails_unexpectedly_does_not_keep_the_poller_from_the_others(
    memory: MemoryRuns, clock: TestClock, make_poller: MakePoller, enqueue: Enqueue
) -> None:
    class Broken(MemoryRuns):
        def get(self, org_id: int, key: str) -> Watch | None:
            if key == KEY:
                raise ZeroDivisionError
            return super().get(org_id, key)

    broken = Broken()
    enqueue(runs=broken)
    clock.sleep(1)
    enqueue("mr-1-1", runs=broken)
    with pytest.raises(ExceptionGroup, match="could not be polled"):
        make_poller(runs=broken).tick(clock.now() + 40)

    assert watch_of(broken, "mr-1-1").status is Status.COMPLETED


def test_a_follow_up_opens_the_next_turn(
    memory: MemoryRuns, backend: Backend, codegen: CodegenAPI, poll_until_idle: Callable[[], None]
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    following.follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=run.status, backend=backend)
    poll_until_idle()
    resumed = codegen.runs.follow_up(run.id, "And goodbye.", org_id=DEMO_ORG_ID)
    following.follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=resumed.status, backend=backend)
    poll_until_idle()

    types = history(memory, str(run.id))
    assert types.count("run.completed") == 2
    assert types.count("run.started") == 2
    assert watch_of(memory, str(run.id)).turn == 2
