"""The main job, from the request to the answer: the deployed handlers, the real state machine, a real HTTP upstream."""

import time
from typing import Any

import httpx
import pytest

from benchmarks import executions, multi_run
from codegen_runs.multi_runs.tasks import MOST_BRANCHES
from local.fake_codegen import DEMO_ORG_ID
from local.stack import Stack
from tests.support.processes import wait_until

PATH = f"/v1/organizations/{DEMO_ORG_ID}/multi-runs"
PATIENCE = 180


def follow(http: httpx.Client, location: str, until: set[str] = frozenset({"completed", "failed", "cancelled"})) -> Any:  # type: ignore[assignment]
    """Read a multi-run until its status is one of these."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        snapshot = http.get(location).raise_for_status().json()
        if snapshot["status"] in until:
            return snapshot
        time.sleep(0.3)
    pytest.fail(f"still {snapshot['status']} after {PATIENCE} s: {snapshot}")


def create(http: httpx.Client, **body: Any) -> str:
    answer = http.post(PATH, json={"prompt": "Say how to test a cache."} | body)
    assert answer.status_code == 202, answer.text
    return str(answer.url.join(answer.headers["Location"]))


def execution_status(stack: Stack, multi_run_id: str) -> str:
    """Return the status of the state machine's execution for a multi-run."""
    machine = stack.template.state_machines["MultiRunStateMachine"]
    execution = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{multi_run_id}"
    return stack.aws.client("stepfunctions").describe_execution(executionArn=execution)["status"]


@pytest.fixture(scope="module", autouse=True)
def endless(http: httpx.Client) -> str:
    """A multi-run with a candidate that never ends, started first: its half minute passes while the others run."""
    return create(http, prompt="Wait. [[fake ending=NEVER nth=1]]", concurrency=2, deadline_s=30)


def test_three_candidates_become_one_answer(http: httpx.Client, stack: Stack) -> None:
    snapshot = follow(http, create(http, concurrency=3))

    assert snapshot["status"] == "completed"
    assert snapshot["answer"]["source"] == "synthesis"
    assert "3 answers" in snapshot["answer"]["text"]
    assert snapshot["counts"] == {
        "requested": 3, "launched": 3, "finished": 3, "usable": 3, "failed": 0, "missing": 0, "dropped": 0
    }  # fmt: skip
    assert all(candidate["web_url"] and candidate["result"] for candidate in snapshot["candidates"])
    assert snapshot["synthesis"]["status"] == "completed"

    wait_until(lambda: execution_status(stack, snapshot["id"]) != "RUNNING", PATIENCE)
    assert execution_status(stack, snapshot["id"]) == "SUCCEEDED"
    found = executions.read(multi_run.history(stack, snapshot["id"]), candidates=3)
    assert (found.events, found.transitions) == (38 + 8 * 3, 10 + 3)  # as docs/multi-runs.md says


@pytest.mark.full
def test_more_candidates_than_a_map_has_branches_have_executions_of_their_own(http: httpx.Client, stack: Stack) -> None:
    count = MOST_BRANCHES + 1
    prompt = "Say how to test it. [[fake ending=FAILED nth=2]]"
    snapshot = follow(http, create(http, prompt=prompt, concurrency=count, strategy="none", judge="never"))

    assert snapshot["status"] == "completed"
    assert (snapshot["counts"]["usable"], snapshot["counts"]["failed"]) == (count - 1, 1)
    found = [event["type"] for event in multi_run.history(stack, snapshot["id"])]
    assert (found.count("MapRunSucceeded"), found.count("MapIterationStarted")) == (1, 0)


@pytest.mark.full
def test_a_cancel_ends_the_executions_of_many_candidates(http: httpx.Client, stack: Stack) -> None:
    location = create(http, prompt="Dig. [[fake ending=NEVER]]", concurrency=MOST_BRANCHES + 1)
    wait_until(lambda: http.get(location).json()["counts"]["launched"])

    assert http.post(f"{location}/cancel").json()["status"] == "cancelled"

    multi_run_id = location.rpartition("/")[2]
    assert execution_status(stack, multi_run_id) == "ABORTED"
    assert "MapRunStarted" in [event["type"] for event in multi_run.history(stack, multi_run_id)]


