"""Requests that no other function serves, through the whole system."""

from typing import Any

import httpx
import pytest

ORG = "/v1/organizations/123"


@pytest.mark.parametrize(
    ("method", "path", "body", "key"),
    [
        ("POST", f"{ORG}/claude_code/session", {"session_id": "0b1c-2d"}, "agent_run_id"),
        ("POST", f"{ORG}/claude_code/session/0b1c-2d/status", {"status": "COMPLETE"}, "success"),
        ("POST", f"{ORG}/claude_code/session/0b1c-2d/log", {"log": {"type": "assistant"}}, "success"),
        ("GET", f"{ORG}/tools", None, "tools"),
        ("POST", f"{ORG}/tools/execute", {"tool_name": "echo", "arguments": {"a": 1}}, "result"),
        ("GET", f"{ORG}/repositories", None, "repositories"),
    ],
)
def test_the_operations_of_codegens_command_line_work(
    http: httpx.Client, method: str, path: str, body: Any, key: str
) -> None:
    answer = http.request(method, path, json=body)

    assert (answer.status_code, key in answer.json()) == (200, True), answer.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{ORG}/no/such/thing", 404, "not_found"),
        ("/v1/no/such/thing", 404, "not_found"),
        ("/v1/organizations/999/tools", 403, "not_a_member"),
        (f"{ORG}/%2e%2e/999/tools", 404, "route_not_found"),
        (f"{ORG}/tools%2f..%2f..%2f999", 404, "route_not_found"),
        ("/no/such/thing", 404, "route_not_found"),
        ("/v1", 404, "route_not_found"),
    ],
)
def test_what_cannot_be_passed_on_is_a_problem(http: httpx.Client, path: str, status: int, code: str) -> None:
    answer = http.get(path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"]
    assert answer.json()["instance"] == path


def test_an_api_token_of_the_deployment_is_not_passed_on(http: httpx.Client) -> None:
    made = http.post("/v1/users/me/api-tokens", json={"name": "A token for nothing"}).json()

    answer = http.get(f"{ORG}/tools", headers={"Authorization": f"Bearer {made['token']}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "codegen_token_required")


def test_a_path_outside_of_v1_is_not_found_without_a_token(http: httpx.Client) -> None:
    answer = httpx.get(f"{http.base_url}/wp-login.php", trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
