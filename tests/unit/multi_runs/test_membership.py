"""Candidates that are added, dropped, not needed, or launched only while the answers disagree."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.multi_runs.tasks import CandidateDropped
from codegen_runs.runs.following import MOST_TOKENS
from codegen_runs.upstream import over
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, Script
from tests.support import backend, handlers
from tests.support.events import Answer, call, current, rest, working_with
from tests.support.overtaken import Overtaken
from tests.unit.multi_runs.flow import ORG, PATH, Runs, cancel, create, events, get, stored, task, types, watch

pytestmark = pytest.mark.usefixtures("state_machine")

ADA = Caller("user:789", 789, frozenset({ORG}), DEMO_TOKEN)
BAN = "ban_all_checks_for_agent_run"
LOCK = "Take a lock around the whole read and write, so that no other thread sees the cache in between."
QUEUE = "Send every change through one queue to a single worker, which owns the cache and nobody else."


@pytest.fixture(autouse=True)
def _codegen(fake: FakeCodegen) -> Iterator[None]:
    with over(FakeTransport(fake)):
        yield


def start(**body: Any) -> str:
    answer = create({"prompt": "Fix the race.", **body})
    assert answer.status == 202, answer.json
    return str(answer.json["id"])


def add(multi_run_id: str, body: Any = None) -> Answer:
    return call(
        handlers.handler("multi_runs/add_candidate"), rest("POST", f"{PATH}/{multi_run_id}/candidates", body=body)
    )


def drop(multi_run_id: str, index: object, query: str = "") -> Answer:
    path = f"{PATH}/{multi_run_id}/candidates/{index}{query}"
    return call(handlers.handler("multi_runs/drop_candidate"), rest("DELETE", path, caller=ADA))


def launch(multi_run_id: str, *indexes: int) -> None:
    for index in indexes:
        task("launch", multi_run_id, index=index, task_token=f"token-{index}")


def queued() -> int:
    return current().runs.get_backlog(ORG).count(round(current().clock.now() * 1000))


# --- launching ---


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_each_try_of_a_launch_is_answered_in_whichever_order_the_tries_end(
    order: tuple[str, str], upstream: Runs
) -> None:
    """The state machine tries the task again while the first try still runs. It waits for the second one."""
    multi_run_id = start(concurrency=1, strategy="none")
    task("plan", multi_run_id)
    for token in (*order, order[0]):
        task("launch", multi_run_id, index=0, task_token=token)
    upstream.follow()

    assert len(upstream.fake.creates) == 1
    assert {token: upstream.tokens.answers[token]["status"] for token in order} == dict.fromkeys(order, "completed")
    assert watch(multi_run_id, 0).task_tokens == ()


def test_each_try_of_a_launch_is_answered_when_its_candidate_is_dropped(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(concurrency=2, strategy="none")
    task("plan", multi_run_id)
    for token in ("first", "second"):
        task("launch", multi_run_id, index=0, task_token=token)
    upstream.follow(1)
    drop(multi_run_id, 0)
    upstream.follow(1)

    assert {upstream.tokens.answers[token][0] for token in ("first", "second")} == {"Run.dropped"}


def test_only_the_last_tokens_of_a_run_are_kept(upstream: Runs) -> None:
    multi_run_id = start(concurrency=1)
    task("plan", multi_run_id)
    for number in range(MOST_TOKENS + 2):
        task("launch", multi_run_id, index=0, task_token=f"token-{number}")

    assert watch(multi_run_id, 0).task_tokens == tuple(f"token-{number}" for number in range(MOST_TOKENS + 1, 1, -1))


# --- dropping --------------------------------------------------------------------------------------------------------


def test_a_dropped_candidate_does_not_count_and_is_not_waited_for(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(strategy="none")
    task("plan", multi_run_id)
    launch(multi_run_id, 0, 1)
    upstream.follow(1)
    running, queued_, unknown = (drop(multi_run_id, index, "?reason=Astray.") for index in range(3))

    assert [answer.status for answer in (running, queued_, unknown)] == [200, 200, 200]
    (continued,) = running.json["cancelled_runs"]
    assert (continued["status"], continued["means"]) == ("running", None)
    assert "continues at Codegen" in continued["detail"]
    assert unknown.json["cancelled_runs"] == []
    upstream.follow(1)
    assert upstream.tokens.answers["token-0"][0] == "Run.dropped"
    with pytest.raises(CandidateDropped):
        task("launch", multi_run_id, index=2, task_token="token-2")

    snapshot = get(multi_run_id).json
    assert (snapshot["counts"]["dropped"], snapshot["counts"]["missing"]) == (3, 0)
    first, _, last = snapshot["candidates"]
    assert (first["status"], first["usable"], first["dropped"]["dropped_by"]) == ("running", False, "user:789")
    assert first["reason"] == "Dropped by a caller: Astray."
    assert last["status"] == "cancelled"


def test_a_dropped_candidate_that_waits_for_its_launch_never_reaches_codegen(upstream: Runs) -> None:
    multi_run_id = start(concurrency=2, strategy="none")
    task("plan", multi_run_id)
    launch(multi_run_id, 0, 1)
    answer = drop(multi_run_id, 1)
    upstream.follow()

    assert [(run["status"], run["means"]) for run in answer.json["cancelled_runs"]] == [("cancelled", "local")]
    assert len(upstream.fake.creates) == 1
    assert upstream.tokens.answers["token-1"][0] == "Run.cancelled"
    assert types(multi_run_id) == ["created", "launching", "candidates_dropped", "candidate_finished", "quorum_met"]
    assert queued() == 0


def test_a_ban_is_used_only_if_a_drop_allows_it_and_may_be_allowed_later(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(concurrency=2)
    task("plan", multi_run_id)
    launch(multi_run_id, 0)
    upstream.follow(1)

    assert drop(multi_run_id, 0, "?allow_pr_ban=1").status == 422
    assert drop(multi_run_id, 0).status == 200
    assert upstream.fake.calls[BAN] == 0
    allowed = drop(multi_run_id, 0, "?allow_pr_ban=true")
    (stopping,) = allowed.json["cancelled_runs"]
    assert (stopping["status"], stopping["means"]) == ("cancelling", "pr_ban")
    assert upstream.fake.calls[BAN] == 1
    assert types(multi_run_id).count("candidates_dropped") == 1


def test_the_answer_of_a_dropped_candidate_is_not_used(upstream: Runs) -> None:
    upstream.fake.script(Script(result=LOCK), times=2)
    multi_run_id = start(concurrency=2, strategy="select")
    upstream.launch(multi_run_id)
    drop(multi_run_id, 0)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)
    snapshot = get(multi_run_id).json

    assert (snapshot["answer"]["source"], snapshot["answer"]["candidate"]) == ("only_candidate", 1)
    assert snapshot["counts"] == {
        "requested": 2, "launched": 2, "finished": 1, "usable": 1, "failed": 0, "missing": 0, "dropped": 1
    }  # fmt: skip


@pytest.mark.parametrize("index", [3, 99])
def test_a_candidate_that_does_not_exist_is_not_found(index: int) -> None:
    answer = drop(start(), index)

    assert (answer.status, answer.json["code"]) == (404, "candidate_not_found")


def test_a_drop_during_a_launch_reaches_the_run(upstream: Runs) -> None:
    multi_run_id = start(concurrency=1)
    task("plan", multi_run_id)
    racing: Any = Overtaken(current().runs, "add", lambda: drop(multi_run_id, 0))
    with working_with(Backend(clock=upstream.clock, kick=backend.Kicks(), runs=racing)):
        launch(multi_run_id, 0)
    upstream.follow()

    assert watch(multi_run_id, 0).status == "cancelled"
    assert upstream.fake.creates == []


# --- adding ----------------------------------------------------------------------------------------------------------


def test_an_added_candidate_runs_at_once_and_the_state_machine_waits_for_it(upstream: Runs) -> None:
    multi_run_id = start(concurrency=2, model="claude-4-5-sonnet", strategy="none")
    task("plan", multi_run_id)
    launch(multi_run_id, 0, 1)
    answer = add(multi_run_id, {"prompt": "Fix it otherwise.", "temperature": 1})

    assert answer.status == 201
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/temperature"]
    added = answer.json["candidates"][2]
    assert (added["prompt"], added["model"], added["added"]) == ("Fix it otherwise.", "claude-4-5-sonnet", True)
    assert (added["status"], answer.json["counts"]["requested"]) == ("queued", 3)
    upstream.follow()
    assert len(upstream.fake.creates) == 3
    assert upstream.gather(multi_run_id) == ["publish"]
    assert get(multi_run_id).json["counts"]["usable"] == 3


def test_the_state_machine_waits_for_an_added_candidate_that_still_runs(upstream: Runs) -> None:
    upstream.fake.script(Script(seconds=1))
    multi_run_id = start(concurrency=1, strategy="none")
    upstream.launch(multi_run_id)
    upstream.fake.script(Script(seconds=600))
    add(multi_run_id)
    upstream.follow(1)
    state = task("gather", multi_run_id, next="launch", wave=1)

    assert (state["next"], state["candidates"], state["wave"]) == ("launch", [1], 2)
    assert task("gather", multi_run_id, next="launch", wave=1) == state  # The first answer was lost.
    launch(multi_run_id, 1)
    assert watch(multi_run_id, 1).task_token == "token-1"
    upstream.clock.sleep(600)
    upstream.follow()
    assert "token-1" in upstream.tokens.answers
    assert task("gather", multi_run_id, next="launch", wave=2)["next"] == "publish"


def test_an_added_candidate_that_was_never_queued_is_launched_by_the_state_machine(upstream: Runs) -> None:
    """The function may die between the record and the queue."""
    multi_run_id = start(concurrency=1, strategy="none")
    racing: Any = Overtaken(current().runs, "add", lambda: 1 / 0)
    with working_with(Backend(clock=upstream.clock, kick=backend.Kicks(), runs=racing)):
        assert add(multi_run_id).status == 500
    upstream.launch(multi_run_id)

    assert get(multi_run_id).json["counts"]["usable"] == 2


def test_two_candidates_that_are_added_at_once_are_two(upstream: Runs) -> None:
    multi_run_id = start(concurrency=1)
    racing: Any = Overtaken(current().multi_runs, "advance", lambda: add(multi_run_id, {"model": "first"}))
    with working_with(Backend(clock=upstream.clock, kick=backend.Kicks(), multi_runs=racing)):
        assert add(multi_run_id, {"model": "second"}).status == 201

    assert [each["model"] for each in get(multi_run_id).json["candidates"]] == [None, "first", "second"]
    assert queued() == 3


def test_a_candidate_above_a_limit_is_refused_and_counts_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    multi_run_id = start(concurrency=2)
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "3")
    assert add(multi_run_id).json["code"] == "too_many_queued_runs"
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "9")
    monkeypatch.setenv("MAX_CANDIDATES", "2")
    answer = add(multi_run_id)

    assert (answer.status, answer.json["code"]) == (409, "too_many_candidates")
    assert (queued(), len(stored(multi_run_id).candidates)) == (3, 2)


def test_nothing_is_added_or_dropped_once_all_candidates_have_come(upstream: Runs) -> None:
    multi_run_id = start(concurrency=2, deadline_s=600)
    upstream.launch(multi_run_id)
    upstream.clock.sleep(600)
    late = add(multi_run_id)
    assert task("gather", multi_run_id, next="launch", wave=1)["next"] == "synthesize"
    refused = [late, add(multi_run_id), drop(multi_run_id, 0)]
    cancel(multi_run_id)

    assert [(answer.status, answer.json["code"]) for answer in refused] == [(409, "candidates_complete")] * 3
    assert add(multi_run_id).json["code"] == "multi_run_ended"
    assert drop(multi_run_id, 0).json["code"] == "multi_run_ended"


def test_a_candidate_added_while_the_multi_run_is_gathered_is_either_refused_or_waited_for(upstream: Runs) -> None:
    multi_run_id = start(concurrency=1, strategy="none")
    upstream.launch(multi_run_id)
    racing: Any = Overtaken(current().multi_runs, "advance", lambda: add(multi_run_id))
    with working_with(Backend(clock=upstream.clock, kick=backend.Kicks(), multi_runs=racing)):
        state = task("gather", multi_run_id, next="launch", wave=1)

    assert (state["next"], state["candidates"]) == ("launch", [1])


# --- first_k ---------------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_enough_usable_answers_end_the_wait_for_the_others(upstream: Runs) -> None:
    upstream.fake.script(Script(result=LOCK, seconds=1), times=2)
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(concurrency=12, first_k=2, strategy="none")
    task("plan", multi_run_id)
    launch(multi_run_id, *range(11))  # Eight are launched at once; the others wait.
    upstream.follow(2)

    assert upstream.gather(multi_run_id) == ["publish"]
    snapshot = get(multi_run_id).json
    assert snapshot["counts"]["usable"] >= 2
    assert snapshot["counts"]["missing"] == 0
    left = {each["index"] for each in snapshot["candidates"] if each["dropped"]}
    (dropped,) = [event["data"] for event in events(multi_run_id).json["items"] if "dropped" in event["type"]]
    assert (set(dropped["candidates"]), dropped["requested_by"]) == (left, None)
    assert dropped["reason"] == "Not needed any more: 2 usable answers are enough."
    assert len(upstream.fake.creates) == 8
    assert [each["status"] for each in snapshot["candidates"] if each["agent_run_id"] is None] == ["cancelled"] * 4
    running = [each for each in snapshot["candidates"] if each["status"] == "running"]
    assert [each["dropped"] is not None for each in running] == [True]
    assert set(upstream.tokens.answers) == {f"token-{index}" for index in range(11)}


@pytest.mark.full
def test_the_others_are_let_go_even_if_the_poller_dies_before_it_did_so(upstream: Runs) -> None:
    upstream.fake.script(Script(result=LOCK, seconds=1))
    upstream.fake.script(Script(ending="NEVER"))
    multi_run_id = start(concurrency=2, first_k=1, strategy="none")
    task("plan", multi_run_id)
    launch(multi_run_id, 0, 1)
    upstream.clock.sleep(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codegen_runs.poller.candidates.leaving.carry_out", lambda *_, **__: 1 / 0)
        with pytest.raises(BaseExceptionGroup):
            upstream.follow(ticks=1)
    assert "token-1" not in upstream.tokens.answers
    upstream.follow(ticks=1)

    assert upstream.tokens.answers["token-1"][0] == "Run.dropped"
    assert watch(multi_run_id, 1).status == "running"


# --- adaptive --------------------------------------------------------------------------------------------------------


def test_an_easy_task_costs_two_runs(upstream: Runs) -> None:
    upstream.fake.script(Script(result=LOCK), times=5)
    multi_run_id = start(concurrency=5, adaptive={}, strategy="none")
    upstream.launch(multi_run_id)

    assert upstream.gather(multi_run_id) == ["publish"]
    snapshot = get(multi_run_id).json
    assert (snapshot["counts"]["launched"], snapshot["counts"]["dropped"], snapshot["counts"]["missing"]) == (2, 3, 0)
    assert snapshot["candidates"][4]["reason"] == "Not needed: 2 answers agree."
    assert types(multi_run_id).count("degraded") == 0


def test_the_others_are_launched_while_the_answers_disagree(upstream: Runs) -> None:
    for result in (LOCK, QUEUE, None, LOCK):
        upstream.fake.script(Script(result=result) if result else Script(ending="FAILED"))
    multi_run_id = start(concurrency=5, adaptive={"start": 2, "agree": 2}, strategy="none")
    upstream.launch(multi_run_id)
    decisions = upstream.gather(multi_run_id)

    assert decisions == ["launch", "launch", "publish"]
    assert stored(multi_run_id).waves == [[0, 1], [2], [3]]
    launches = [each["data"] for each in events(multi_run_id).json["items"] if each["type"] == "multi_run.launching"]
    assert [each["candidates"] for each in launches] == [[0, 1], [2], [3]]


def test_waves_that_come_too_late_fail_a_multi_run_that_is_to_fail_at_its_deadline(upstream: Runs) -> None:
    upstream.fake.script(Script(result=LOCK))
    upstream.fake.script(Script(result=QUEUE))
    multi_run_id = start(concurrency=3, adaptive={}, on_deadline="fail", deadline_s=600)
    upstream.launch(multi_run_id)
    upstream.clock.sleep(600)
    assert upstream.gather(multi_run_id) == ["publish"]
    task("publish", multi_run_id)
    snapshot = get(multi_run_id).json

    assert (snapshot["status"], snapshot["reason"]) == ("failed", "Candidates without a result at the deadline: 3.")


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        ({"adaptive": {}}, 2, 5),
        ({"adaptive": {"start": 3, "agree": 2}}, 3, 5),
        ({"adaptive": {"start": 2, "agree": 4}}, 4, 5),
        ({"adaptive": {}, "quorum": 3}, 3, 5),
        ({"first_k": 2}, 2, 5),
        ({"adaptive": {"start": 3}, "first_k": 2}, 2, 5),
    ],
)
def test_the_estimate_says_from_how_many_to_how_many(body: Any, least: int, most: int) -> None:
    estimated = call(
        handlers.handler("multi_runs/estimate"),
        rest("POST", f"{PATH}/estimate", body={"prompt": "Go.", "concurrency": 5, **body}),
    ).json

    assert estimated["candidates"] == {"at_least": least, "at_most": most}


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"first_k": 0}, "first_k", "Input should be greater than or equal to 1"),
        ({"first_k": 4}, "first_k", "first_k is more than the number of candidates, 3"),
        ({"first_k": 1, "quorum": 2}, "first_k", "first_k is less than quorum, 2"),
        ({"quorum": 4}, "quorum", "quorum is more than the number of candidates, 3"),
        ({"adaptive": {"start": 4}}, "adaptive/start", "start is more than the number of candidates, 3"),
        ({"adaptive": {"agree": 4}}, "adaptive/agree", "agree is more than the number of candidates, 3"),
        ({"adaptive": {"agree": 1}}, "adaptive/agree", "Input should be greater than or equal to 2"),
        ({"adaptive": {"start": "2"}}, "adaptive/start", "Input should be a valid integer"),
        ({"close_losers": True}, "close_losers", "close_losers needs the strategy select"),
        ({"variants": [{}] * 21}, "variants", "21 variants with concurrency 1 are 21 candidates"),
        ({"variants": [{}] * 2, "concurrency": 11}, "concurrency", "2 variants with concurrency 11 are 22 candidates"),
    ],
)
def test_the_setting_that_cannot_be_met_is_named(body: Any, pointer: str, words: str) -> None:
    answer = create({"prompt": "Go.", **body})

    assert answer.status == 422
    (error,) = answer.json["errors"]
    assert error["pointer"] == f"/body/{pointer}"
    assert error["detail"].startswith(words)
