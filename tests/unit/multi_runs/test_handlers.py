"""The multi-run endpoints and the state machine's tasks, without the state machine itself."""

import json
from typing import Any

import boto3
import pytest

from codegen_api import parse_timestamp
from codegen_runs.backend import Backend
from codegen_runs.limits.buckets import LIMITS, RESERVED_CREATES
from codegen_runs.multi_runs.tasks import MultiRunGone
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRunStatus
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport, Script, Trouble
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import CALLER, call, current, rest, working_with
from tests.unit.multi_runs.flow import ORG, PATH, Runs, cancel, create, get, task, types

pytestmark = pytest.mark.usefixtures("state_machine")


def test_a_multi_run_is_accepted_with_its_location(deployed: Template) -> None:
    answer = create()

    assert answer.status == 202
    assert answer.headers["location"] == f"{PATH}/{answer.json['id']}"
    assert answer.json["status"] == "queued"
    assert answer.json["counts"]["requested"] == 3
    assert answer.json["estimate"] == {"runs": 7, "runs_at_least": 4}
    execution = boto3.client("stepfunctions").list_executions(
        stateMachineArn=deployed.state_machines["MultiRunStateMachine"].arn
    )["executions"]
    assert [each["name"] for each in execution] == [answer.json["id"]]


def test_a_state_machine_that_starts_again_leaves_the_status_as_it_is() -> None:
    multi_run_id = create().json["id"]
    task("plan", multi_run_id)
    table = current().multi_runs
    running = table.get(ORG, multi_run_id)
    assert running is not None
    table.advance(running, MultiRunStatus.SYNTHESIZING)

    assert task("plan", multi_run_id)["candidates"] == [0, 1, 2]
    assert get(multi_run_id).json["status"] == "synthesizing"


def test_fields_without_effect_are_answered_with_warnings() -> None:
    answer = create(
        {
            "prompt": "Create a React component",
            "concurrency": 3,
            "repo_id": 456,
            "model": "gpt-4",
            "temperature": 0.7,
            "synthesis_temperature": 0.2,
        },
        path=f"/organizations/{ORG}/multi-run",
    )

    assert answer.status == 202
    assert {warning["pointer"] for warning in answer.json["warnings"]} == {"/temperature", "/synthesis_temperature"}
    assert [candidate["model"] for candidate in answer.json["candidates"]] == ["gpt-4"] * 3


def test_waiting_candidates_have_a_place_and_an_expected_time(runs: RunsTable, clock: backend.TestClock) -> None:
    multi_run_id = create({"prompt": "Go.", "concurrency": 12}).json["id"]
    task("plan", multi_run_id)
    for index in range(12):
        task("launch", multi_run_id, index=index, task_token="t")
        clock.sleep(0.01)
    candidates = get(multi_run_id).json["candidates"]

    assert [candidate["queue"]["position"] for candidate in candidates] == list(range(12))
    expected = [parse_timestamp(candidate["queue"]["expected_at"]).timestamp() for candidate in candidates]
    at_once = LIMITS["create"].calls - RESERVED_CREATES
    assert all(abs(at - clock.now()) < 1 for at in expected[:at_once])
    assert all(60 <= at - clock.now() < 65 for at in expected[at_once:])

    watch = runs.get(ORG, f"{multi_run_id}-0")
    assert watch
    runs.write(watch.model_copy(update={"status": Status.LAUNCHING}))
    launching, *waiting = get(multi_run_id).json["candidates"]
    assert launching["queue"] is None
    assert [candidate["queue"]["position"] for candidate in waiting] == list(range(11))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body/prompt"),
        ({"prompt": "   "}, "/body/prompt"),
        ({"prompt": "Go.", "concurrency": 21}, "/body/concurrency"),
        ({"prompt": "Go.", "concurrency": 0}, "/body/concurrency"),
        ({"prompt": "Go.", "concurrency": "many"}, "/body/concurrency"),
        ({"prompt": "Go.", "concurrency": "3"}, "/body/concurrency"),
        ({"prompt": "Go.", "concurrency": True}, "/body/concurrency"),
        ({"prompt": "Go.", "concurrency": 7, "variants": [{}, {}, {}]}, "/body/concurrency"),
        ({"prompt": "Go.", "variants": [{}] * 21}, "/body/variants"),
        ({"prompt": "Go.", "variants": []}, "/body/variants"),
        ({"prompt": "Go.", "variants": [{"prompt": " "}]}, "/body/variants/0/prompt"),
        ({"prompt": "Go.", "variants": [{"system_prompt": ""}]}, "/body/variants/0/system_prompt"),
        ({"prompt": "Go.", "concurrency": 20, "variants": [{"prompt": "x" * 20_000}]}, "/body"),
        ({"prompt": "Go.", "variants": [{}, {}], "quorum": 3}, "/body/quorum"),
        ({"prompt": "Go.", "on_deadline": "wait"}, "/body/on_deadline"),
        ({"prompt": "Go.", "concurrency": 2, "quorum": 3}, "/body/quorum"),
        ({"prompt": "Go.", "deadline_s": 5}, "/body/deadline_s"),
        ({"prompt": "Go.", "strategy": "vote"}, "/body/strategy"),
        ({"prompt": "Go.", "variants": [{"agent_type": "robot"}]}, "/body/variants/0/agent_type"),
        ({"prompt": "x" * 60_001}, "/body/prompt"),
    ],
)
def test_an_invalid_request_is_refused_with_its_place(body: Any, pointer: str) -> None:
    event = rest("POST", PATH, body=body)
    answer = call(handlers.handler("multi_runs/create"), event)

    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_another_organizations_multi_run_is_not_found() -> None:
    multi_run_id = create().json["id"]
    event = rest("GET", f"/v1/organizations/124/multi-runs/{multi_run_id}")

    assert call(handlers.handler("multi_runs/get"), event).status == 404


