"""Each operation that only calls the upstream: its paths, the request to the upstream, and the answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest

from codegen_runs.backend import Backend
from codegen_runs.storage.budgets import BudgetsTable
from codegen_runs.storage.runs import RunsTable
from tests.support.backend import template
from tests.support.events import CALLER, TOKEN, call, rest, working_with
from tests.support.handlers import FUNCTIONS, handler
from tests.support.memory import MemoryBudgets, MemoryRuns
from tests.support.wire import Wire

ORG = "/v1/organizations/123"
PAGE = {"total": 1, "page": 1, "size": 100, "pages": 1}
USER = {
    "id": 42,
    "github_user_id": "42",
    "github_username": "ada",
    "email": None,
    "is_admin": True,
    "new": {"a": [1.5]},
}
RUN = {
    "id": 7,
    "organization_id": 123,
    "status": "SOMETHING_NEW",
    "created_at": "2025-06-21 11:20:04.338398",
    "result": None,
    "source_type": "A_NEW_SOURCE",
    "github_pull_requests": [{"id": 1, "created_at": "2024-01-15T10:30:00Z", "head_branch_name": None, "merged": True}],
    "metadata": {"deep": {"er": [None, "\u00fc", 1e30]}},
    "extra": "kept",
}
STOP = {"agent_run_id": 7, "before_card_order_id": "a", "after_card_order_id": "b"}
CARDS = {"before_card_order_id": "a", "after_card_order_id": "b"}


HOOK = {"url": "https://hook.test", "secret": "hush", "enabled": False}
CHECKS = {
    "check_retry_count": 3,
    "ignored_checks": ["lint"],
    "check_retry_counts": {"build": 1},
    "custom_prompts": {"build": "Be quick"},
    "high_priority_apps": [],
    "available_check_suite_names": ["build"],
}
PROVIDER = {
    "id": 1,
    "name": "linear",
    "issuer": "https://provider.test",
    "authorization_endpoint": "https://provider.test/authorize",
    "token_endpoint": "https://provider.test/token",
    "default_scopes": None,
    "is_mcp": True,
    "new": 1,
}


@dataclass
class Operation:
    """One operation: the request, the request to the upstream, and the upstream's answer."""

    handler: str
    paths: dict[str, Any]
    """Path to body."""
    asked: tuple[str, str, dict[str, str], Any]
    reply: Any
    method: str = "GET"
    query: str = ""


