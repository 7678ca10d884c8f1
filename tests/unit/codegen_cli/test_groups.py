"""Groups whose commands only a deployment has: what people see."""

import json
from typing import Any

import httpx

from codegen_api._audit_check import hash_of
from tests.unit.codegen_cli.conftest import Run


def frames(*events: tuple[str, str, str]) -> httpx.Response:
    text = "".join(
        f"{f'id: {id_}{chr(10)}' if id_ else ''}event: {name}\ndata: {data}\n\n" for id_, name, data in events
    )
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


STARTED = ("", "run_started", '{"run_id": 7, "session_id": "chat-1", "agent_id": "helper", "turn": 1, "links": {}}')
STEP = ("0-2", "run_log", '{"id": "0-2", "type": "run.log", "ts": null, "data": {"log": {"tool_name": "search"}}}')
CONTENT = ("0-3", "content_delta", '{"content": "**Hello** \\u001b[2J"}')
DONE = ("0-4", "run_completed", '{"status": "completed", "response": "**Hello** \\u001b[2J", "metrics": {}}')
END = ("", "stream_end", "{}")


def test_a_chat_shows_the_steps_and_prints_the_answer(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    answers += [frames(STARTED, STEP, CONTENT, DONE, END)]

    done = at_deployment("chat", "helper", "Hi", "--session", "chat-1")

    assert done.exit_code == 0, done.output
    assert done.stdout == "**Hello** \x1b[2J\n", "a program gets the answer unchanged"
    assert "search" in done.stderr
    assert "Continue with: codegen-runs chat helper --session chat-1" in done.stderr
    assert sent[-1][2] == {"agent_id": "helper", "message": "Hi", "session_id": "chat-1", "stream": True}


def test_a_turn_that_fails_has_an_exit_code(at_deployment: Run, answers: list[Any]) -> None:
    failed = ("0-4", "run_failed", '{"status": "failed", "response": null, "status_reason": "Out of credits"}')
    answers += [frames(STARTED, failed, END)]

    done = at_deployment("chat", "helper", "Hi")

    assert done.exit_code == 1
    assert "The agent's turn ended as failed: Out of credits" in done.stderr


def test_a_refused_message_says_what_to_do(at_deployment: Run, answers: list[Any]) -> None:
    problem = {"code": "agent_not_found", "message": "There is no agent helper.", "remedy": "GET /v1/..."}
    answers += [httpx.Response(404, json=problem)]

    done = at_deployment("chat", "helper", "Hi")

    assert done.exit_code == 1
    assert done.stderr.endswith("Error: There is no agent helper. List the agents with: codegen-runs agent list\n")


def test_a_chat_without_a_message_needs_a_terminal(at_deployment: Run, answers: list[Any]) -> None:
    answers.clear()

    assert at_deployment("chat", "helper").exit_code == 2


def test_your_conversations_are_a_table(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    session = {"session_id": "chat-1", "agent_id": "helper", "title": "Why?\x1b[2J", "status": "completed"}
    times = {"created_at": "2026-11-27T12:00:00Z", "updated_at": "2026-11-27T12:05:00Z"}
    answers += [{"items": [session | times], "next_cursor": None, "has_more": False}]

    lines = at_deployment("chat", "list").stdout.splitlines()

    assert lines[1].split("\t") == ["chat-1", "helper", "completed", "2026-11-27 12:05:00", "Why?\\x1b[2J"]
    assert sent[-1][:2] == ("GET", "/v1/organizations/123/chat/sessions")


def test_without_a_conversation_the_list_says_so(at_deployment: Run, answers: list[Any]) -> None:
    answers += [{"items": [], "next_cursor": None, "has_more": False}]

    done = at_deployment("chat", "list")

    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "You have no conversations.\n")


def test_the_limits_are_a_table_and_the_queue_another(at_deployment: Run, answers: list[Any]) -> None:
    limit = {"name": "create", "calls": 10, "window_seconds": 60, "remaining": 0, "opens_at": "2026-11-27T12:00:00Z"}
    queued = {"position": 0, "run": "w-1", "multi_run_id": "mr-1", "expected_at": "2026-11-27T12:00:30Z"}
    answers += [{"caller": [limit], "background": [], "queue": {"length": 1, "runs": [queued]}}]

    lines = at_deployment("limits").stdout.splitlines()

    assert lines[1].split("\t") == ["create", "your token", "10 in 60 s", "0", "2026-11-27 12:00:00"]
    assert "Launch queue: 1 runs of the organization" in lines
    assert lines[-1].split("\t") == ["1", "w-1", "mr-1", "2026-11-27 12:00:30"]


def test_the_lineage_of_a_checkpoint_is_a_table(at_deployment: Run, answers: list[Any]) -> None:
    entry = {"action": "fork", "checkpoint_id": "7.0-3", "child": "8", "created_at": "2026-11-27T12:00:00Z"}
    lineage = {"checkpoint_id": "7.0-3", "run": "7", "earlier": [], "ancestors": [], "descendants": [entry]}
    answers += [lineage]

    lines = at_deployment("checkpoint", "lineage", "7.0-3").stdout.splitlines()

    assert lines[1].split("\t") == ["led to", "fork", "7.0-3", "8", "2026-11-27 12:00:00"]


def test_the_secret_of_a_token_is_on_standard_output_alone(at_deployment: Run, answers: list[Any]) -> None:
    answers += [{"id": "tok-1", "name": "CI", "token": "cgr_not-a-real-one"}]

    made = at_deployment("token", "create", "CI", "--role", "viewer")

    assert made.stdout == "cgr_not-a-real-one\n"
    assert "only time that its secret is shown" in made.stderr


def test_a_webhook_test_without_a_webhook_says_so(at_deployment: Run, answers: list[Any]) -> None:
    answers[:] = [{"url": "", "enabled": False, "has_secret": False}]

    done = at_deployment("webhook", "test")

    assert done.exit_code == 2
    assert "The organization has no webhook" in done.stderr


def test_the_doorbell_names_the_webhook_that_it_replaced_and_not_its_secret(
    at_deployment: Run, answers: list[Any], sent: list[Any]
) -> None:
    replaced = {"url": "https://hooks.example/", "enabled": False, "has_secret": True}
    answers += [{"organization_id": 123, "state": "on", "replaced": replaced}]

    done = at_deployment("doorbell", "on", "--forward", "--with-secret", input="not-secret\n")

    assert "https://hooks.example/ (disabled, with a secret)" in done.stdout
    assert "not-secret" not in done.output
    assert sent[-1] == ("PUT", "/v1/organizations/123/doorbell", {"forward": True, "secret": "not-secret"})


def test_a_webhook_that_is_not_replaced_unasked_is_explained_with_the_option_that_replaces_it(
    at_deployment: Run, answers: list[Any]
) -> None:
    problem = {
        "status": 409,
        "code": "webhook_exists",
        "detail": "The organization has a webhook.",
        "remedy": "Send it.",
    }
    answers += [httpx.Response(409, json=problem)]

    done = at_deployment("doorbell", "on")

    assert done.exit_code == 1
    assert "--forward" in done.stderr


def test_any_operation_can_be_called(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    answers[:] = [{"name": "\x1b[2J"}]

    done = at_deployment("api", "/v1/organizations/{org_id}/tools?limit=5", "--body", '{"a": 1}', "-X", "PATCH")

    assert done.stdout == '{\n  "name": "\\u001b[2J"\n}\n'
    assert sent == [("PATCH", "/v1/organizations/123/tools", {"a": 1})]


def test_a_body_that_is_no_json_is_a_usage_error(at_deployment: Run, answers: list[Any]) -> None:
    answers.clear()

    assert at_deployment("api", "/v1/users/me", "--body", "{").exit_code == 2


ENTRIES: list[dict[str, Any]] = [
    {
        "sequence": 1,
        "id": "ae-1",
        "at": "2026-11-27T10:00:00.000Z",
        "act": "run.cancel",
        "target": "7",
        "details": {"allow_pr_ban": True},
        "actor": "user:42",
        "outcome": "attempted",
        "previous": "0" * 64,
        "hash": "f8154acc81ef8d4a6f3a1cba29ff10ff51dd69ac5c25b4f0c3f6e5a0c6f3b9a2",
    }
]


def test_audit_entries_are_a_table(at_deployment: Run, answers: list[Any]) -> None:
    answers += [{"items": ENTRIES, "has_more": False}]

    done = at_deployment("audit", "list", "--act", "run.cancel")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split("\t")[2:] == [
        "user:42",
        "run.cancel",
        "7",
        "attempted",
        '{"allow_pr_ban": true}',
    ]


def test_an_intact_audit_trail_has_a_head_to_keep(at_deployment: Run, answers: list[Any]) -> None:
    entry = {name: value for name, value in ENTRIES[0].items() if name != "hash"}
    entry["hash"] = hash_of(entry)
    answers += [{"items": [entry], "has_more": False}]

    done = at_deployment("audit", "verify")

    assert done.exit_code == 0, done.output
    assert f"Head:                        1:{entry['hash']}" in done.stdout
    assert "Attempts without an outcome: 1" in done.stdout


def test_a_broken_audit_trail_has_an_exit_code(at_deployment: Run, answers: list[Any]) -> None:
    answers += [{"items": ENTRIES, "has_more": False}]

    done = at_deployment("audit", "verify", "--json", "intact,broken_at")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"intact": False, "broken_at": 1}
    assert "The chain is broken at entry 1. Its content has another hash: it was changed." in done.stderr


def test_a_role_can_be_given_in_part(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    answers.append({"id": 7, "name": "Ada", "role": "member"})

    at_deployment("member", "set-role", "7", "member", "--permission", "read")

    assert sent[-1][2] == {"role": "member", "permissions": ["read"]}