def test_an_unknown_multi_run_is_not_found() -> None:
    for answer in (get("mr-0"), cancel("mr-0")):
        assert answer.status == 404
        assert answer.json["code"] == "multi_run_not_found"


def test_multi_runs_are_listed_newest_first_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    created = [create({"prompt": f"Number {n}."}).json["id"] for n in range(5)]
    seen, cursor, pages = [], "", 0
    while True:
        event = rest("GET", f"{PATH}?limit=2{cursor}")
        answer = call(handlers.handler("multi_runs/list"), event)
        seen += [item["id"] for item in answer.json["items"]]
        pages += 1
        if not answer.json["has_more"]:
            break
        cursor = f"&cursor={answer.json['next_cursor']}"

    assert sorted(seen) == sorted(created)
    assert seen == sorted(seen, reverse=True)
    assert pages == 3


@pytest.mark.parametrize("cursor", ["nonsense!", "", "AAAA", "e30"])
def test_an_invalid_cursor_is_refused(cursor: str) -> None:
    answer = call(handlers.handler("multi_runs/list"), rest("GET", f"{PATH}?cursor={cursor or '%20'}"))

    assert answer.status == 400
    assert answer.json["code"] == "invalid_cursor"


def test_when_the_state_machine_cannot_be_started_nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTI_RUN_STATE_MACHINE", "arn:aws:states:us-east-1:123456789012:stateMachine:gone")
    answer = create()

    assert answer.status == 500  # The deployment has no such state machine.
    (left,), _ = current().multi_runs.newest(ORG, 10)
    assert left.status is MultiRunStatus.FAILED


def test_a_cancelled_multi_run_launches_nothing_more(clock: backend.TestClock, fake: FakeCodegen) -> None:
    multi_run_id = create().json["id"]
    task("plan", multi_run_id)
    task("launch", multi_run_id, index=0, task_token="token-0")
    answer = cancel(multi_run_id)

    assert answer.status == 200
    assert answer.json["status"] == "cancelled"
    assert answer.json["candidates"][0]["status"] == "cancelled"
    with pytest.raises(MultiRunGone):
        task("launch", multi_run_id, index=1, task_token="token-1")
    assert current().runs.outlook(10) == []


def test_a_multi_run_that_has_ended_cannot_be_cancelled() -> None:
    multi_run_id = create().json["id"]
    task("plan", multi_run_id)
    task("publish", multi_run_id)
    answer = cancel(multi_run_id)

    assert answer.status == 409
    assert answer.json["code"] == "multi_run_ended"


def test_a_repeated_cancel_succeeds() -> None:
    multi_run_id = create().json["id"]

    assert [cancel(multi_run_id).status for _ in range(2)] == [200, 200]


