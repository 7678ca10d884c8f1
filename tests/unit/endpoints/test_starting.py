"""The operations that start a run, with the fake Codegen: the run exists there and is followed here."""

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.callers import Caller
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_SANDBOX_ID,
    DEMO_TOKEN,
    DEMO_USER_ID,
    EMPTY_ORG_ID,
    FakeCodegen,
    FakeTransport,
    Trouble,
)
from local.template import Template
from tests.support.events import Answer, call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire

ADA = Caller(f"user:{DEMO_USER_ID}", DEMO_USER_ID, frozenset({DEMO_ORG_ID, EMPTY_ORG_ID}), DEMO_TOKEN)
ORG = f"/v1/organizations/{DEMO_ORG_ID}"


@pytest.fixture(autouse=True)
def _upstream(deployed: Template, fake: FakeCodegen) -> Iterator[None]:
    with upstream.over(FakeTransport(fake)):
        yield


@pytest.fixture
def finished(codegen: CodegenAPI) -> int:
    return codegen.runs.list(org_id=DEMO_ORG_ID).items[0].id


def post(name: str, path: str, body: Any = None) -> Answer:
    return call(handler(name), rest("POST", path, body=body, caller=ADA))


@pytest.mark.parametrize("path", [f"{ORG}/agent/run", f"/organizations/{DEMO_ORG_ID}/agent/run"])
def test_a_run_is_started_with_every_field_of_the_request(path: str, codegen: CodegenAPI, runs: RunsTable) -> None:
    body = {"prompt": "Do it.", "repo_id": DEMO_REPO_ID, "metadata": {"ticket": [7]}, "agent_type": "claude_code"}

    answer = post("agent_runs/create", path, body)

    assert answer.status == 200
    assert answer.json == codegen.runs.get(answer.json["id"], org_id=DEMO_ORG_ID).model_dump(mode="json")
    assert answer.json["metadata"] == {"ticket": [7]}
    watch = runs.find(DEMO_ORG_ID, answer.json["id"])
    assert watch is not None
    assert (watch.created_by, watch.prompt, watch.web_url) == (ADA.id, "Do it.", answer.json["web_url"])
    assert watch.due_at is not None


def test_every_field_of_a_run_reaches_the_upstream(fake: FakeCodegen, runs: RunsTable) -> None:
    sent = {
        "prompt": "Do it.",
        "images": ["data:image/png;base64,AA=="],
        "metadata": {"a": None},
        "repo_id": 1,
        "model": "m",
        "agent_type": "codegen",
        "webhooks": [{"url": "https://hook.test", "secret": "s", "more": 1}],
    }
    wire = Wire([FakeTransport(fake).handle_request])
    with upstream.over(wire):
        post("agent_runs/create", f"{ORG}/agent/run", sent)

    assert wire.asked[3] == sent


@pytest.mark.parametrize("named_in", ["body", "path"])
def test_every_field_of_a_follow_up_reaches_the_upstream(
    named_in: str, finished: int, fake: FakeCodegen, runs: RunsTable
) -> None:
    sent = {
        "prompt": "And now test it.",
        "images": ["data:image/png;base64,AA=="],
        "model": "m",
        "webhooks": [{"url": "https://hook.test", "secret": "s", "more": 1}],
    }
    wire = Wire([FakeTransport(fake).handle_request])
    with upstream.over(wire):
        if named_in == "body":
            post("agent_runs/resume", f"{ORG}/agent/run/resume", sent | {"agent_run_id": finished})
        else:
            post("agent_runs/resume", f"{ORG}/agent/run/{finished}/resume", sent)

    assert wire.asked[3] == sent | {"agent_run_id": finished}


def test_fields_of_other_apis_have_a_warning(fake: FakeCodegen) -> None:
    answer = post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x", "temperature": 0.7, "branch": "main"})

    assert [(warning["code"], warning["pointer"]) for warning in answer.json["warnings"]] == [
        ("ignored_parameter", "/temperature"),
        ("ignored_parameter", "/branch"),
    ]


def test_an_organization_without_repositories_is_refused_with_the_upstreams_message(runs: RunsTable) -> None:
    answer = post("agent_runs/create", f"/v1/organizations/{EMPTY_ORG_ID}/agent/run", {"prompt": "x"})

    assert answer.status == 404
    assert answer.json["message"].startswith("No repos found in the organization.")


@pytest.mark.parametrize("named_in", ["body", "path"])
def test_a_follow_up_continues_the_run_with_the_same_id(named_in: str, finished: int, runs: RunsTable) -> None:
    follow_up = {"prompt": "And now test it."}
    if named_in == "body":
        answer = post("agent_runs/resume", f"{ORG}/agent/run/resume", {"agent_run_id": finished, **follow_up})
    else:
        answer = post("agent_runs/resume", f"/organizations/{DEMO_ORG_ID}/agent/run/{finished}/resume", follow_up)

    assert answer.status == 200
    assert (answer.json["id"], answer.json["status"]) == (finished, "ACTIVE")
    assert "warnings" not in answer.json
    watch = runs.find(DEMO_ORG_ID, finished)
    assert watch is not None
    assert [(prompt.text, prompt.follow_up, prompt.by) for prompt in watch.prompts] == [
        ("And now test it.", True, ADA.id)
    ]