OPERATIONS = [
    Operation(
        "users/list",
        {f"{ORG}/users": None, "/organizations/123/users": None},
        ("GET", f"{ORG}/users", {"skip": "20", "limit": "10"}, None),
        PAGE | {"items": [USER]},
        query="skip=20&limit=10",
    ),
    Operation(
        "users/get",
        {f"{ORG}/users/42": None, "/organizations/123/users/42": None},
        ("GET", f"{ORG}/users/42", {}, None),
        USER,
    ),
    Operation(
        "users/me",
        {"/v1/users/me": None, "/users/me": None, "/v1/current-user": None, "/current-user": None},
        ("GET", "/v1/users/me", {}, None),
        USER,
    ),
    Operation(
        "organizations/list",
        {"/v1/organizations": None, "/organizations": None},
        ("GET", "/v1/organizations", {"skip": "0", "limit": "100"}, None),
        PAGE | {"items": [{"id": 123, "name": "Example", "settings": {"enable_pr_creation": False, "new": 1}}]},
    ),
    Operation(
        "repos/list",
        {f"{ORG}/repos": None, "/organizations/123/repos": None},
        ("GET", f"{ORG}/repos", {"skip": "0", "limit": "1"}, None),
        PAGE
        | {
            "items": [
                {
                    "id": 456,
                    "name": "shop",
                    "full_name": "example/shop",
                    "description": None,
                    "github_id": "456000",
                    "organization_id": 123,
                    "visibility": None,
                    "archived": None,
                    "setup_status": "NEW",
                    "language": None,
                }
            ]
        },
        query="limit=1",
    ),
    Operation(
        "agent_runs/get",
        {f"{ORG}/agent/run/7": None, "/organizations/123/agent/run/7": None},
        ("GET", f"{ORG}/agent/run/7", {}, None),
        RUN,
    ),
    Operation(
        "agent_runs/list",
        {f"{ORG}/agent/runs": None, "/organizations/123/agent/runs": None},
        (
            "GET",
            f"{ORG}/agent/runs",
            {"user_id": "3", "source_type": "CLICKUP", "page": "2", "skip": "0", "limit": "100"},
            None,
        ),
        PAGE | {"items": [RUN], "new": True},
        query="user_id=3&source_type=CLICKUP&page=2",
    ),
    Operation(
        "agent_runs/logs",
        {
            "/v1/alpha/organizations/123/agent/run/7/logs": None,
            f"{ORG}/agent/run/7/logs": None,
            "/organizations/123/agent/run/7/logs": None,
        },
        (
            "GET",
            "/v1/alpha/organizations/123/agent/run/7/logs",
            {"skip": "0", "limit": "2", "reverse": "true"},
            None,
        ),
        {
            "id": 7,
            "organization_id": 123,
            "logs": [
                {"agent_run_id": 7, "message_type": "ODD", "observation": "text", "tool_output": "text", "n": None}
            ],
            "total_logs": None,
        },
        query="limit=2&reverse=true",
    ),
    Operation(
        "integrations/list",
        {f"{ORG}/integrations": None, "/organizations/123/integrations": None},
        ("GET", f"{ORG}/integrations", {}, None),
        {
            "organization_id": 123,
            "organization_name": "Example",
            "integrations": [{"integration_type": "slack_app", "active": True, "token_id": "61", "installation_id": 5}],
            "total_active_integrations": 1,
        },
    ),
    Operation(
        "models/list",
        {f"{ORG}/models": None, "/organizations/123/models": None},
        ("GET", f"{ORG}/models", {}, None),
        {"providers": [{"name": "A", "models": [{"label": "B", "value": "b", "beta": True}]}], "default_model": "b"},
    ),
    *(
        Operation(
            f"agent_runs/{name}",
            {
                f"{ORG}/agent/run/{path}": STOP,
                f"{ORG}/agent/run/7/{alias}": CARDS,
                f"/organizations/123/agent/run/7/{alias}": CARDS,
            },
            ("POST", f"{ORG}/agent/run/{path}", {}, STOP),
            reply,
            method="POST",
        )
        for name, path, alias, reply in [
            ("ban", "ban", "ban-all-checks", {"message": "Done.", "status_code": 200}),
            ("unban", "unban", "unban-all-checks", None),
            ("remove_from_pr", "remove-from-pr", "remove-codegen-from-pr", [{"odd": True}]),
        ]
    ),
    Operation(
        "webhooks/get",
        {f"{ORG}/webhooks/agent-run": None},
        ("GET", f"{ORG}/webhooks/agent-run", {}, None),
        {"url": None, "enabled": False, "has_secret": False, "events": ["ended"]},
    ),
    Operation(
        "webhooks/set",
        {f"{ORG}/webhooks/agent-run": HOOK},
        ("POST", f"{ORG}/webhooks/agent-run", {}, HOOK),
        {"success": True},
        method="POST",
    ),
    Operation(
        "webhooks/delete",
        {f"{ORG}/webhooks/agent-run": None},
        ("DELETE", f"{ORG}/webhooks/agent-run", {}, None),
        None,
        method="DELETE",
    ),
    Operation(
        "webhooks/test",
        {f"{ORG}/webhooks/agent-run/test": {"url": "https://hook.test"}},
        ("POST", f"{ORG}/webhooks/agent-run/test", {}, {"url": "https://hook.test"}),
        ["odd"],
        method="POST",
    ),
    Operation(
        "cli_rules/get",
        {f"{ORG}/cli/rules": None},
        ("GET", f"{ORG}/cli/rules", {}, None),
        {"organization_rules": None, "user_custom_prompt": "Be brief.", "new": 1},
    ),
    Operation(
        "check_suite_settings/get",
        {f"{ORG}/repos/check-suite-settings": None},
        ("GET", f"{ORG}/repos/check-suite-settings", {"repo_id": "456"}, None),
        CHECKS | {"new": None},
        query="repo_id=456",
    ),
    Operation(
        "check_suite_settings/update",
        {f"{ORG}/repos/check-suite-settings": {"check_retry_count": 0, "custom_prompts": {"build": "Be quick"}}},
        (
            "PUT",
            f"{ORG}/repos/check-suite-settings",
            {"repo_id": "456"},
            {"check_retry_count": 0, "custom_prompts": {"build": "Be quick"}},
        ),
        CHECKS,
        method="PUT",
        query="repo_id=456",
    ),
    *(
        Operation(
            "pull_requests/edit",
            {f"{ORG}{path}": {"state": "ready_for_review"}},
            ("PATCH", f"{ORG}{path}", {}, {"state": "ready_for_review"}),
            {"success": False, "error": "No.", "new": 1},
            method="PATCH",
        )
        for path in ("/prs/5", "/repos/456/prs/5")
    ),
    Operation("mcp_providers/list", {"/v1/mcp-providers": None}, ("GET", "/v1/mcp-providers", {}, None), [PROVIDER]),
    Operation(
        "oauth_tokens/status",
        {"/v1/oauth/tokens/status": None},
        ("GET", "/v1/oauth/tokens/status", {"org_id": "123"}, None),
        ["linear"],
        query="org_id=123",
    ),
    Operation(
        "oauth_tokens/revoke",
        {"/v1/oauth/tokens/revoke": None},
        ("POST", "/v1/oauth/tokens/revoke", {"org_id": "123", "provider": "linear & co"}, None),
        {"success": True},
        method="POST",
        query="org_id=123&provider=linear%20%26%20co",
    ),
    Operation(
        "slack_connect/generate_token",
        {"/v1/slack-connect/generate-token": {"org_id": 123}},
        ("POST", "/v1/slack-connect/generate-token", {}, {"org_id": 123}),
        {"token": "hush", "message": "Connect my account: hush", "expires_in_minutes": 10},
        method="POST",
    ),
]
REQUESTS = [(operation, path, body) for operation in OPERATIONS for path, body in operation.paths.items()]


