"""Operations on Codegen's own settings: who may use them, what they pass on, and where their secrets are."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.roles import Role
from codegen_runs.storage.runs import RunsTable
from tests.support.events import CALLER, TOKEN, call, rest, working_with
from tests.support.handlers import handler
from tests.support.memory import MemoryRuns
from tests.support.wire import Wire

ORG = "/v1/organizations/123"
HOOK = {"url": "https://hook.test", "secret": "hush"}
CHECKS = {
    "check_retry_count": 3,
    "ignored_checks": [],
    "check_retry_counts": {},
    "custom_prompts": {},
    "high_priority_apps": [],
    "available_check_suite_names": [],
}
DEPLOYMENT_CALLER = replace(CALLER, kind=DEPLOYMENT, token="", token_id="tok-1", roles={123: Role.ADMIN})

# Handler, method, path, body, an answer of the Codegen API, and the lowest role of a caller who has one here.
OPERATIONS: list[tuple[str, str, str, Any, Any, Role]] = [
    (
        *("webhooks/get", "GET", f"{ORG}/webhooks/agent-run", None),
        *({"url": None, "enabled": True, "has_secret": True}, Role.MEMBER),
    ),
    ("webhooks/set", "POST", f"{ORG}/webhooks/agent-run", HOOK, {}, Role.ADMIN),
    ("webhooks/delete", "DELETE", f"{ORG}/webhooks/agent-run", None, {}, Role.ADMIN),
    ("webhooks/test", "POST", f"{ORG}/webhooks/agent-run/test", {"url": "https://hook.test"}, {}, Role.ADMIN),
    ("cli_rules/get", "GET", f"{ORG}/cli/rules", None, {"user_custom_prompt": "Be brief."}, Role.VIEWER),
    ("check_suite_settings/get", "GET", f"{ORG}/repos/check-suite-settings?repo_id=4", None, CHECKS, Role.VIEWER),
    ("check_suite_settings/update", "PUT", f"{ORG}/repos/check-suite-settings?repo_id=4", {}, {}, Role.ADMIN),
    ("pull_requests/edit", "PATCH", f"{ORG}/prs/5", {"state": "closed"}, {"success": True}, Role.MEMBER),
    ("pull_requests/edit", "PATCH", f"{ORG}/repos/4/prs/5", {"state": "closed"}, {"success": True}, Role.MEMBER),
    ("oauth_tokens/status", "GET", "/v1/oauth/tokens/status?org_id=123", None, [], Role.VIEWER),
    ("oauth_tokens/revoke", "POST", "/v1/oauth/tokens/revoke?org_id=123&provider=linear", None, {}, Role.VIEWER),
    (
        *("slack_connect/generate_token", "POST", "/v1/slack-connect/generate-token", {"org_id": 123}),
        *({"token": "hush", "message": "hush", "expires_in_minutes": 10}, Role.MEMBER),
    ),
]
NAMES = [f"{method} {path}" for _, method, path, *_ in OPERATIONS]
OF_ONESELF = {"oauth_tokens/status", "oauth_tokens/revoke", "slack_connect/generate_token"}
OF_ORGANIZATIONS = [operation for operation in OPERATIONS if operation[0] not in OF_ONESELF]


@pytest.fixture(autouse=True)
def runs() -> Iterator[MemoryRuns]:
    runs = MemoryRuns()
    with working_with(Backend(runs=cast(RunsTable, runs))):
        yield runs


def with_role(role: Role) -> Caller:
    return replace(CALLER, roles={123: role})


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
@pytest.mark.parametrize("role", Role)
def test_an_operation_requires_its_role_of_callers_who_have_one_here(
    operation: tuple[Any, ...], role: Role, wire: Wire
) -> None:
    name, method, path, body, reply, lowest = operation
    wire.answer(httpx.Response(200, json=reply))

    answer = call(handler(name), rest(method, path, body=body, caller=with_role(role)))

    if role.includes(lowest):
        assert (answer.status, len(wire.requests)) == (200, 1)
    else:
        assert (answer.status, answer.json["code"], wire.requests) == (403, "role_required", [])


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_codegen_decides_about_the_other_callers_with_a_codegen_token(operation: tuple[Any, ...], wire: Wire) -> None:
    name, method, path, body, *_ = operation
    wire.answer(httpx.Response(403, json={"message": "Admins only.", "status_code": 403}))

    answer = call(handler(name), rest(method, path, body=body))

    assert (answer.status, answer.json["message"]) == (403, "Admins only.")
    assert [request.headers["authorization"] for request in wire.requests] == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("operation", OF_ORGANIZATIONS, ids=[f"{each[1]} {each[2]}" for each in OF_ORGANIZATIONS])
@pytest.mark.parametrize("role", Role)
def test_the_role_decides_about_callers_with_an_api_token_of_the_deployment(
    operation: tuple[Any, ...], role: Role, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, method, path, body, reply, lowest = operation
    # The token stands in a secret, which no part of a Backend reads.
    monkeypatch.setattr(upstream.deployment_token, "token", "the-deployments-token")
    monkeypatch.setattr(upstream.deployment_token, "good_until", float("inf"))
    wire.answer(httpx.Response(200, json=reply))
    caller = replace(DEPLOYMENT_CALLER, roles={123: role})

    answer = call(handler(name), rest(method, path, body=body, caller=caller))

    if role.includes(lowest):
        assert answer.status == 200
        assert wire.requests[0].headers["authorization"] == "Bearer the-deployments-token"
    else:
        assert (answer.status, answer.json["code"], wire.requests) == (403, "role_required", [])


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each[0] in OF_ONESELF], ids=lambda each: each[0])
def test_an_operation_on_ones_own_account_needs_a_codegen_token(operation: tuple[Any, ...], wire: Wire) -> None:
    """Otherwise it would use, revoke or hand out the account of the deployment's own user."""
    name, method, path, body, *_ = operation

    answer = call(handler(name), rest(method, path, body=body, caller=DEPLOYMENT_CALLER))

    assert (answer.status, answer.json["code"], wire.requests) == (403, "codegen_token_required", [])


