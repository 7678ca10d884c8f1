"""Retry and resynthesize: what runs again, what stays, and what cannot be repaired."""

from collections.abc import Iterator
from typing import Any, cast

import boto3
import pytest

from codegen_runs import upstream as connections
from codegen_runs.backend import Backend
from codegen_runs.multi_runs import candidates, reconciler, repairing
from codegen_runs.multi_runs.repairing import MultiRunCancelled, MultiRunOpen, Resynthesize, RetryCandidates
from codegen_runs.multi_runs.tasks import MultiRunGone
from codegen_runs.runs import transitions
from codegen_runs.storage.runs import Watch
from local.fake_codegen import FakeCodegen, FakeTransport, Script, Trouble
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, call, current, rest
from tests.support.overtaken import Overtaken
from tests.unit.multi_runs.flow import ORG, PATH, Runs, cancel, create, events, get, stored, task, types, watch
from tests.unit.run_control.controls import ADA, offers

FAILING = Script(seconds=1, steps=1, ending="FAILED")
EMPTY = Script(seconds=1, steps=1, result="", pull_request=False)


def saying(text: str) -> Script:
    return Script(seconds=1, steps=1, result=text, pull_request=False)


THREE = [saying("Use a lock around the cache."), saying("Use a queue."), saying("Use a copy of the whole cache.")]


@pytest.fixture(autouse=True)
def _codegen(upstream: Runs, fake: FakeCodegen) -> Iterator[None]:
    upstream.ticks, upstream.seconds = 1, 12
    with connections.over(FakeTransport(fake)):
        yield


def act(verb: str, multi_run_id: str, body: Any = None) -> Answer:
    event = rest("POST", f"{PATH}/{multi_run_id}/{verb}", body=body, caller=ADA)
    return call(handlers.handler(f"multi_runs/{verb}"), event)


def finish(upstream: Runs, multi_run_id: str, *scripts: Script) -> None:
    """Go through the tasks of the state machine until it publishes. Runs that are launched have these scripts."""
    for script in scripts:
        upstream.fake.script(script)
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)


def ended(upstream: Runs, *scripts: Script, **body: Any) -> str:
    """Take a multi-run to its end, with a synthesis if there are enough usable answers."""
    given = {"prompt": "Fix the race.", "concurrency": len(scripts), "judge": "never", **body}
    multi_run_id = str(create(given).json["id"])
    enough = sum(script in THREE for script in scripts) >= max(2, body.get("quorum", 1))
    finish(upstream, multi_run_id, *scripts, *([saying("Use a lock, and copy what is read.")] if enough else []))
    return multi_run_id


def executions(deployed: Template) -> list[str]:
    machine = deployed.state_machines["MultiRunStateMachine"].arn
    return sorted(
        each["name"] for each in boto3.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    )


@pytest.mark.full
def test_a_retry_of_the_failed_one_completes_a_multi_run_below_its_quorum(upstream: Runs, deployed: Template) -> None:
    """Of five candidates, one fails and one is empty."""
    multi_run_id = ended(upstream, FAILING, EMPTY, *THREE, quorum=4)
    before = get(multi_run_id).json
    assert (before["status"], before["counts"]["usable"]) == ("failed", 3)
    assert offers(before)["retry"]
    upstream.fake.calls.clear()

    retried = act("retry", multi_run_id, {"candidates": [0]})

    assert retried.status == 202
    assert (retried.json["status"], retried.json["reason"], retried.json["finished_at"]) == ("running", None, None)
    assert retried.json["candidates"][0]["attempt"] == 2
    assert executions(deployed) == [multi_run_id, f"{multi_run_id}-1"]
    finish(upstream, multi_run_id, saying("Use a transaction."), saying("Use a lock, and copy what is read."))
    after = get(multi_run_id).json
    assert (after["status"], after["answer"]["source"], after["counts"]["usable"]) == ("completed", "synthesis", 4)
    assert upstream.fake.calls["create_agent_run"] == 2
    kept = [each["agent_run_id"] for each in before["candidates"][1:]]
    assert [each["agent_run_id"] for each in after["candidates"][1:]] == kept
    assert current().runs.get(ORG, f"{multi_run_id}-0") is not None
    assert types(multi_run_id).count("candidate_retried") == 1
    assert types(multi_run_id)[-1] == "completed"


