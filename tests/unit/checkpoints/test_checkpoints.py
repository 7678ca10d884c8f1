"""List, read and create checkpoints through the handlers."""

from collections.abc import Callable
from typing import Any, cast

import boto3
import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.runs.following import enqueue
from codegen_runs.storage.runs import Launch, RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, Script, Trouble
from local.template import Template
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, current, working_with
from tests.support.overtaken import Overtaken
from tests.unit.checkpoints.conftest import ADA, ORG, Act, Run

BOB = Caller(id="user:1", user_id=1, organizations=frozenset({124}), token=DEMO_TOKEN)
Checkpoints = Callable[[int | str], dict[str, str]]
FollowUp = Callable[[int, str], None]


@pytest.fixture
def follow_up(act: Act, poll: Callable[[float], None], fake: FakeCodegen) -> Callable[[int, str], None]:
    def follow_up(run_id: int, prompt: str) -> None:
        fake.script(Script(seconds=2, steps=2, pull_request=False))
        body = {"prompt": prompt}
        assert act("agent_runs/resume", "POST", f"{ORG}/agent/run/{run_id}/resume", body).status == 200
        poll(60)

    return follow_up


def test_the_checkpoints_of_a_run_are_listed_newest_first_over_all_turns(
    act: Act, run: Run, follow_up: FollowUp
) -> None:
    run_id = run()
    follow_up(run_id, "Now test it.")
    items = act("list", "GET", f"{ORG}/agent/run/{run_id}/checkpoints").json["items"]

    assert [item["reason"] for item in items] == ["end", "plan", "follow_up", "end", "plan", "start"]
    assert [item["turn"] for item in items] == [2, 2, 2, 1, 1, 1]
    assert {item["fidelity"] for item in items} == {"context_replay"}
    assert [item["parent_hash"] for item in items] == [*(item["hash"] for item in items[1:]), None]
    assert items[-1]["summary"] == "Fix the bug."


def test_checkpoints_are_listed_page_by_page(act: Act, run: Run) -> None:
    run_id = run()
    path = f"{ORG}/agent/run/{run_id}/checkpoints?limit=2"
    first = act("list", "GET", path).json
    second = act("list", "GET", f"{path}&cursor={first['next_cursor']}").json

    assert [item["reason"] for item in first["items"] + second["items"]] == ["end", "plan", "start"]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_checkpoint_has_the_conversation_up_to_it_and_nothing_after(
    act: Act, run: Run, follow_up: FollowUp, checkpoints: Checkpoints
) -> None:
    run_id = run()
    first = checkpoints(run_id)
    follow_up(run_id, "Now test it.")
    whole = act("get", "GET", f"{ORG}/checkpoints/{checkpoints(run_id)['end']}").json
    start = act("get", "GET", f"{ORG}/checkpoints/{first['start']}").json

    assert [(message["role"], message["text"]) for message in start["chain"]] == [("prompt", "Fix the bug.")]
    said = [(message["role"], message["text"], message["turn"]) for message in whole["chain"]]
    assert said[:3] == [
        ("prompt", "Fix the bug.", 1), ("answer", "The bug is fixed.", 1), ("prompt", "Now test it.", 2)
    ]  # fmt: skip
    assert [role for role, *_ in said] == ["prompt", "answer", "prompt", "answer"]


def test_a_checkpoint_does_not_change_when_the_run_continues(
    act: Act, run: Run, follow_up: FollowUp, checkpoints: Checkpoints
) -> None:
    run_id = run()
    path = f"{ORG}/checkpoints/{checkpoints(run_id)['end']}"
    before = act("get", "GET", path).json
    follow_up(run_id, "Now test it.")

    assert act("get", "GET", path).json == before


def test_a_checkpoint_has_the_pull_requests_of_its_time(act: Act, run: Run, checkpoints: Checkpoints) -> None:
    run_id = run(script=Script(seconds=4, pull_request=True))
    start, opened = (
        act("get", "GET", f"{ORG}/checkpoints/{checkpoints(run_id)[reason]}").json
        for reason in ("start", "pull_request")
    )

    assert start["pull_requests"] == []
    assert start["branch_name"] is None
    (pull_request,) = opened["pull_requests"]
    assert pull_request["branch_name"] == opened["branch_name"]
    assert opened["branch_name"]