def test_the_prompt_of_the_deployments_own_user_is_not_shown(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream.deployment_token, "token", "the-deployments-token")
    monkeypatch.setattr(upstream.deployment_token, "good_until", float("inf"))
    wire.answer(httpx.Response(200, json={"organization_rules": "Test all.", "user_custom_prompt": "private"}))

    answer = call(handler("cli_rules/get"), rest("GET", f"{ORG}/cli/rules", caller=DEPLOYMENT_CALLER))

    assert answer.json == {"organization_rules": "Test all.", "user_custom_prompt": None}


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("oauth_tokens/status", "GET", "/v1/oauth/tokens/status?org_id=999", None),
        ("oauth_tokens/revoke", "POST", "/v1/oauth/tokens/revoke?org_id=999&provider=linear", None),
        ("slack_connect/generate_token", "POST", "/v1/slack-connect/generate-token", {"org_id": 999}),
        ("webhooks/set", "POST", "/v1/organizations/999/webhooks/agent-run", HOOK),
        ("pull_requests/edit", "PATCH", "/v1/organizations/999/prs/5", {"state": "open"}),
    ],
)
def test_another_organization_is_refused(name: str, method: str, path: str, body: Any, wire: Wire) -> None:
    answer = call(handler(name), rest(method, path, body=body))

    assert (answer.status, answer.json["code"], wire.requests) == (403, "not_a_member", [])


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_unknown_parameters_and_fields_are_passed_on_in_both_directions(operation: tuple[Any, ...], wire: Wire) -> None:
    name, method, path, body, reply, _ = operation
    unknown = {"effort": {"level": [1, None, "\u00fc"]}, "later": None}
    reply = reply | unknown if isinstance(reply, dict) else [*reply, unknown]
    wire.answer(httpx.Response(200, json=reply))
    path = f"{path}{'&' if '?' in path else '?'}dry_run=1&dry_run=2&empty="
    event = rest(method, path, body=body if body is None else body | unknown)

    answer = call(handler(name), event)

    assert (answer.status, answer.json) == (200, reply)
    request = wire.requests[-1]
    assert request.url.params.get_list("dry_run") == ["1", "2"]
    assert request.url.params.get_list("empty") == [""]
    if body is None:
        assert request.content == b""
    else:
        sent = json.loads(request.content)
        assert sent == sent | body | unknown