@pytest.fixture(autouse=True)
def runs() -> Iterator[MemoryRuns]:
    """The token buckets, for the operations that use a limit of the Codegen API."""
    runs = MemoryRuns()
    with working_with(Backend(runs=cast(RunsTable, runs), budgets=cast(BudgetsTable, MemoryBudgets()))):
        yield runs


@pytest.mark.parametrize(
    ("operation", "path", "body"), REQUESTS, ids=[f"{operation.method} {path}" for operation, path, _ in REQUESTS]
)
def test_an_operation_and_its_answer_are_passed_on_unchanged(
    operation: Operation, path: str, body: Any, wire: Wire
) -> None:
    wire.answer(httpx.Response(200, json=operation.reply))

    answer = call(handler(operation.handler), rest(operation.method, f"{path}?{operation.query}", body=body))

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == operation.reply
    assert wire.asked == operation.asked
    assert wire.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_every_path_of_these_operations_in_the_template_is_tested() -> None:
    api = template().api
    assert api is not None
    tried = {(operation.handler, path) for operation, path, _ in REQUESTS}
    known = {"org_id": "123", "agent_run_id": "7", "user_id": "42", "repo_id": "456", "pr_id": "5"}
    modules = {operation.handler for operation in OPERATIONS}
    given = {
        (f"{route.function.code_dir.relative_to(FUNCTIONS)}/{route.function.handler.split('.')[0]}", route.path)
        for route in api.routes
    }

    assert {(module, path.format_map(known)) for module, path in given if module in modules} == tried


@pytest.mark.parametrize("name", ["ban", "unban", "remove_from_pr"])
def test_an_id_in_the_path_needs_no_body(name: str, wire: Wire) -> None:
    alias = {"ban": "ban-all-checks", "unban": "unban-all-checks", "remove_from_pr": "remove-codegen-from-pr"}[name]
    wire.answer(httpx.Response(200, json={}))

    answer = call(handler(f"agent_runs/{name}"), rest("POST", f"{ORG}/agent/run/7/{alias}"))

    assert (answer.status, answer.json) == (200, {})
    assert wire.asked[3] == {"agent_run_id": 7}


@pytest.mark.parametrize("name", ["ban", "unban", "remove-from-pr"])
def test_after_a_429_the_next_request_to_stop_agents_is_not_sent(name: str, wire: Wire, runs: MemoryRuns) -> None:
    wire.answer(httpx.Response(429, json={"message": "Slow down.", "status_code": 429}, headers={"Retry-After": "30"}))
    event = rest("POST", f"{ORG}/agent/run/{name}", body=STOP)

    first, second = (call(handler(f"agent_runs/{name.replace('-', '_')}"), event) for _ in range(2))

    assert (first.status, first.json["code"], first.headers["retry-after"]) == (429, "rate_limited", "30")
    assert (second.status, second.json["code"]) == (429, "limit_used_up")
    assert 20 <= int(second.headers["retry-after"]) <= 31
    assert len({request.url.path for request in wire.requests}) == 1
    (bucket,) = runs.buckets.values()
    assert len(bucket.given) == 1


def test_a_field_without_effect_has_a_warning(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={"message": "Done."}))
    body = {"reason": "flaky", "a/b": 1, "agent_run_id": 8}

    answer = call(handler("agent_runs/ban"), rest("POST", f"{ORG}/agent/run/7/ban-all-checks", body=body))

    assert answer.json == {
        "message": "Done.",
        "warnings": [
            {
                "code": "ignored_parameter",
                "pointer": pointer,
                "detail": f"{name} was ignored, because there is no such parameter.",
            }
            for name, pointer in [("reason", "/reason"), ("a/b", "/a~1b"), ("agent_run_id", "/agent_run_id")]
        ],
    }
    assert wire.asked[3] == {"agent_run_id": 7}