def test_a_checkpoint_is_read_without_pull_requests_while_the_upstream_fails(
    act: Act, run: Run, checkpoints: Checkpoints, fake: FakeCodegen
) -> None:
    path = f"{ORG}/checkpoints/{checkpoints(run())['end']}"
    fake.trouble("get_agent_run", Trouble("error", status=500))
    answer = act("get", "GET", path)

    assert answer.status == 200
    assert [warning["code"] for warning in answer.json["warnings"]] == ["pull_requests_unknown"]


def test_secrets_are_masked_in_the_conversation(act: Act, run: Run, checkpoints: Checkpoints) -> None:
    secret = "sk-" + "a" * 30
    read = act("get", "GET", f"{ORG}/checkpoints/{checkpoints(run(f'Use {secret}.'))['start']}")

    assert secret not in read.text
    assert read.json["chain"][0]["text"] == "Use [redacted]."


def test_a_checkpoint_is_created_by_request_at_its_place_in_the_event_log(
    act: Act, run: Run, runs: RunsTable, checkpoints: Checkpoints
) -> None:
    run_id = run(script=Script(ending="NEVER"), seconds=5)
    body = {"description": "Before the big change", "tags": ["risky"], "colour": "red"}
    made = act("create", "POST", f"{ORG}/agent/run/{run_id}/checkpoints", body)

    assert made.status == 201
    assert made.headers["location"] == f"{ORG}/checkpoints/{made.json['id']}"
    assert made.json | {"summary": "Before the big change", "tags": ["risky"], "created_by": "user:789"} == made.json
    assert [warning["pointer"] for warning in made.json["warnings"]] == ["/colour"]
    assert checkpoints(run_id)["manual"] == made.json["id"]
    last = runs.events(DEMO_ORG_ID, str(run_id), limit=1000)[-1]
    assert (last.type, last.id, last.data["reason"]) == ("checkpoint.created", made.json["event_id"], "manual")


