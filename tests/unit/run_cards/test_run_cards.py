"""Run cards through their handlers: start, continue, read, log and cancel."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from codegen_api import CodegenAPI
from codegen_runs.callers import Caller
from codegen_runs.runs import following
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Launch, RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_TOKEN, FakeCodegen, Script, Trouble
from tests.support.backend import TestClock
from tests.support.events import Answer, call, current, rest
from tests.support.handlers import handler

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({DEMO_ORG_ID, 124}), token=DEMO_TOKEN)
ORG = f"/v1/organizations/{DEMO_ORG_ID}/run-cards"

# The keys of a card in the description of the original run cards backend.
KEYS = {
    *("id", "status", "prompt", "created_at", "updated_at", "web_url", "result_preview", "duration_seconds"),
    *("metadata", "repo_name", "branch_name"),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

Follow = Callable[[], None]


def create(path: str = "/create_agent_run/test/hello", **body: Any) -> Answer:
    return call(handler("run_cards/create"), rest("POST", path, body=body or None, caller=ADA))


def resume(path: str, **body: Any) -> Answer:
    return call(handler("run_cards/resume"), rest("POST", path, body=body or None, caller=ADA))


def get(run_id: Any) -> Answer:
    return call(handler("run_cards/get"), rest("GET", f"/agent_runs/{run_id}", caller=ADA))


def cancel(run_id: Any, query: str = "") -> Answer:
    return call(handler("run_cards/cancel"), rest("DELETE", f"/agent_runs/{run_id}{query}", caller=ADA))


def logs(run_id: Any, query: str = "") -> Answer:
    return call(handler("run_cards/logs"), rest("GET", f"/agent_runs/{run_id}/logs{query}", caller=ADA))


def queue(clock: TestClock, key: str = "mr-1-0") -> str:
    """Queue a run, which then waits for its launch."""
    following.enqueue(
        org_id=DEMO_ORG_ID,
        key=key,
        prompt="Wait for it.",
        launch=Launch(repo_id=DEMO_REPO_ID, metadata={"tags": ["nightly"]}),
        task_token="token",
        multi_run_id="mr-1",
        deadline=clock.now() + 3600,
        backend=current(),
    )
    return key


@pytest.fixture
def followed(make_poller: Any, clock: TestClock) -> Follow:
    """Let the poller work for a minute or so."""

    def follow() -> None:
        for _ in range(10):
            make_poller().tick(clock.now() + 5)
            clock.sleep(5)

    return follow


# --- starting ---


def test_a_run_is_started_with_mode_and_query_in_the_path(codegen: CodegenAPI) -> None:
    answer = create("/create_agent_run/test/hello-world")

    assert answer.status == 200
    assert answer.json.keys() >= KEYS
    assert (answer.json["status"], answer.json["prompt"]) == ("running", "hello-world")
    assert codegen.runs.get(answer.json["id"], org_id=DEMO_ORG_ID).metadata == {"mode": "test"}


@pytest.mark.parametrize(
    "query",
    [
        "fix a/b: 50% of it?",
        'Say "hi" & stop; then #1',
        "Grüße, 世界 👋",
        "two\nlines",
        "a+b",
        "..",
        "x" * 9_000,
    ],
)
def test_any_text_in_the_path_is_decoded(query: str) -> None:
    answer = create(f"/create_agent_run/pro%20mode/{quote(query, safe='')}")

    assert answer.json["prompt"] == query[:2000]
    assert answer.json["prompt_truncated"] is (len(query) > 2000)
    assert answer.json["metadata"] == {"mode": "pro mode"}


def test_a_prompt_in_the_body_wins_and_its_other_fields_apply() -> None:
    body = {"metadata": {"mode": "other", "priority": "high"}, "repo_id": DEMO_REPO_ID, "temperature": 0.7}

    answer = create(prompt="Create a hello world function", **body)

    assert answer.json["prompt"] == "Create a hello world function"
    assert answer.json["metadata"] == {"mode": "test", "priority": "high"}
    assert (answer.json["repo_id"], answer.json["repo_name"]) == (DEMO_REPO_ID, "shop")
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/temperature"]


def test_the_versioned_path_has_everything_in_the_body() -> None:
    answer = create(ORG, prompt="Do it.", mode="api")

    assert answer.status == 200
    assert (answer.json["prompt"], answer.json["metadata"]) == ("Do it.", {"mode": "api"})


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/create_agent_run/test/%20", {}, "/path/query"),
        ("/create_agent_run/test/%FF", {}, "/path/query"),
        ("/create_agent_run/%FF/x", {}, "/path/mode"),
        ("/create_agent_run/test/x", {"prompt": 5}, "/body/prompt"),
        ("/create_agent_run/test/x", {"repo_id": "shop"}, "/body/repo_id"),
        (ORG, {"mode": "test"}, "/body/prompt"),
    ],
)
def test_an_invalid_start_is_refused_with_its_place(path: str, body: Any, pointer: str, fake: FakeCodegen) -> None:
    answer = create(path, **body)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == pointer
    assert fake.calls["create_agent_run"] == 0


def test_a_mode_can_have_the_name_of_another_path_segment() -> None:
    assert create("/create_agent_run/organizations/x").json["metadata"] == {"mode": "organizations"}


# --- continuing ---


def test_a_run_is_continued_with_the_query_in_the_path_and_keeps_its_first_prompt() -> None:
    run_id = create(prompt="Do it.").json["id"]

    answer = resume(f"/resume_agent_run/{run_id}/{quote('now a/b', safe='')}")

    assert answer.status == 200
    assert (answer.json["id"], answer.json["prompt"]) == (run_id, "Do it.")
    assert [(each["text"], each["follow_up"]) for each in get(run_id).json["prompts"]] == [
        ("Do it.", False),
        ("now a/b", True),
    ]


def test_a_follow_up_in_the_body_wins(codegen: CodegenAPI) -> None:
    run_id = create().json["id"]

    assert resume(f"/resume_agent_run/{run_id}/path", prompt="body").status == 200
    assert resume(f"{ORG}/{run_id}/resume", prompt="again").status == 200
    assert [each["text"] for each in get(run_id).json["prompts"]] == ["hello", "body", "again"]


def test_a_run_that_is_not_there_cannot_be_continued() -> None:
    assert resume("/resume_agent_run/999999/x").status == 404
    assert resume("/resume_agent_run/no-such-key/x").json["code"] == "run_not_found"
    assert resume("/resume_agent_run/12.5/x").status == 422


def test_a_run_that_waits_for_its_launch_cannot_be_continued(clock: TestClock) -> None:
    answer = resume(f"/resume_agent_run/{queue(clock)}/x")

    assert (answer.status, answer.json["code"]) == (409, "follow_up_held")


def test_the_card_of_a_continued_run_shows_its_star(clock: TestClock) -> None:
    run_id = create().json["id"]
    star(run_id)

    assert resume(f"/resume_agent_run/{run_id}/x").json["starred"] is True


def star(run_id: int) -> None:
    path = f"/v1/organizations/{DEMO_ORG_ID}/starred-runs"
    assert (
        call(handler("starred_runs/star"), rest("POST", path, body={"agent_run_id": run_id}, caller=ADA)).status == 200
    )


# --- reading ---


def test_the_card_of_a_run_that_was_followed_to_its_end_is_complete(followed: Follow) -> None:
    run_id = create(prompt="Fix the cart.", repo_id=DEMO_REPO_ID, model="claude-sonnet-4-5").json["id"]
    followed()
    card = get(run_id).json

    assert card.keys() >= KEYS
    assert (card["status"], card["prompt"], card["model"]) == ("completed", "Fix the cart.", "claude-sonnet-4-5")
    assert all(MOMENT.fullmatch(card[name]) for name in ("created_at", "updated_at", "last_log_at"))
    assert 8 <= card["duration_seconds"] <= 12
    assert card["result_preview"] == card["summary"]
    assert card["result"]
    assert (card["repo_name"], card["web_url"]) == ("shop", f"https://codegen.com/agent/trace/{run_id}")
    assert (card["health"], card["turn"], card["upstream_status"]) == ("ok", 1, "COMPLETE")
    assert [each["action"] for each in card["allowed_actions"] if each["enabled"]] == ["follow_up"]


def test_the_card_of_a_run_at_work_has_its_duration_and_actions(
    fake: FakeCodegen, make_poller: Any, clock: TestClock
) -> None:
    fake.script(Script(ending="NEVER", seconds=60))
    run_id = create().json["id"]
    clock.sleep(45)
    make_poller().tick(clock.now() + 1)
    card = get(run_id).json

    assert card["status"] == "running"
    assert 0 < card["duration_seconds"] <= 46
    assert [each["action"] for each in card["allowed_actions"] if each["enabled"]] == ["cancel", "pause", "follow_up"]


def test_the_card_of_a_run_started_elsewhere_has_prompt_and_times_from_its_log(
    codegen: CodegenAPI, fake: FakeCodegen
) -> None:
    run = codegen.runs.list(org_id=DEMO_ORG_ID).items[0]
    card = get(run.id).json

    assert card["prompt"] == fake.runs[run.id].turns[0].prompt
    assert MOMENT.fullmatch(card["updated_at"])
    assert card["duration_seconds"] > 0
    assert (card["prompts"], card["turn"], card["key"]) == ([], None, None)
    assert fake.calls["get_agent_run_logs"] == 2


def test_values_that_are_neither_recorded_nor_logged_are_null(codegen: CodegenAPI, fake: FakeCodegen) -> None:
    run = next(run for run in codegen.runs.list(org_id=DEMO_ORG_ID).items if not run.github_pull_requests)
    fake.trouble("get_agent_run_logs", Trouble("error", status=500), times=None)
    card = get(run.id).json

    unknown = ("prompt", "updated_at", "duration_seconds", "repo_name", "branch_name", "model")
    assert {name: card[name] for name in unknown} == dict.fromkeys(unknown)


def test_a_run_that_ended_since_the_last_poll_is_shown_as_ended(clock: TestClock) -> None:
    run_id = create().json["id"]
    clock.sleep(60)
    card = get(run_id).json

    assert (card["status"], card["health"], card["health_detail"]) == ("completed", "ok", "The run has ended.")


def test_a_pull_request_provides_repository_and_branch(codegen: CodegenAPI) -> None:
    run = next(run for run in codegen.runs.list(org_id=DEMO_ORG_ID).items if run.github_pull_requests)
    card = get(run.id).json

    assert (card["repo_name"], card["branch_name"]) == ("shop", f"codegen-bot/run-{run.id}")
    assert card["pull_requests"][0]["url"].startswith("https://github.com/")


def test_a_run_that_waits_for_its_launch_has_a_card_under_its_key(clock: TestClock) -> None:
    card = get(queue(clock)).json

    assert (card["id"], card["key"], card["status"], card["prompt"]) == (None, "mr-1-0", "queued", "Wait for it.")
    assert (card["repo_name"], card["metadata"], card["multi_run_id"]) == ("shop", {"tags": ["nightly"]}, "mr-1")
    assert [each["action"] for each in card["allowed_actions"] if each["enabled"]] == ["cancel", "pause"]


def test_a_run_is_read_at_each_of_its_paths() -> None:
    run_id = create().json["id"]
    paths = [f"/agent_runs/{run_id}", f"/api/runs/{run_id}", f"{ORG}/{run_id}"]
    cards = [call(handler("run_cards/get"), rest("GET", path, caller=ADA)).json for path in paths]

    assert cards[0] == cards[1] == cards[2]


def test_a_run_that_is_not_there_is_not_found() -> None:
    assert [get(999_999).status, get("no-such-key").status] == [404, 404]
    assert [logs(999_999).status, logs("no-such-key").status] == [404, 404]
    assert [cancel(999_999).status, cancel("no-such-key").status] == [404, 404]


def test_what_looks_like_a_secret_in_a_prompt_is_not_shown() -> None:
    run_id = create(prompt="Use ghp_0123456789abcdefghij0123 for it.").json["id"]
    card = get(run_id).json

    assert card["prompt"] == "Use [redacted] for it."
    assert card["prompts"][0]["text"] == "Use [redacted] for it."


def test_a_run_whose_record_cannot_be_read_is_started_and_returned(
    monkeypatch: pytest.MonkeyPatch, codegen: CodegenAPI
) -> None:
    monkeypatch.setenv("RUNS_TABLE", "a-table-that-is-not-there")
    answer = create()

    assert answer.status == 200
    assert [warning["code"] for warning in answer.json["warnings"]] == ["not_followed"]
    assert codegen.runs.get(answer.json["id"], org_id=DEMO_ORG_ID)


# --- the log ---


def test_a_page_of_the_log_has_tool_calls_and_progress(followed: Follow, fake: FakeCodegen) -> None:
    fake.script(Script(steps=6))
    run_id = create().json["id"]
    followed()
    whole = logs(run_id).json
    first, second = logs(run_id, "?limit=4").json, logs(run_id, "?skip=4&limit=100").json

    assert first["logs"] + second["logs"] == whole["logs"]
    assert [entry["position"] for entry in whole["logs"]] == list(range(whole["total_logs"]))
    assert (whole["tools_complete"], first["tools_complete"], first["has_more"]) == (True, False, True)
    assert sum(tool["calls"] for tool in whole["tools"]) == 7  # the prompt is one, too
    assert whole["progress"] == first["progress"] | {"elapsed_seconds": whole["progress"]["elapsed_seconds"]}
    assert whole["progress"]["latest"]["message_type"] == "FINAL_ANSWER"
    assert (whole["progress"]["status"], whole["progress"]["percent"]) == ("completed", 100)
    assert 8 <= whole["progress"]["elapsed_seconds"] <= 12


def test_the_percentage_of_a_run_at_work_is_null(fake: FakeCodegen, clock: TestClock) -> None:
    fake.script(Script(ending="NEVER", logs="late", seconds=60))
    run_id = create().json["id"]
    clock.sleep(30)
    progress = logs(run_id).json["progress"]

    assert (progress["status"], progress["percent"]) == ("running", None)
    assert progress["elapsed_seconds"] == pytest.approx(30, abs=1)


def test_errors_in_the_log_are_counted(fake: FakeCodegen, clock: TestClock) -> None:
    fake.script(Script(ending="FAILED", logs="very_late"))
    run_id = create().json["id"]
    clock.sleep(60)
    ended = logs(run_id).json

    assert (ended["errors"], ended["progress"]["status"]) == (1, "failed")


def test_a_run_that_waits_for_its_launch_has_an_empty_log(clock: TestClock) -> None:
    answer = logs(queue(clock)).json

    assert (answer["logs"], answer["total_logs"], answer["progress"]["status"]) == ([], 0, "queued")


@pytest.mark.parametrize("query", ["?skip=-1", "?limit=0", "?limit=1000", "?limit=many"])
def test_an_invalid_page_of_the_log_is_refused(query: str) -> None:
    assert logs(100_001, query).status == 422


# --- cancelling ---


def test_a_run_that_waits_is_cancelled_here(clock: TestClock, fake: FakeCodegen) -> None:
    answer = cancel(queue(clock))

    assert (answer.status, answer.json["status"], answer.json["means"]) == (200, "cancelled", "local")
    assert fake.calls["ban_all_checks_for_agent_run"] == 0


def test_a_run_at_work_is_stopped_only_with_consent(fake: FakeCodegen, runs: RunsTable) -> None:
    fake.script(Script(ending="NEVER"))
    run_id = create().json["id"]
    refused, vague = cancel(run_id), cancel(run_id, "?allow_pr_ban=yes")
    answer = cancel(run_id, "?allow_pr_ban=true&reason=Not+needed")

    assert (refused.status, refused.json["code"]) == (409, "cancel_needs_pr_ban")
    assert vague.status == 422
    assert (answer.status, answer.json["status"], answer.json["means"]) == (202, "cancelling", "pr_ban")
    watch = runs.find(DEMO_ORG_ID, run_id)
    assert watch is not None
    assert watch.cancel is not None
    assert watch.cancel.reason == "Not needed"


def test_a_run_that_has_ended_cannot_be_cancelled(codegen: CodegenAPI) -> None:
    run = codegen.runs.list(org_id=DEMO_ORG_ID).items[0]

    assert cancel(run.id).json["code"] == "run_ended"


def test_the_card_of_a_cancelled_run_has_status_cancelled(fake: FakeCodegen, followed: Follow) -> None:
    fake.script(Script(ending="NEVER"))
    run_id = create().json["id"]
    cancel(run_id, "?allow_pr_ban=true")
    before = get(run_id).json["status"]
    followed()

    assert before in (Status.CANCELLING, Status.CANCELLED)
    assert get(run_id).json["status"] == Status.CANCELLED