def test_an_answer_that_cannot_have_warnings_has_none(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=None))

    answer = call(handler("agent_runs/unban"), rest("POST", f"{ORG}/agent/run/unban", body=STOP | {"why": 1}))

    assert (answer.status, answer.text) == (200, "null")


def test_a_caller_in_no_organization_can_read_their_own_user(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=USER))
    nobody = type(CALLER)(id="user:1", user_id=1, organizations=frozenset(), token=TOKEN)

    assert call(handler("users/me"), rest("GET", "/v1/users/me", caller=nobody)).status == 200


@pytest.mark.full
@pytest.mark.parametrize(
    ("route", "path"),
    [
        ("agent_runs/list", f"{ORG}/agent/runs"),
        ("agent_runs/get", f"{ORG}/agent/run/7"),
        ("agent_runs/logs", f"{ORG}/agent/run/7/logs"),
        ("users/list", f"{ORG}/users"),
        ("users/get", f"{ORG}/users/42"),
        ("users/me", "/v1/users/me"),
        ("organizations/list", "/v1/organizations"),
        ("repos/list", f"{ORG}/repos"),
        ("integrations/list", f"{ORG}/integrations"),
        ("models/list", f"{ORG}/models"),
    ],
)
def test_a_query_parameter_that_only_codegen_knows_reaches_it(route: str, path: str, wire: Wire) -> None:
    wire.answer(httpx.Response(500, json={}))

    call(handler(route), rest("GET", f"{path}?tomorrow=a&tomorrow=b&new=%C3%BC"))

    assert wire.requests[0].url.params.get_list("tomorrow") == ["a", "b"]
    assert wire.requests[0].url.params["new"] == "\u00fc"


@pytest.mark.parametrize(
    ("route", "path", "body"),
    [
        ("agent_runs/create", "agent/run", {"prompt": "x"}),
        ("agent_runs/resume", "agent/run/resume", {"agent_run_id": 7, "prompt": "x"}),
        ("agent_runs/ban", "agent/run/ban", {"agent_run_id": 7}),
        ("agent_runs/unban", "agent/run/unban", {"agent_run_id": 7}),
        ("agent_runs/remove_from_pr", "agent/run/remove-from-pr", {"agent_run_id": 7}),
        ("setup_commands/generate", "setup-commands/generate", {"repo_id": 1}),
    ],
)
def test_a_field_that_only_codegen_knows_reaches_it(route: str, path: str, body: dict[str, Any], wire: Wire) -> None:
    wire.answer(httpx.Response(404, json={}))

    call(handler(route), rest("POST", f"{ORG}/{path}", body=body | {"tomorrow": {"a": [None]}, "new": None}))

    sent = wire.asked[3]
    assert {**sent, **body, "tomorrow": {"a": [None]}, "new": None} == sent


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_a_number_that_json_does_not_have_is_not_passed_on(number: str, wire: Wire) -> None:
    answer = call(
        handler("agent_runs/ban"), rest("POST", f"{ORG}/agent/run/ban", body=f'{{"agent_run_id": 7, "new": {number}}}')
    )

    assert answer.status in (400, 422)
    assert wire.requests == []


@pytest.mark.parametrize(
    ("route", "path", "answer"),
    [
        ("mcp_providers/list", "/v1/mcp-providers", [None, PROVIDER]),
        ("models/list", f"{ORG}/models", {"providers": [3, {"name": "p", "models": [None]}], "default_model": "m"}),
        ("users/list", f"{ORG}/users", PAGE | {"items": [USER, 3]}),
        ("agent_runs/list", f"{ORG}/agent/runs", PAGE | {"items": [{"id": "x"}, RUN, []]}),
        ("agent_runs/get", f"{ORG}/agent/run/7", RUN | {"status": 5, "github_pull_requests": [None]}),
    ],
)
def test_odd_items_are_passed_on_with_a_mark(route: str, path: str, answer: Any, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=answer))

    passed_on = call(handler(route), rest("GET", path))

    assert passed_on.status == 200
    assert '"unreadable"' in passed_on.text
    if isinstance(answer, dict) and "items" in answer:
        items = [item.get("raw", item) for item in passed_on.json["items"]]
        without_marks = [
            {name: value for name, value in item.items() if name != "unreadable"} if isinstance(item, dict) else item
            for item in items
        ]
        assert without_marks == answer["items"]