def test_the_answer_names_the_candidates_that_it_had_to_do_without(upstream: Runs) -> None:
    """Of five candidates, one fails and one is empty."""
    multi_run_id = ended(upstream, FAILING, EMPTY, *THREE, quorum=3)
    found = get(multi_run_id).json

    assert (found["status"], found["answer"]["source"]) == ("completed", "synthesis")
    reasons = [each["reason"] for each in found["candidates"][:2]]
    assert found["answer"]["gaps"] == [{"candidate": n, "reason": reason} for n, reason in enumerate(reasons)]
    assert reasons[1] == "The run completed without an answer."


def test_the_synthesis_is_told_which_candidates_are_missing_and_no_more(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, EMPTY, *THREE, quorum=3)
    found = get(multi_run_id).json
    prompt = upstream.fake.runs[found["synthesis"]["agent_run_id"]].turns[0].prompt

    assert "2 of the 5 candidates gave no usable answer and are missing here (by their numbers: 1, 2)." in prompt
    for each in found["candidates"][:2]:
        assert each["reason"] not in prompt
        assert str(each["agent_run_id"]) not in prompt


@pytest.mark.parametrize("body", [{}, {"concurrency": 5, "adaptive": {"start": 3, "agree": 2}, "quorum": 3}])
def test_the_prompt_of_the_synthesis_names_neither_dropped_candidates_nor_gaps_where_none_are(
    upstream: Runs, body: Any
) -> None:
    same = [THREE[0], THREE[0], THREE[1]]
    found = get(ended(upstream, *same, **body)).json

    assert found["counts"]["dropped"] == (2 if body else 0)
    assert "no usable answer" not in upstream.fake.runs[found["synthesis"]["agent_run_id"]].turns[0].prompt


def test_an_answer_that_is_picked_before_the_end_names_no_gaps_yet(upstream: Runs) -> None:
    multi_run_id = str(create({"prompt": "Fix the race.", "concurrency": 2}).json["id"])
    for script in (FAILING, THREE[0]):
        upstream.fake.script(script)
    upstream.launch(multi_run_id)

    picked = act("pick", multi_run_id, {"candidate": 1})

    assert (picked.status, picked.json["status"], picked.json["answer"]["gaps"]) == (200, "running", [])


def test_resynthesize_costs_one_run_and_runs_no_candidate_again(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, *THREE)
    first = get(multi_run_id).json
    upstream.fake.calls.clear()

    again = act("resynthesize", multi_run_id, {"prompt": "Answer in one sentence.", "model": "another"})
    assert (again.status, again.json["status"], again.json["answer"]) == (202, "running", None)
    finish(upstream, multi_run_id, saying("One sentence."))

    read = get(multi_run_id).json
    assert (read["status"], read["answer"]["text"]) == ("completed", "One sentence.")
    assert upstream.fake.calls["create_agent_run"] == 1
    assert read["synthesis"]["agent_run_id"] != first["synthesis"]["agent_run_id"]
    sent = upstream.fake.creates[-1].body
    assert sent["prompt"].startswith("Answer in one sentence.")
    assert sent["model"] == "another"
    assert read["candidates"] == first["candidates"]