@pytest.mark.full
def test_one_failed_candidate_does_not_end_the_group(http: httpx.Client) -> None:
    snapshot = follow(http, create(http, prompt="Say it. [[fake ending=FAILED steps=2 nth=2]]", concurrency=3))

    assert snapshot["status"] == "completed"
    assert snapshot["counts"]["failed"] == 1
    (failed,) = [candidate for candidate in snapshot["candidates"] if not candidate["usable"]]
    assert failed["status"] == "failed"
    assert failed["reason"]


def test_below_the_quorum_the_group_fails_and_keeps_every_output(http: httpx.Client) -> None:
    snapshot = follow(http, create(http, prompt="Speak. [[fake ending=ERROR nth=1]]", concurrency=2, quorum=2))

    assert snapshot["status"] == "failed"
    assert snapshot["reason"].startswith("Usable candidates: 1, required: 2.")
    assert snapshot["answer"] is None
    assert [candidate["usable"] for candidate in snapshot["candidates"]].count(True) == 1
    assert any(candidate["result"] for candidate in snapshot["candidates"])


@pytest.mark.full
def test_a_synthesis_that_fails_falls_back_to_a_candidate(http: httpx.Client) -> None:
    prompt = "Say why. [[fake-synthesis ending=FAILED]]"
    snapshot = follow(http, create(http, prompt=prompt, concurrency=2))

    assert snapshot["status"] == "completed"
    assert (snapshot["answer"]["source"], snapshot["strategy_used"]) == ("fallback", "best_candidate")
    assert [each["synthesis"] for each in snapshot["rejections"]] == [1, 2]
    assert snapshot["answer"]["candidate"] in (0, 1)


@pytest.mark.full
def test_two_judges_select_the_best_candidate_in_its_own_words(http: httpx.Client) -> None:
    snapshot = follow(http, create(http, concurrency=3, strategy="select", judge="always"))
    judging = snapshot["judging"]

    assert snapshot["answer"]["source"] == "selected"
    assert snapshot["answer"]["candidate"] == judging["ranking"][0]["candidate"]
    assert snapshot["answer"]["text"] == snapshot["candidates"][snapshot["answer"]["candidate"]]["result"].strip()
    # If both orders contradict each other, the pair is compared again, once.
    assert [judge["status"] for judge in judging["judges"]] in (["completed"] * 2, ["completed"] * 4)
    assert judging["judges"][0]["order"] == judging["judges"][1]["order"][::-1]
    assert judging["by_judges"]
    cards = http.get(f"/v1/organizations/{DEMO_ORG_ID}/run-cards", params={"children": True, "limit": 100}).json()
    assert all("ranking" not in str(card) for card in cards["items"])


@pytest.mark.full
def test_judges_that_prefer_the_first_place_leave_the_choice_to_the_evidence(http: httpx.Client) -> None:
    prompt = "Say what a cache is. [[fake-judge result=A]]"
    snapshot = follow(http, create(http, prompt=prompt, concurrency=2, strategy="select", judge="always"))

    assert snapshot["status"] == "completed"
    assert not snapshot["judging"]["by_judges"]
    assert "The judges contradict each other about the candidates 1 and 2." in snapshot["judging"]["reason"]
    assert len(snapshot["judging"]["judges"]) == 4


@pytest.mark.full
def test_a_cancelled_multi_run_stops_and_names_the_runs_that_continue(http: httpx.Client) -> None:
    location = create(http, prompt="Dig. [[fake ending=NEVER]]", concurrency=2)
    follow(http, location, {"running"})
    deadline = time.monotonic() + PATIENCE
    while http.get(location).json()["counts"]["launched"] < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    cancelled = http.post(f"{location}/cancel")

    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert [candidate["status"] for candidate in cancelled.json()["candidates"]] == ["running", "running"]
    assert http.post(f"{location}/cancel").status_code == 200


@pytest.mark.full
def test_a_candidate_that_never_ends_is_given_up_after_its_timeout(http: httpx.Client, endless: str) -> None:
    snapshot = follow(http, endless)

    assert snapshot["status"] == "completed"
    assert sorted(candidate["status"] for candidate in snapshot["candidates"]) == ["completed", "timed_out"]
    assert snapshot["answer"]["source"] == "only_candidate"