def test_every_prompt_of_a_run_is_recorded_with_its_turn_and_sender(
    runs: RunsTable,
) -> None:
    started = {"prompt": "Do it.", "repo_id": DEMO_REPO_ID, "model": "claude-sonnet-4-5", "agent_type": "codegen"}
    run = post("agent_runs/create", f"{ORG}/agent/run", started).json["id"]
    for prompt in ("In German.", "Now in French."):
        assert (
            post("agent_runs/resume", f"{ORG}/agent/run/resume", {"agent_run_id": run, "prompt": prompt}).status == 200
        )
        watch = runs.find(DEMO_ORG_ID, run)
        assert watch is not None
        runs.write(watch.model_copy(update={"status": Status.COMPLETED}))

    watch = runs.find(DEMO_ORG_ID, run)
    assert watch is not None
    assert watch.prompt == "Do it."
    assert [(prompt.number, prompt.turn, prompt.text, prompt.follow_up, prompt.by) for prompt in watch.prompts] == [
        (1, 1, "Do it.", False, ADA.id),
        (2, 1, "In German.", True, ADA.id),
        (3, 2, "Now in French.", True, ADA.id),
    ]
    assert (watch.repo_id, watch.model, watch.agent_type) == (DEMO_REPO_ID, "claude-sonnet-4-5", "codegen")


def test_a_follow_up_to_an_unknown_run_is_not_found() -> None:
    answer = post("agent_runs/resume", f"{ORG}/agent/run/999999/resume", {"prompt": "x"})

    assert (answer.status, answer.json["message"]) == (404, "Agent run not found.")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (f"{ORG}/setup-commands/generate", {}),
        ("/v1/setup-commands", {}),
        ("/setup-commands", {"org_id": DEMO_ORG_ID}),
    ],
)
def test_setup_commands_start_a_run_that_is_followed(path: str, more: Any, runs: RunsTable) -> None:
    body = {"repo_id": DEMO_REPO_ID, "prompt": "Use uv.", **more}

    answer = post("setup_commands/generate", path, body | {"language": "python"})

    assert answer.status == 200
    assert answer.json.keys() == {"agent_run_id", "status", "url", "warnings"}
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/language"]
    watch = runs.find(DEMO_ORG_ID, answer.json["agent_run_id"])
    assert watch is not None
    assert (watch.prompt, watch.web_url) == ("Use uv.", answer.json["url"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{ORG}/sandbox/{DEMO_SANDBOX_ID}/analyze-logs", None),
        ("/v1/sandbox/analyze-logs", {"sandbox_id": DEMO_SANDBOX_ID}),
        ("/sandbox/analyze-logs", {"sandbox_id": str(DEMO_SANDBOX_ID), "org_id": DEMO_ORG_ID}),
    ],
)
def test_an_analysis_of_logs_starts_a_run_that_is_followed(path: str, body: Any, runs: RunsTable) -> None:
    answer = post("sandboxes/analyze_logs", path, body)

    assert answer.status == 200
    assert answer.json.keys() == {"agent_run_id", "status", "message"}
    assert runs.find(DEMO_ORG_ID, answer.json["agent_run_id"]) is not None


def test_logs_in_the_request_have_a_warning() -> None:
    body = {"sandbox_id": DEMO_SANDBOX_ID, "logs": "npm ERR!"}

    answer = post("sandboxes/analyze_logs", "/sandbox/analyze-logs", body)

    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/logs"]


def test_a_started_run_is_returned_even_if_it_cannot_be_followed(
    deployed: Template, codegen: CodegenAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    boto3.client("dynamodb").delete_table(TableName=deployed.tables["RunsTable"].name)

    answer = post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x", "temperature": 1})

    assert answer.status == 200
    assert codegen.runs.get(answer.json["id"], org_id=DEMO_ORG_ID).status == "ACTIVE"
    assert [warning["code"] for warning in answer.json["warnings"]] == ["ignored_parameter", "not_followed"]
    assert '"RunsNotFollowed":[1.0]' in capsys.readouterr().out


def test_a_lost_answer_says_to_check_whether_the_run_was_started(fake: FakeCodegen, codegen: CodegenAPI) -> None:
    before = codegen.runs.list(org_id=DEMO_ORG_ID).total
    fake.troubles.add("create_agent_run", Trouble("lost_answer"))

    answer = post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"})

    assert (answer.status, answer.json["retryable"]) == (502, False)
    assert "list of runs" in answer.json["remedy"]
    assert codegen.runs.list(org_id=DEMO_ORG_ID).total == before + 1


def test_creations_beyond_the_upstreams_limit_are_refused_with_retry_after(fake: FakeCodegen) -> None:
    answers = [post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}) for _ in range(11)]

    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert answers[-1].json["code"] == "limit_used_up"
    assert 55 <= int(answers[-1].headers["retry-after"]) <= 62
    assert fake.calls["create_agent_run"] == 10


def test_each_answer_that_uses_a_limit_says_what_is_left_of_it(fake: FakeCodegen) -> None:
    answers = [post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}) for _ in range(11)]

    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"create";q=10;w=60'}
    limits = [re.fullmatch(r'"create";r=(\d+);t=(\d+)', answer.headers["ratelimit"]) for answer in answers]
    assert [int(limit[1]) for limit in limits if limit] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert all(55 <= int(limit[2]) <= 62 for limit in limits if limit)


def test_a_limit_that_the_upstream_has_blocked_is_reported_as_blocked(fake: FakeCodegen) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=429, retry_after=30), times=None)
    answers = [post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}) for _ in range(2)]

    assert all(re.fullmatch(r'"create";r=0;t=\d+', answer.headers["ratelimit"]) for answer in answers)


def test_a_429_of_the_upstream_is_passed_on_and_blocks_the_next_request(fake: FakeCodegen) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=429, retry_after=30), times=None)
    first, second = [post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}) for _ in range(2)]

    assert first.json["message"] == "Rate limit exceeded. Please try again later."
    assert first.headers["retry-after"] == "30"
    assert second.json["code"] == "limit_used_up"
