"""What a multi-run certainly does not start is given back to the budgets, once; everything else stays counted."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs.callers import Caller
from codegen_runs.multi_runs import candidates, leaving
from codegen_runs.roles import Role
from codegen_runs.runs import transitions
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRunStatus
from codegen_runs.upstream import over
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, Script, Trouble
from tests.support import backend, handlers
from tests.support.events import Answer, call, current, rest
from tests.support.overtaken import Overtaken
from tests.unit.multi_runs.flow import ORG, PATH, Runs, cancel, create, get, stored, task, watch

pytestmark = pytest.mark.usefixtures("state_machine")

ADA = Caller("user:789", 789, frozenset({ORG}), DEMO_TOKEN, roles={ORG: Role.ADMIN})
BUDGETS = f"/v1/organizations/{ORG}/budgets"
DAY = 86_400


@pytest.fixture(autouse=True)
def _budgets(fake: FakeCodegen, state_machine: None) -> Iterator[None]:
    with over(FakeTransport(fake)):
        body = {"organization": {"runs_per_day": 100, "runs_per_month": 900, "concurrent_runs": 100}}
        assert call(handlers.handler("budgets/set"), rest("PUT", BUDGETS, body=body, caller=ADA)).status == 200
        yield


def used(budget: str = "runs_per_day") -> int:
    answer = call(handlers.handler("budgets/get"), rest("GET", BUDGETS, caller=ADA)).json
    return next(each["used"] for each in answer["used"] if each["budget"] == budget)


def start(concurrency: int = 3, **body: Any) -> str:
    answer = create({"prompt": "Fix the race.", "concurrency": concurrency, "strategy": "none", **body})
    assert answer.status == 202, answer.json
    return str(answer.json["id"])


def launch(multi_run_id: str, *indexes: int) -> None:
    task("plan", multi_run_id)
    for index in indexes:
        task("launch", multi_run_id, index=index, task_token=f"token-{index}")


def drop(multi_run_id: str, index: int) -> Answer:
    path = f"{PATH}/{multi_run_id}/candidates/{index}"
    return call(handlers.handler("multi_runs/drop_candidate"), rest("DELETE", path, caller=ADA))


def act(action: str, multi_run_id: str, body: Any = None) -> Answer:
    path = f"{PATH}/{multi_run_id}/{action}"
    return call(handlers.handler(f"multi_runs/{action}"), rest("POST", path, body=body, caller=ADA))


def test_a_candidate_that_is_dropped_before_its_launch_is_given_back_once() -> None:
    multi_run_id = start(3)
    launch(multi_run_id, 0)
    assert used() == 3
    drop(multi_run_id, 0)  # It is queued.
    assert used() == 2
    drop(multi_run_id, 1)  # The state machine has not queued it.
    assert used() == 1
    for index in (0, 1):
        drop(multi_run_id, index)

    assert (used(), used("runs_per_month")) == (1, 1)
    cancel(multi_run_id)
    assert (used(), used("runs_per_month"), used("concurrent_runs")) == (0, 0, 0)


def test_a_candidate_that_is_dropped_after_its_launch_stays_counted(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(2)
    launch(multi_run_id, 0)
    upstream.follow(1)
    drop(multi_run_id, 0)
    assert used() == 2
    cancel(multi_run_id)

    assert (used(), len(upstream.fake.creates)) == (1, 1)


def test_a_cancel_gives_back_what_was_not_launched_and_a_further_one_nothing(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(4, strategy="synthesize")
    launch(multi_run_id, 0)
    upstream.follow(1)
    task("launch", multi_run_id, index=1, task_token="token-1")
    assert used() > 4
    for _ in range(2):
        cancel(multi_run_id)

        assert (used(), used("runs_per_month"), len(upstream.fake.creates)) == (1, 1, 1)


def test_the_judges_and_syntheses_that_were_not_needed_are_given_back_at_the_end(upstream: Runs) -> None:
    upstream.fake.script(Script(seconds=1, steps=1, result="Use a lock around the read and the write."), times=2)
    multi_run_id = start(2, strategy="synthesize", judge="never")
    at_first = used()
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["status"] == "completed"
    assert at_first > used() == len(upstream.fake.creates)


def test_an_added_candidate_is_given_back_to_the_caller_who_added_it() -> None:
    multi_run_id = start(1)
    path = f"{PATH}/{multi_run_id}/candidates"
    for _ in range(2):
        call(handlers.handler("multi_runs/add_candidate"), rest("POST", path, caller=ADA))
    assert used() == 3
    for _ in range(2):
        drop(multi_run_id, 1)

    assert used() == 2
    cancel(multi_run_id)
    assert used() == 0


def test_a_candidate_that_codegen_refuses_is_given_back_at_the_end(upstream: Runs) -> None:
    upstream.fake.trouble("create_agent_run", Trouble("error", status=400))
    multi_run_id = start(1)
    upstream.launch(multi_run_id)
    assert watch(multi_run_id, 0).status is Status.FAILED
    task("publish", multi_run_id)

    assert used() == 0


@pytest.mark.parametrize("trouble", [Trouble("error", status=429), Trouble("error", status=503)])
def test_a_candidate_whose_launches_failed_until_the_end_is_given_back(upstream: Runs, trouble: Trouble) -> None:
    upstream.fake.trouble("create_agent_run", trouble)
    multi_run_id = start(1)
    launch(multi_run_id, 0)
    upstream.follow(1)
    cancel(multi_run_id)

    assert used() == len(upstream.fake.creates)


def test_a_launch_whose_answer_was_lost_stays_counted(upstream: Runs) -> None:
    """The run is never found at Codegen, so it is not known whether it exists."""
    upstream.fake.trouble("create_agent_run", Trouble("hang"))
    upstream.fake.trouble("list_agent_runs", Trouble("error", status=500), times=None)
    multi_run_id = start(1, deadline_s=60)
    launch(multi_run_id, 0)
    upstream.follow(3)
    task("publish", multi_run_id)

    assert watch(multi_run_id, 0).status is Status.TIMED_OUT
    assert (get(multi_run_id).json["status"], used()) == ("failed", 1)


def test_a_publish_that_dies_before_it_gives_back_is_completed_by_the_next_try() -> None:
    multi_run_id = start(2)

    class KilledError(Exception):
        pass

    def die() -> None:
        raise KilledError

    budgets = current().budgets
    current().__dict__["budgets"] = Overtaken(budgets, "get", die)
    with pytest.raises(KilledError):
        task("publish", multi_run_id)
    current().__dict__["budgets"] = budgets
    assert used() == 2
    for _ in range(2):
        task("publish", multi_run_id)

        assert used() == 0


def test_a_run_that_is_queued_when_its_multi_run_has_ended_is_not_launched(upstream: Runs) -> None:
    """The task of the state machine was under way when the multi-run failed."""
    multi_run_id = start(2)
    task("plan", multi_run_id)
    before = stored(multi_run_id)
    task("publish", multi_run_id, error="The state machine failed.")
    assert used() == 0
    candidates.queue(before, 0, "token-0", backend=current())
    upstream.follow(1)

    assert (len(upstream.fake.creates), watch(multi_run_id, 0).status) == (0, Status.CANCELLED)
    assert watch(multi_run_id, 0).status_reason == (
        "The run was cancelled before it was launched: The multi-run is failed."
    )


def test_a_run_that_is_queued_when_its_multi_run_fails_is_cancelled_and_given_back_once(upstream: Runs) -> None:
    multi_run_id = start(3)
    launch(multi_run_id, 0, 1)
    assert used() == 3
    for _ in range(2):
        task("publish", multi_run_id, error="The state machine failed.")

        assert (used(), used("runs_per_month"), used("concurrent_runs")) == (0, 0, 0)
    upstream.follow(1)

    assert len(upstream.fake.creates) == 0
    assert [watch(multi_run_id, index).status for index in (0, 1)] == [Status.CANCELLED] * 2
    assert watch(multi_run_id, 0).status_reason == (
        "The run was cancelled before it was launched: The multi-run is failed."
    )


def test_a_run_that_is_launched_when_its_multi_run_fails_stays_counted(upstream: Runs) -> None:
    """The poller marks it between the read and the write of the function that publishes."""
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(2)
    launch(multi_run_id, 0)
    runs = current().runs

    def mark() -> None:
        runs.write(*transitions.launching(watch(multi_run_id, 0), now=current().clock.now()))

    current().__dict__["runs"] = Overtaken(runs, "write", mark)
    task("publish", multi_run_id, error="The state machine failed.")

    assert (watch(multi_run_id, 0).status, used()) == (Status.LAUNCHING, 1)


def test_a_retry_first_completes_the_end_before_it_and_runs_queued_candidates_anew(upstream: Runs) -> None:
    """The function that published the failure died before it cancelled the queued run."""
    multi_run_id = start(2)
    launch(multi_run_id, 0)
    current().multi_runs.advance(stored(multi_run_id), MultiRunStatus.FAILED)
    retried = act("retry", multi_run_id).json

    assert [each["attempt"] for each in retried["candidates"]] == [2, 2]
    first = current().runs.get(ORG, f"{multi_run_id}-0")
    assert first is not None
    assert (first.status, first.status_reason) == (
        Status.CANCELLED,
        "The run was cancelled before it was launched: The multi-run is failed.",
    )
    assert used() == 2


def test_the_late_end_of_an_execution_cancels_no_run_of_a_retry(upstream: Runs) -> None:
    """The launch that was under way when the retry began was refused, so its run is queued again."""
    multi_run_id = start(2)
    launch(multi_run_id, 0)
    current().runs.write(*transitions.launching(watch(multi_run_id, 0), now=current().clock.now()))
    current().multi_runs.advance(stored(multi_run_id), MultiRunStatus.FAILED)
    failed = stored(multi_run_id)
    assert [each["attempt"] for each in act("retry", multi_run_id).json["candidates"]] == [1, 2]
    launching = watch(multi_run_id, 0)
    queued = launching.model_copy(update={"status": Status.QUEUED, "launching_since": None})
    current().runs.write(queued)
    leaving.release(failed, backend=current())

    assert watch(multi_run_id, 0).status is Status.QUEUED


def test_a_run_that_a_late_task_queues_for_an_earlier_attempt_is_not_launched(upstream: Runs) -> None:
    multi_run_id = start(1)
    task("plan", multi_run_id)
    before = stored(multi_run_id)
    task("publish", multi_run_id, error="The state machine failed.")
    act("retry", multi_run_id)
    candidates.queue(before, 0, "token-0", backend=current())
    upstream.follow(1)

    late = current().runs.get(ORG, f"{multi_run_id}-0")
    assert late is not None
    assert (len(upstream.fake.creates), late.status) == (0, Status.CANCELLED)
    assert late.status_reason == "The run was cancelled before it was launched: A later attempt takes its place."


def test_a_run_that_is_queued_when_its_candidate_was_dropped_is_not_launched(upstream: Runs) -> None:
    multi_run_id = start(2)
    task("plan", multi_run_id)
    before = stored(multi_run_id)
    drop(multi_run_id, 0)
    assert used() == 1
    # The task that queues the run dies before it looks for changes of the multi-run.
    current().__dict__["multi_runs"] = Overtaken(current().multi_runs, "get", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        candidates.queue(before, 0, "token-0", backend=current())
    del current().__dict__["multi_runs"]
    assert watch(multi_run_id, 0).status is Status.QUEUED
    upstream.follow(1)

    assert (len(upstream.fake.creates), watch(multi_run_id, 0).status) == (0, Status.CANCELLED)


def test_a_retry_counts_what_it_may_start_and_gives_back_the_rest(upstream: Runs) -> None:
    upstream.fake.script(Script(seconds=1, steps=1, ending="FAILED"), times=2)
    multi_run_id = start(2, strategy="synthesize", judge="never")
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)
    assert used() == 2
    assert act("retry", multi_run_id).status == 202
    assert used() > 4
    upstream.fake.script(Script(seconds=1, steps=1, ending="FAILED"), times=2)
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)

    assert used() == 4 == len(upstream.fake.creates)


def test_the_end_of_an_earlier_execution_gives_back_nothing_of_a_retry(upstream: Runs) -> None:
    """A function that published the first end is late."""
    upstream.fake.script(Script(seconds=1, steps=1, ending="FAILED"))
    multi_run_id = start(1)
    upstream.launch(multi_run_id)
    task("publish", multi_run_id)
    first_end = stored(multi_run_id)
    act("retry", multi_run_id)
    leaving.release(first_end, backend=current())

    assert used() == 2
    cancel(multi_run_id)
    assert used() == 1


def test_a_retry_that_cannot_be_started_is_given_back(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.fake.script(Script(seconds=1, steps=1, ending="FAILED"))
    multi_run_id = start(1)
    upstream.launch(multi_run_id)
    task("publish", multi_run_id)
    monkeypatch.setenv("MULTI_RUN_STATE_MACHINE", "arn:aws:states:us-east-1:123456789012:stateMachine:none")

    assert act("retry", multi_run_id).status >= 500
    assert used() == 1


def test_what_was_counted_for_another_day_is_given_back_to_the_month_only(clock: backend.TestClock) -> None:
    multi_run_id = start(3, deadline_s=DAY)
    clock.sleep(DAY)
    today = start(2)
    assert (used(), used("runs_per_month")) == (2, 5)
    cancel(multi_run_id)

    assert (used(), used("runs_per_month")) == (2, 2)
    cancel(today)
    assert (used(), used("runs_per_month")) == (0, 0)