def test_a_requested_checkpoint_and_one_of_the_poller_at_the_same_moment_are_both_kept(
    act: Act, run: Run, runs: RunsTable, poll: Callable[[float], None], clock: TestClock
) -> None:
    run_id = run(script=Script(steps=1, seconds=60, pull_request=False), seconds=5)
    table = Overtaken(runs, "write", lambda: poll(60))
    with working_with(Backend(clock=clock, kick=Kicks(), runs=cast(RunsTable, table))):
        made = act("create", "POST", f"{ORG}/agent/run/{run_id}/checkpoints")
    items = act("list", "GET", f"{ORG}/agent/run/{run_id}/checkpoints").json["items"]

    assert made.status == 201
    assert [item["reason"] for item in items] == ["manual", "end", "plan", "start"]
    assert [item["parent_hash"] for item in items] == [*(item["hash"] for item in items[1:]), None]
    events = runs.events(DEMO_ORG_ID, str(run_id), limit=1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_run_started_elsewhere_is_followed_from_its_first_checkpoint_on(
    act: Act, codegen: CodegenAPI, runs: RunsTable, checkpoints: Checkpoints
) -> None:
    run_id = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id
    assert checkpoints(run_id) == {}
    made = act("create", "POST", f"{ORG}/agent/run/{run_id}/checkpoints")

    assert made.status == 201
    assert made.json["chain"] == []
    assert checkpoints(run_id).keys() == {"start", "manual"}
    assert runs.find(DEMO_ORG_ID, run_id) is not None


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by the poller"])
def test_a_run_whose_watch_has_expired_continues_after_its_last_checkpoint(
    act: Act,
    run: Run,
    runs: RunsTable,
    deployed: Template,
    follow_up: FollowUp,
    checkpoints: Checkpoints,
    by_hand: bool,
) -> None:
    run_id = run()
    path = f"{ORG}/agent/run/{run_id}/checkpoints"
    before = act("list", "GET", path).json["items"]
    expire(deployed, run_id)
    if by_hand:
        assert act("create", "POST", path).status == 201
    follow_up(run_id, "And now?")
    after = act("list", "GET", path).json["items"]

    assert after[-len(before) :] == before
    assert {"end", "follow_up"} <= {item["reason"] for item in after[: -len(before)]}
    assert [item["parent_hash"] for item in after] == [*(item["hash"] for item in after[1:]), None]
    said = act("get", "GET", f"{ORG}/checkpoints/{after[0]['id']}").json["chain"]
    assert [message["text"] for message in said][:3] == ["Fix the bug.", "The bug is fixed.", "And now?"]


def expire(deployed: Template, run_id: int) -> None:
    """Delete a run's watch and events, as DynamoDB does when they expire."""
    client, table = boto3.client("dynamodb"), deployed.tables["RunsTable"].name
    for item in client.scan(TableName=table)["Items"]:
        if item["pk"]["S"] == f"run#{DEMO_ORG_ID}#{run_id}" and not item["sk"]["S"].startswith("checkpoint#"):
            client.delete_item(TableName=table, Key={name: item[name] for name in ("pk", "sk")})


def test_checkpoints_under_api_paths_belong_to_the_deployments_organization(
    act: Act, run: Run, checkpoints: Checkpoints
) -> None:
    run_id = run()
    of_run = f"/api/checkpoints/runs/{run_id}/checkpoints"
    made = act("create", "POST", of_run)

    assert made.status == 201
    assert [item["id"] for item in act("list", "GET", of_run).json["items"]] == [
        item["id"] for item in act("list", "GET", f"{ORG}/agent/run/{run_id}/checkpoints").json["items"]
    ]
    assert act("get", "GET", f"/api/checkpoints/{made.json['id']}").json["id"] == made.json["id"]
    assert act("lineage", "GET", f"/api/checkpoints/{made.json['id']}/lineage").json["run"] == str(run_id)


def request_all(act: Act, org: str, checkpoint_id: str, caller: Caller = ADA) -> list[Answer]:
    """Send a request for a checkpoint to each function that accepts one."""
    path = f"{org}/checkpoints/{checkpoint_id}"
    reads = [act("get", "GET", path, caller=caller), act("lineage", "GET", f"{path}/lineage", caller=caller)]
    return reads + [act(name, "POST", f"{path}/{name}", caller=caller) for name in ("restore", "fork")]


def test_an_unknown_checkpoint_is_not_found(act: Act, run: Run) -> None:
    run_id = run()
    for unknown in ("chk_123", "7.0-1", f"{run_id}.0-999", f"{run_id}.0-2x", "mr-1.0-1", f"{run_id}.0-0"):
        answers = request_all(act, ORG, unknown)

        assert [answer.status for answer in answers] == [404] * 4
        assert {answer.json["code"] for answer in answers} == {"checkpoint_not_found"}


def test_a_checkpoint_of_another_tenant_is_not_found(
    act: Act, run: Run, checkpoints: Checkpoints, fake: FakeCodegen
) -> None:
    checkpoint_id = checkpoints(run())["end"]
    creates = len(fake.creates)

    assert [each.status for each in request_all(act, "/v1/organizations/124", checkpoint_id, BOB)] == [404] * 4
    assert [each.status for each in request_all(act, ORG, checkpoint_id, BOB)] == [403] * 4
    assert len(fake.creates) == creates


def test_an_unknown_run_is_not_found(act: Act) -> None:
    for name, method in (("list", "GET"), ("create", "POST")):
        assert act(name, method, f"{ORG}/agent/run/99999999/checkpoints").status == 404
        assert act(name, method, f"{ORG}/agent/run/mr-unknown/checkpoints").status == 404


def test_a_run_that_waits_for_its_launch_can_have_no_checkpoint(act: Act, clock: TestClock) -> None:
    enqueue(
        org_id=DEMO_ORG_ID,
        key="mr-1-0",
        prompt="Say hello.",
        launch=Launch(),
        task_token="token",
        multi_run_id="mr-1",
        deadline=clock.now() + 3600,
        backend=current(),
    )
    path = f"{ORG}/agent/run/mr-1-0/checkpoints"

    assert act("list", "GET", path).json["items"] == []
    assert act("create", "POST", path).json["code"] == "run_not_started"
    for verb in ("restore", "fork"):
        refused = act(verb, "POST", f"{ORG}/checkpoints/mr-1-0.0-1/{verb}")
        assert (refused.status, refused.json["code"]) == (409, "run_not_started")
        assert "queued" in refused.json["detail"]


@pytest.mark.parametrize("body", [{"description": ""}, {"description": 5}, {"tags": "risky"}, {"tags": [""]}])
def test_an_invalid_description_or_tag_is_refused(act: Act, run: Run, body: Any) -> None:
    run_id = run()

    assert act("create", "POST", f"{ORG}/agent/run/{run_id}/checkpoints", body).status == 422