def test_the_tasks_take_a_multi_run_to_its_answer_and_can_be_repeated(upstream: Runs) -> None:
    fake, tokens = upstream.fake, upstream.tokens
    fake.script(Script(ending="FAILED"))
    fake.script(Script(pull_request=True))
    multi_run_id = create().json["id"]
    plan = [task("plan", multi_run_id) for _ in range(2)][-1]
    assert plan["candidates"] == [0, 1, 2]
    for index in plan["candidates"]:
        task("launch", multi_run_id, index=index, task_token=f"first-{index}")
        task("launch", multi_run_id, index=index, task_token=f"second-{index}")
    upstream.follow()
    # The state machine may wait for either try.
    first, second = ([tokens.answers[f"{name}-{index}"] for index in range(3)] for name in ("first", "second"))
    assert first == second
    assert [isinstance(answer, dict) for answer in first] == [False, True, True]
    assert len(fake.creates) == 3

    assert upstream.gather(multi_run_id) == ["judge", "synthesize", "publish"]
    assert get(multi_run_id).json["status"] == "synthesizing"
    published = [task("publish", multi_run_id) for _ in range(2)]
    assert published[0] == published[1]

    answer = get(multi_run_id).json
    assert answer["status"] == "completed"
    assert (answer["answer"]["source"], answer["answer"]["candidate"], answer["strategy_used"]) == ("base", 1, "base")
    (graft,) = answer["answer"]["grafts"]
    assert graft["candidate"] == 2
    assert graft["what"] in answer["answer"]["follow_up"]["prompt"]
    assert answer["counts"] == {
        "requested": 3, "launched": 3, "finished": 3, "usable": 2, "failed": 1, "missing": 0, "dropped": 0
    }  # fmt: skip
    assert answer["synthesis"]["status"] == Status.COMPLETED
    assert len(fake.creates) == 5
    assert all(candidate["web_url"] for candidate in answer["candidates"])
    failed, opening, _ = answer["candidates"]
    assert (failed["pull_requests"], failed["summary"], failed["branch_name"]) == ([], None, None)
    (pull_request,) = opening["pull_requests"]
    assert pull_request["url"].endswith(f"/pull/{pull_request['number']}")
    assert opening["branch_name"] == pull_request["branch_name"]
    assert opening["summary"]
    assert opening["link"] == f"/v1/organizations/{ORG}/agent/run/{opening['agent_run_id']}"
    assert answer["answer"]["pull_requests"] == [pull_request]
    assert answer["answer"]["stands_for"].startswith("The work of candidate 2:")


@pytest.mark.full
@pytest.mark.parametrize(
    ("status", "outcome", "problem"),
    [(None, "sent", None), (402, "not_sent", "Upgrade your plan."), (500, "unknown", "It broke.")],
)
def test_the_base_is_sent_what_it_should_take_over_once(
    upstream: Runs, clock: backend.TestClock, status: int | None, outcome: str, problem: str | None
) -> None:
    fake = upstream.fake
    fake.script(Script(pull_request=True))
    if status:
        fake.trouble("resume_agent_run", Trouble("error", status=status, message=problem))
    with working_with(Backend(clock=clock, kick=backend.Kicks(), codegen=backend.codegen(FakeTransport(fake)))):
        multi_run_id = create({"prompt": "Say hello.", "concurrency": 2, "synthesis": {"graft": True}}).json["id"]
        upstream.launch(multi_run_id)
        upstream.gather(multi_run_id)
        for _ in range(2):
            task("publish", multi_run_id)
        answer = get(multi_run_id).json["answer"]

    assert answer["follow_up"]["outcome"] == outcome
    assert (problem or "") in (answer["follow_up"]["problem"] or "")
    assert fake.calls["resume_agent_run"] == 1
    assert types(multi_run_id)[-2:] == ["completed", "grafted"]
    assert [block for block in answer["provenance"]["blocks"] if block["novel"]] == []


def test_a_multi_run_whose_state_machine_failed_has_the_error_in_its_reason() -> None:
    multi_run_id = create().json["id"]
    task("plan", multi_run_id)
    task("publish", multi_run_id, error={"Error": "States.TaskFailed", "Cause": "It fell over."})
    answer = get(multi_run_id).json

    assert answer["status"] == "failed"
    assert answer["reason"].startswith("States.TaskFailed: It fell over.")
    assert CALLER.token not in json.dumps(answer)
