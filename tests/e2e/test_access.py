"""API tokens and roles through the whole stack."""

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_USER_ID
from local.stack import Stack

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
TOKENS = "/v1/users/me/api-tokens"


def test_a_token_of_the_deployment_works_until_it_is_revoked(http: httpx.Client, stack: Stack) -> None:
    made = http.post(TOKENS, json={"name": "A script", "role": "viewer"}).json()
    with httpx.Client(base_url=stack.api_url, headers={"X-API-Key": made["token"]}, timeout=35) as script:
        assert script.get("/v1/users/me").json()["id"] == DEMO_USER_ID
        assert script.get(f"{HOME}/agent/runs").status_code == 200
        refused = script.post(f"{HOME}/agent/run", json={"prompt": "Say hello."})
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")

        assert http.delete(f"{TOKENS}/{made['id']}").status_code == 204

        ended = script.get("/v1/users/me")
        assert (ended.status_code, ended.json()["code"]) == (401, "token_revoked")
        assert ended.headers["www-authenticate"] == "Bearer"
        assert ended.headers["x-request-id"] == ended.json()["request_id"]
        assert ended.headers["content-type"] == "application/problem+json"


@pytest.mark.full
def test_a_run_that_a_token_starts_is_followed_by_it(http: httpx.Client, stack: Stack) -> None:
    made = http.post(TOKENS, json={"name": "A script"}).json()
    with httpx.Client(
        base_url=stack.api_url, headers={"Authorization": f"Bearer {made['token']}"}, timeout=35
    ) as script:
        run = script.post(f"{HOME}/agent/run", json={"prompt": "Say hello."}).json()
        with script.stream("GET", f"{HOME}/agent/run/{run['id']}/logs/stream") as stream:
            events = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]

    assert events[0] == "run_snapshot"
    assert events[-1] == "stream_end"


@pytest.mark.parametrize("path", [HOME, f"{HOME}/users/791"])
def test_a_browser_may_send_changes(http: httpx.Client, path: str) -> None:
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "PATCH"}

    answer = http.options(path, headers=headers)

    assert "PATCH" in answer.headers["access-control-allow-methods"]