def test_resynthesize_launches_no_candidate_that_was_never_launched(
    upstream: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state machine failed before it queued the third one."""
    for script in THREE[:2]:
        upstream.fake.script(script)
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 3, "judge": "never", "quorum": 2}).json["id"])
    for index in task("plan", multi_run_id)["candidates"][:2]:
        task("launch", multi_run_id, index=index, task_token=f"token-{index}")
    upstream.follow()
    task("publish", multi_run_id, error="The state machine failed.")
    upstream.fake.calls.clear()
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "1")  # Only the synthesis is queued.

    assert act("resynthesize", multi_run_id, {"candidates": [0, 1]}).status == 202
    finish(upstream, multi_run_id, saying("Use a lock, and copy what is read."))

    found = get(multi_run_id).json
    assert (found["answer"]["source"], found["candidates"][2]["status"]) == ("synthesis", "queued")
    assert upstream.fake.calls["create_agent_run"] == 1


def test_with_fewer_usable_answers_than_the_quorum_the_candidates_to_combine_are_named(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, *THREE, quorum=4)

    refused = act("resynthesize", multi_run_id)
    assert (refused.status, refused.json["code"]) == (409, "too_few_usable")
    refused = act("resynthesize", multi_run_id, {"candidates": [0, 1]})
    assert (refused.status, refused.json["code"]) == (409, "too_few_usable")

    act("resynthesize", multi_run_id, {"candidates": [1, 3]})
    finish(upstream, multi_run_id, saying("A lock and a copy."))
    read = get(multi_run_id).json
    assert (read["status"], read["answer"]["text"]) == ("completed", "A lock and a copy.")
    prompt = upstream.fake.creates[-1].body["prompt"]
    assert "Use a lock" in prompt
    assert "Use a queue." not in prompt
    assert read["candidates"][2]["reason"] == "A caller left it out."
    (again,) = [each for each in events(multi_run_id).json["items"] if each["type"] == "multi_run.resynthesizing"]
    assert again["data"]["candidates"] == [1, 3]


def test_another_strategy_selects_one_of_the_answers(upstream: Runs) -> None:
    multi_run_id = ended(upstream, *THREE)

    act("resynthesize", multi_run_id, {"strategy": "select"})
    finish(upstream, multi_run_id)

    assert get(multi_run_id).json["answer"]["source"] == "selected"


def test_a_pick_outlasts_a_resynthesis(upstream: Runs) -> None:
    multi_run_id = ended(upstream, *THREE)
    act("resynthesize", multi_run_id)
    act("pick", multi_run_id, {"candidate": 1})
    finish(upstream, multi_run_id, saying("Another one."))

    read = get(multi_run_id).json
    assert (read["status"], read["answer"]["text"]) == ("completed", "Use a queue.")
    assert stored(multi_run_id).answer is not None


def test_a_repeated_retry_starts_nothing(upstream: Runs, deployed: Template) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0], THREE[1])
    act("retry", multi_run_id)

    for body in (None, {"candidates": [0]}):
        again = act("retry", multi_run_id, body)
        assert (again.status, again.json["candidates"][0]["attempt"]) == (202, 2)
    assert executions(deployed) == [multi_run_id, f"{multi_run_id}-1"]
    assert act("retry", multi_run_id, {"candidates": [1]}).json["code"] == "multi_run_open"
    assert act("resynthesize", multi_run_id).json["code"] == "multi_run_open"


@pytest.mark.full
def test_a_candidate_whose_run_has_not_ended_is_waited_for_and_not_started_again(upstream: Runs) -> None:
    """The state machine was stopped from outside, and the reconciler has settled the multi-run."""
    upstream.fake.script(FAILING)
    upstream.fake.script(Script(seconds=300, steps=1, result="Late.", pull_request=False))
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 2}).json["id"])
    upstream.launch(multi_run_id)
    upstream.clock.sleep(reconciler.GRACE)
    reconciler.reconcile(lambda _: "ABORTED", backend=current())
    assert get(multi_run_id).json["status"] == "failed"
    upstream.fake.calls.clear()

    retried = act("retry", multi_run_id, {"candidates": [1]})
    assert retried.json["candidates"][1]["attempt"] == 1
    task("launch", multi_run_id, index=1, task_token="another")
    upstream.ticks, upstream.seconds = 5, 58
    upstream.follow()
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["answer"]["text"] == "Late."
    assert upstream.tokens.answers["another"]["status"] == "completed"
    assert upstream.fake.calls["create_agent_run"] == 0


def test_what_cannot_be_repaired_is_refused_with_the_reason(upstream: Runs) -> None:
    multi_run_id = ended(upstream, THREE[0], THREE[1])
    assert act("retry", multi_run_id).json["code"] == "nothing_to_retry"
    assert act("retry", multi_run_id, {"candidates": [1]}).json["code"] == "nothing_to_retry"
    for verb in ("retry", "resynthesize"):
        refused = act(verb, multi_run_id, {"candidates": [0, 2]})
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/body/candidates/1")
        assert act(verb, multi_run_id, {"candidates": []}).status == 422
        assert act(verb, "mr-none").status == 404

    secret = ended(upstream, FAILING, prompt=f"Use the token ghp_{'x' * 36}.")
    assert act("retry", secret).json["code"] == "prompt_masked"


def test_more_candidates_than_one_write_records_are_retried_in_parts(
    upstream: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAX_CANDIDATES", "MAX_QUEUED_RUNS_PER_CALLER", "MAX_QUEUED_RUNS_PER_ORGANIZATION"):
        monkeypatch.setenv(name, "200")
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 120, "strategy": "none"}).json["id"])
    task("publish", multi_run_id, error="The state machine failed.")

    refused = act("retry", multi_run_id)
    assert (refused.status, refused.json["code"]) == (409, "too_many_to_retry")
    assert act("retry", multi_run_id, {"candidates": list(range(51))}).status == 409
    assert act("retry", multi_run_id, {"candidates": list(range(50))}).status == 202
    assert types(multi_run_id).count("candidate_retried") == 50


def test_a_retry_counts_the_runs_at_launch_that_it_writes(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_CANDIDATES", "MAX_QUEUED_RUNS_PER_CALLER", "MAX_QUEUED_RUNS_PER_ORGANIZATION"):
        monkeypatch.setenv(name, "200")
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 100, "strategy": "none"}).json["id"])
    task("plan", multi_run_id)
    for index in range(60):
        candidates.queue(stored(multi_run_id), index, f"token-{index}", backend=current())
        current().runs.write(*transitions.launching(watch(multi_run_id, index), now=upstream.clock.now()))
    task("publish", multi_run_id, error="The state machine failed.")

    refused = act("retry", multi_run_id, {"candidates": list(range(40))})
    assert (refused.status, refused.json["code"]) == (409, "too_many_to_retry")
    assert refused.json["detail"] == "Codegen is about to receive 60 of its runs."
    assert act("retry", multi_run_id, {"candidates": list(range(39))}).status == 202
    assert types(multi_run_id).count("candidate_retried") == 39


def test_nothing_of_a_cancelled_multi_run_runs_again(upstream: Runs) -> None:
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 2}).json["id"])
    upstream.fake.script(FAILING)
    upstream.launch(multi_run_id)
    cancel(multi_run_id)

    assert act("retry", multi_run_id).json["code"] == "multi_run_cancelled"
    assert act("resynthesize", multi_run_id).json["code"] == "multi_run_cancelled"
    assert not offers(get(multi_run_id).json)["retry"]


def repairing_after(method: str, act_first: Any, multi_run_id: str, *, verb: str = "retry") -> None:
    """Retry or resynthesize while another caller does something just before the write."""
    overtaken = Overtaken(current().multi_runs, method, act_first)
    backend = Backend(clock=current().clock, kick=Kicks(), multi_runs=cast("Any", overtaken))
    if verb == "retry":
        repairing.retry(ORG, multi_run_id, RetryCandidates(), caller=ADA, backend=backend)
    else:
        repairing.resynthesize(ORG, multi_run_id, Resynthesize(), caller=ADA, backend=backend)


def test_of_two_retries_at_once_one_starts_an_execution(upstream: Runs, deployed: Template) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0])

    repairing_after("advance", lambda: act("retry", multi_run_id), multi_run_id)

    assert stored(multi_run_id).execution == 1
    assert executions(deployed) == [multi_run_id, f"{multi_run_id}-1"]
    assert types(multi_run_id).count("candidate_retried") == 1


def test_a_cancel_of_a_retried_multi_run_before_a_second_retry_stays(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0])

    def retried_and_cancelled() -> None:
        act("retry", multi_run_id)
        cancel(multi_run_id)

    with pytest.raises(MultiRunCancelled):
        repairing_after("advance", retried_and_cancelled, multi_run_id)
    assert get(multi_run_id).json["status"] == "cancelled"
    with pytest.raises(MultiRunGone):
        task("plan", multi_run_id)


def test_of_a_retry_and_a_resynthesis_at_once_the_second_is_refused(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0], THREE[1])

    with pytest.raises(MultiRunOpen):
        repairing_after("advance", lambda: act("retry", multi_run_id), multi_run_id, verb="resynthesize")


def test_an_earlier_execution_that_is_redriven_changes_nothing(upstream: Runs) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0])
    act("retry", multi_run_id)

    for name, more in (
        ("plan", {}),
        ("launch", {"index": 0, "task_token": "stale"}),
        ("gather", {"next": "launch"}),
        ("synthesize", {"task_token": "stale"}),
    ):
        with pytest.raises(MultiRunGone):
            task(name, multi_run_id, execution=multi_run_id, **more)
    task("publish", multi_run_id, execution=multi_run_id)
    assert get(multi_run_id).json["status"] == "running"
    assert current().runs.get(ORG, f"{multi_run_id}-0.2") is None

    assert task("plan", multi_run_id, execution=f"{multi_run_id}-1")["candidates"] == [0]


def test_the_reconciler_leaves_a_multi_run_alone_that_has_just_been_reopened(upstream: Runs, clock: TestClock) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0])
    clock.sleep(reconciler.GRACE * 2)
    act("retry", multi_run_id)

    assert reconciler.reconcile(lambda _: "MISSING", backend=current()).settled == 0
    clock.sleep(reconciler.GRACE + 1)
    assert reconciler.reconcile(lambda _: "MISSING", backend=current()).settled == 1
    assert get(multi_run_id).json["status"] == "completed"


def test_an_execution_that_cannot_be_started_leaves_a_failed_multi_run_that_can_be_retried(
    upstream: Runs, deployed: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    multi_run_id = ended(upstream, FAILING, THREE[0])
    with monkeypatch.context() as patch:
        patch.setenv("MULTI_RUN_STATE_MACHINE", "arn:aws:states:us-east-1:123456789012:stateMachine:gone")
        assert act("retry", multi_run_id).status == 500

    assert get(multi_run_id).json["status"] == "failed"
    assert act("retry", multi_run_id).status == 202
    assert executions(deployed) == [multi_run_id, f"{multi_run_id}-2"]


def test_the_runs_of_a_retry_count_as_queued(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    multi_run_id = ended(upstream, FAILING, FAILING, THREE[0])
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "1")

    refused = act("retry", multi_run_id)

    assert (refused.status, refused.json["code"]) == (429, "too_many_queued_runs")
    assert get(multi_run_id).json["status"] == "completed"


def test_a_plan_that_is_used_up_halfway_ends_the_rest_and_a_retry_completes_them(upstream: Runs) -> None:
    """Codegen answers 402 to the third launch."""
    for script in THREE:
        upstream.fake.script(script)
    create_run = "create_agent_run"
    upstream.fake.trouble(create_run, Trouble("none"), times=2)
    upstream.fake.trouble(create_run, Trouble("error", status=402), times=1)
    multi_run_id = str(create({"prompt": "Fix it.", "concurrency": 3, "judge": "never", "quorum": 3}).json["id"])
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)
    read = get(multi_run_id).json
    assert (read["status"], read["counts"]["usable"]) == ("failed", 2)
    upstream.clock.sleep(600)

    act("retry", multi_run_id)
    finish(upstream, multi_run_id, saying("Joined."))
    assert get(multi_run_id).json["status"] == "completed"


@pytest.mark.parametrize("ends_first", [False, True])
def test_the_synthesis_is_queued_before_the_state_that_waits_for_it(upstream: Runs, ends_first: bool) -> None:
    """The state only adds its task token, also if the run has ended by then."""
    for script in (*THREE[:2], saying("Use a lock, and copy what is read.")):
        upstream.fake.script(script)
    multi_run_id = str(create({"prompt": "Fix the race.", "concurrency": 2, "judge": "never"}).json["id"])
    upstream.launch(multi_run_id)
    for _ in range(2):
        assert task("gather", multi_run_id, next="launch", wave=1)["next"] == "synthesize"
    key = stored(multi_run_id).synthesis_key

    def synthesis() -> Watch:
        found = current().runs.get(ORG, key)
        assert found is not None
        return found

    assert (synthesis().status, synthesis().task_token) == ("queued", None)
    if ends_first:
        upstream.follow()
        assert synthesis().status.terminal
    for _ in range(2):
        task("synthesize", multi_run_id, task_token="synthesis")
    upstream.follow()

    assert (synthesis().status, synthesis().task_token) == ("completed", None)
    assert upstream.tokens.answers["synthesis"]["status"] == "completed"
    assert upstream.fake.calls["create_agent_run"] == 3