def test_a_value_that_the_operation_has_read_precedes_the_text_of_the_request(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))

    call(handler("webhooks/set"), rest("POST", f"{ORG}/webhooks/agent-run", body=HOOK | {"enabled": "no"}))

    assert wire.asked[3] == HOOK | {"enabled": False}


def test_a_number_that_json_does_not_have_is_refused(wire: Wire) -> None:
    event = rest("POST", f"{ORG}/webhooks/agent-run", body='{"url": "https://hook.test", "later": [1e999]}')

    answer = call(handler("webhooks/set"), event)

    assert (answer.status, answer.json["errors"][0]["pointer"], wire.requests) == (422, "/body/later", [])


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "pointer"),
    [
        ("webhooks/set", "POST", f"{ORG}/webhooks/agent-run", {"url": ""}, "/body/url"),
        ("webhooks/set", "POST", f"{ORG}/webhooks/agent-run", {"secret": "hush"}, "/body/url"),
        ("webhooks/test", "POST", f"{ORG}/webhooks/agent-run/test", {"url": "x" * 2084}, "/body/url"),
        ("pull_requests/edit", "PATCH", f"{ORG}/prs/5", {"state": "merged"}, "/body/state"),
        ("pull_requests/edit", "PATCH", f"{ORG}/prs/five", {"state": "open"}, "/path/pr_id"),
        ("check_suite_settings/get", "GET", f"{ORG}/repos/check-suite-settings", None, "/query/repo_id"),
        (
            *("check_suite_settings/update", "PUT", f"{ORG}/repos/check-suite-settings?repo_id=4"),
            *({"check_retry_count": 11}, "/body/check_retry_count"),
        ),
        ("oauth_tokens/revoke", "POST", "/v1/oauth/tokens/revoke?org_id=123", None, "/query/provider"),
        ("oauth_tokens/status", "GET", "/v1/oauth/tokens/status", None, "/query/org_id"),
        ("slack_connect/generate_token", "POST", "/v1/slack-connect/generate-token", {}, "/body/org_id"),
    ],
)
def test_an_invalid_request_is_refused_before_anything_is_sent(
    name: str, method: str, path: str, body: Any, pointer: str, wire: Wire
) -> None:
    answer = call(handler(name), rest(method, path, body=body))

    assert (answer.status, answer.json["errors"][0]["pointer"], wire.requests) == (422, pointer, [])


@pytest.mark.parametrize("name", ["webhooks/set", "webhooks/test", "slack_connect/generate_token"])
@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, json={"token": "hush", "message": "hush", "expires_in_minutes": 10}),
        httpx.Response(422, json={"detail": [{"loc": ["body"], "msg": "hush", "type": "t", "input": "hush"}]}),
        httpx.Response(500, text="hush"),
        httpx.Response(200, text="<hush>"),
        httpx.ReadTimeout("too slow"),
    ],
    ids=["answered", "refused", "failed", "garbage", "timeout"],
)
def test_a_secret_is_in_no_record_and_in_no_log(
    name: str, reply: Any, wire: Wire, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    (_, method, path, body, *_) = next(operation for operation in OPERATIONS if operation[0] == name)
    wire.answer(reply)
    body = body | {"secret": "hush"}

    # The Backend has no table for idempotency keys, and the environment names none.
    answer = call(handler(name), rest(method, path, body=body, headers={"Idempotency-Key": "8e03978e"}))

    assert answer.json.get("code") not in ("internal_error", "idempotency_key_reused")
    written = capsys.readouterr()
    assert '"Requests"' in written.out
    assert "hush" not in written.out + written.err + caplog.text


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "limit"),
    [
        ("pull_requests/edit", "PATCH", f"{ORG}/prs/5", {"state": "open"}, "pull_requests"),
        ("webhooks/test", "POST", f"{ORG}/webhooks/agent-run/test", {"url": "https://hook.test"}, "webhook_test"),
    ],
)
def test_a_limited_operation_counts_against_its_limit(
    name: str, method: str, path: str, body: Any, limit: str, wire: Wire
) -> None:
    wire.answer(httpx.Response(200, json={"success": True}))

    answer = call(handler(name), rest(method, path, body=body))

    assert answer.headers["ratelimit"].startswith(f'"{limit}";r=')
