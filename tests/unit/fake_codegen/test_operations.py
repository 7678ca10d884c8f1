"""The answers of the operations, as far as they were observed upstream."""

import asyncio
import re

import httpx
import pytest

from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_SANDBOX_ID,
    DEMO_TOKEN,
    EMPTY_ORG_ID,
    FOREIGN_ORG_ID,
    OTHER_TOKEN,
    create_app,
)
from local.fake_codegen.sample_data import SILENT_SANDBOX_ID

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
RUNS = f"{ORG}/agent/run"


def create(client, prompt="Explain the cart", **fields):
    answer = client.post(RUNS, json={"prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(client, run):
    return client.get(f"{RUNS}/{run['id']}").json()


def logs(client, run, **params):
    return client.get(f"/v1/alpha{RUNS[3:]}/{run['id']}/logs", params=params).json()


# Tokens and organizations


@pytest.mark.parametrize(
    "authorization",
    [{"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {DEMO_TOKEN}"}],
)
def test_a_call_without_a_valid_token_is_401_with_a_body_of_the_observed_length(client, authorization):
    answer = client.get("/v1/organizations", headers=authorization)

    assert answer.status_code == 401
    assert list(answer.json()) == ["detail"]
    assert len(answer.content) == 41


@pytest.mark.parametrize("path", ["users", "repos", "agent/runs", "agent/run/100001", "integrations", "models"])
def test_another_users_organization_answers_like_one_that_does_not_exist(client, path):
    foreign = client.get(f"/v1/organizations/{FOREIGN_ORG_ID}/{path}")
    missing = client.get(f"/v1/organizations/999999/{path}")

    assert foreign.status_code == missing.status_code == 403
    assert foreign.json() == missing.json()
    assert foreign.json() == {"message": "You do not have access to this organization.", "status_code": 403}


def test_each_token_sees_its_own_organizations(client):
    mine = client.get("/v1/organizations").json()
    theirs = client.get("/v1/organizations", headers={"Authorization": f"Bearer {OTHER_TOKEN}"}).json()

    assert [item["id"] for item in mine["items"]] == [DEMO_ORG_ID, EMPTY_ORG_ID]
    assert [item["id"] for item in theirs["items"]] == [FOREIGN_ORG_ID]


def test_an_unknown_path_is_fastapis_404(client):
    assert client.get("/v1/nothing").json() == {"detail": "Not Found"}
    assert client.get(f"{RUNS}/100001/logs").status_code == 404, "logs are only under /alpha"


# Requests


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", f"{ORG}/users?skip=-1", {}),
        ("GET", f"{ORG}/users?limit=0", {}),
        ("GET", f"{ORG}/agent/runs?limit=101", {}),
        ("GET", f"{ORG}/agent/runs?source_type=PIGEON", {}),
        ("GET", f"{ORG}/agent/run/abc", {}),
        ("GET", "/v1/organizations/abc/users", {}),
        ("POST", RUNS, {"json": {}}),
        ("POST", RUNS, {"json": {"prompt": 5}}),
        ("POST", RUNS, {"json": {"prompt": "x", "agent_type": "other"}}),
        ("POST", RUNS, {"content": b'{"prompt": ', "headers": {"Content-Type": "application/json"}}),
        ("POST", f"{RUNS}/resume", {"json": {"agent_run_id": 100001}}),
        ("POST", f"{RUNS}/ban", {"json": {}}),
    ],
)
def test_an_invalid_request_is_422_with_the_location_of_each_error(client, method, path, options):
    answer = client.request(method, path, **options)

    assert answer.status_code == 422
    assert all({"loc", "msg", "type"} <= set(fault) for fault in answer.json()["detail"])


def test_unknown_keys_are_ignored_and_recorded(client, fake):
    create(client, "x", temperature=0.7)

    assert fake.creates[-1].body == {"prompt": "x", "temperature": 0.7}


def test_lists_are_paged_by_skip_and_limit_with_page_numbers(client):
    page = client.get(f"{ORG}/repos", params={"skip": 2, "limit": 2}).json()

    assert [item["id"] for item in page["items"]] == [458]
    assert {key: page[key] for key in ("total", "page", "size", "pages")} == {
        "total": 3,
        "page": 2,
        "size": 2,
        "pages": 2,
    }


# Runs


def test_a_create_answers_200_and_active_with_an_explicit_value_for_every_field(client):
    run = create(client, metadata={"client_run_id": "c-1", "deep": {"list": [1, None]}})

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", run.pop("created_at"))
    assert run.pop("web_url").endswith(str(run["id"]))
    assert run == {
        "id": run["id"],
        "organization_id": DEMO_ORG_ID,
        "status": "ACTIVE",
        "result": None,
        "summary": None,
        "source_type": "API",
        "github_pull_requests": [],
        "metadata": {"client_run_id": "c-1", "deep": {"list": [1, None]}},
    }


def test_a_run_that_ends_at_once_is_still_created_active(client, fake):
    fake.pace = 0

    run = create(client, "Fix it", metadata={"fake": {"pull_request": True}})

    assert (run["status"], run["result"], run["github_pull_requests"]) == ("ACTIVE", None, [])
    assert get(client, run)["status"] == "COMPLETE"


def test_a_run_ends_complete_with_result_and_summary(client, fake):
    run = create(client)
    fake.clock.advance(7.9)
    assert get(client, run)["status"] == "ACTIVE"
    assert get(client, run)["result"] is None
    fake.clock.advance(4.1)

    done = get(client, run)
    assert done["status"] == "COMPLETE"
    assert done["result"].startswith("## Explain the cart\n")
    assert done["summary"]


def test_a_run_that_changes_code_opens_a_pull_request_that_can_be_edited(client, fake):
    run = create(client, "Fix it", repo_id=457, metadata={"fake": {"pull_request": True}})
    fake.clock.advance(12)

    [pull_request] = get(client, run)["github_pull_requests"]
    assert set(pull_request) == {"id", "title", "url", "created_at", "head_branch_name"}

    closed = client.patch(f"{ORG}/prs/{pull_request['id']}", json={"state": "closed"}).json()
    assert (closed["success"], closed["state"], closed["url"]) == (True, "closed", pull_request["url"])
    by_repo = client.patch(f"{ORG}/repos/457/prs/{pull_request['id']}", json={"state": "open"}).json()
    assert by_repo["state"] == "open"
    elsewhere = client.patch(f"{ORG}/repos/456/prs/{pull_request['id']}", json={"state": "open"}).json()
    assert (elsewhere["success"], elsewhere["error"]) == (False, "Pull request not found.")


def test_runs_are_listed_newest_first_by_user_and_source(client, fake):
    first, second = create(client), create(client)

    items = client.get(f"{ORG}/agent/runs").json()["items"]
    assert [item["id"] for item in items[:2]] == [second["id"], first["id"]]
    assert [item["created_at"] for item in items] == sorted((item["created_at"] for item in items), reverse=True)
    by_source = client.get(f"{ORG}/agent/runs", params={"source_type": "SLACK"}).json()
    assert {item["source_type"] for item in by_source["items"]} == {"SLACK"}
    assert client.get(f"{ORG}/agent/runs", params={"user_id": 1}).json()["total"] == 0


def test_an_unknown_run_is_404(client):
    not_found = {"message": "Agent run not found.", "status_code": 404}

    assert client.get(f"{RUNS}/1").json() == not_found
    assert client.get(f"/v1/alpha{RUNS[3:]}/1/logs").json() == not_found
    for verb in ("ban", "unban", "remove-from-pr"):
        assert client.post(f"{RUNS}/{verb}", json={"agent_run_id": 1}).json() == not_found
    assert client.post(f"{RUNS}/resume", json={"agent_run_id": 1, "prompt": "x"}).json() == not_found


def test_a_run_of_another_organization_is_404(client):
    run = create(client)

    assert client.get(f"/v1/organizations/{EMPTY_ORG_ID}/agent/run/{run['id']}").status_code == 404


def test_an_organization_without_repositories_creates_no_run(client, fake):
    answer = client.post(f"/v1/organizations/{EMPTY_ORG_ID}/agent/run", json={"prompt": "x"})

    assert answer.status_code == 404
    assert answer.json()["message"].startswith("No repos found")
    assert fake.creates == []


# Logs


def test_log_entries_have_the_fields_of_their_type_and_no_ids(client, fake):
    run = create(client, "Explain the cart")
    fake.clock.advance(12)

    entries = logs(client, run)["logs"]
    assert all("id" not in entry for entry in entries)
    assert (entries[0]["message_type"], entries[0]["tool_name"]) == ("USER_MESSAGE", "user_input")
    assert all(
        entry["tool_name"] and entry["tool_input"] and entry["tool_output"] and entry["thought"]
        for entry in entries
        if entry["message_type"] == "ACTION"
    )
    assert "PLAN_EVALUATION" in [entry["message_type"] for entry in entries]
    times = [entry["created_at"] for entry in entries]
    assert times == sorted(times)
    assert times[0] == run["created_at"]
    assert (entries[-1]["message_type"], entries[-1]["observation"]) == ("FINAL_ANSWER", get(client, run)["result"])


def test_the_logs_answer_has_no_summary_source_or_pull_requests(client):
    assert set(logs(client, create(client))) == {
        *("id", "organization_id", "status", "created_at", "web_url", "result", "metadata"),
        *("logs", "total_logs", "page", "size", "pages"),
    }


def test_logs_are_paged_by_position_from_either_end(client, fake):
    run = create(client, metadata={"fake": {"steps": 248}})
    fake.clock.advance(12)
    everything = [logs(client, run, skip=skip)["logs"] for skip in (0, 100, 200)]
    forward = [entry for page in everything for entry in page]

    assert [len(page) for page in everything] == [100, 100, 51]
    assert logs(client, run, skip=240, limit=5)["logs"] == forward[240:245]
    newest = logs(client, run, skip=0, limit=5, reverse=True)
    assert newest["logs"] == forward[:-6:-1]
    assert (newest["total_logs"], newest["page"], newest["size"], newest["pages"]) == (251, 1, 5, 51)
    assert logs(client, run, skip=251)["logs"] == []


# Resume and ban


def test_a_follow_up_makes_the_same_run_active_again_and_logs_its_message(client, fake):
    run = create(client, "Explain the cart")
    fake.clock.advance(12)
    before = logs(client, run)["logs"]

    again = client.post(f"{RUNS}/resume", json={"agent_run_id": run["id"], "prompt": "And the till?"}).json()

    assert (again["id"], again["status"]) == (run["id"], "ACTIVE")
    entries = logs(client, run)["logs"]
    assert entries[:-1] == before
    assert entries[-1]["message_type"] == "USER_MESSAGE"
    assert entries[-1]["tool_input"] == {"message": "And the till?"}
    fake.clock.advance(12)
    assert get(client, run)["status"] == "COMPLETE"
    assert get(client, run)["result"].startswith("## And the till?")


def test_a_follow_up_to_an_active_run_stops_its_turn(client, fake):
    run = create(client)
    fake.clock.advance(4)
    before = logs(client, run)["total_logs"]

    client.post(f"{RUNS}/resume", json={"agent_run_id": run["id"], "prompt": "Stop that"})
    fake.clock.advance(30)

    types = [entry["message_type"] for entry in logs(client, run)["logs"]]
    assert types.index("USER_MESSAGE", 1) == before
    assert types.count("FINAL_ANSWER") == 1


def test_a_ban_stops_every_active_run_of_the_pull_request_and_no_other(client, fake):
    opener = create(client, "Fix it", metadata={"fake": {"pull_request": True}})
    fake.clock.advance(12)
    [pull_request] = get(client, opener)["github_pull_requests"]
    fixer = create(client, "Fix the checks", metadata={"fake": {"pull_request_id": pull_request["id"]}})
    other = create(client, "Something else")
    fake.clock.advance(1)

    answer = client.post(f"{RUNS}/ban", json={"agent_run_id": opener["id"]})

    assert answer.status_code == 200
    assert get(client, fixer)["status"] == "CANCELLED"
    assert get(client, opener)["status"] == "COMPLETE", "a run that has ended does not change"
    assert get(client, other)["status"] == "ACTIVE"
    assert fake.pull_requests[pull_request["id"]].checks_banned


@pytest.mark.parametrize("verb", ["ban", "remove-from-pr"])
def test_a_ban_without_a_pull_request_stops_the_run_for_good(client, fake, verb):
    run = create(client)
    fake.clock.advance(3)

    client.post(f"{RUNS}/{verb}", json={"agent_run_id": run["id"]})
    written = logs(client, run)["total_logs"]
    fake.clock.advance(60)

    assert get(client, run)["status"] == "CANCELLED"
    assert get(client, run)["result"] is None
    assert logs(client, run)["total_logs"] == written


def test_an_unban_stops_muting_the_checks_of_the_pull_request(client, fake):
    run = create(client, "Fix it", metadata={"fake": {"pull_request": True}})
    fake.clock.advance(12)
    [pull_request] = get(client, run)["github_pull_requests"]
    client.post(f"{RUNS}/ban", json={"agent_run_id": run["id"]})
    assert fake.pull_requests[pull_request["id"]].checks_banned

    client.post(f"{RUNS}/unban", json={"agent_run_id": run["id"]})

    assert not fake.pull_requests[pull_request["id"]].checks_banned


def test_a_follow_up_can_change_the_model_and_keeps_it_otherwise(client, fake):
    run = create(client)
    models = []
    for more in ({"model": "claude-opus"}, {}):
        client.post(f"{RUNS}/resume", json={"agent_run_id": run["id"], "prompt": "And the till?", **more})
        fake.clock.advance(12)
        models.append(f"_Run {run['id']}, claude-opus," in get(client, run)["result"])

    assert models == [True, True]


def test_an_unban_stops_muting_checks_and_starts_no_run(client, fake):
    run = create(client)
    client.post(f"{RUNS}/ban", json={"agent_run_id": run["id"]})
    assert fake.runs[run["id"]].checks_banned

    assert client.post(f"{RUNS}/unban", json={"agent_run_id": run["id"]}).status_code == 200

    assert not fake.runs[run["id"]].checks_banned
    assert get(client, run)["status"] == "CANCELLED"


# Runs that other operations start


@pytest.mark.parametrize(("repo_id", "command"), [(DEMO_REPO_ID, "pip install"), (457, "npm ci")])
def test_setup_commands_are_the_result_of_a_run(client, fake, repo_id, command):
    started = client.post(f"{ORG}/setup-commands/generate", json={"repo_id": repo_id}).json()
    fake.clock.advance(12)

    run = client.get(f"{RUNS}/{started['agent_run_id']}").json()
    assert (started["status"], started["url"]) == ("ACTIVE", run["web_url"])
    assert (run["source_type"], run["status"]) == ("SETUP_COMMANDS", "COMPLETE")
    assert command in run["result"]
    assert fake.creates == [], "only creates of agent runs count"


def test_setup_commands_of_an_unknown_repository_are_404(client):
    assert client.post(f"{ORG}/setup-commands/generate", json={"repo_id": 1}).json() == {
        "detail": "Repository not found"
    }


def test_sandbox_logs_are_analysed_by_a_run_and_need_no_request_body(client, fake):
    started = client.post(f"{ORG}/sandbox/{DEMO_SANDBOX_ID}/analyze-logs").json()
    fake.clock.advance(12)

    assert client.get(f"{RUNS}/{started['agent_run_id']}").json()["result"].startswith("## Setup of sandbox")


@pytest.mark.parametrize(
    ("sandbox", "status", "detail"),
    [(SILENT_SANDBOX_ID, 400, "No logs available for analysis"), (1, 404, "Sandbox not found")],
)
def test_a_sandbox_that_has_no_logs_or_does_not_exist_is_refused(client, sandbox, status, detail):
    answer = client.post(f"{ORG}/sandbox/{sandbox}/analyze-logs")

    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


# Other operations


def test_the_current_user_is_a_member_of_her_organization(client):
    me = client.get("/v1/users/me").json()

    assert me == client.get(f"{ORG}/users/{me['id']}").json()
    assert isinstance(me["github_user_id"], str)
    assert client.get(f"{ORG}/users/1").json() == {"message": "User not found.", "status_code": 404}


def test_the_number_of_active_integrations_is_correct(client):
    body = client.get(f"{ORG}/integrations").json()

    assert body["total_active_integrations"] == sum(item["active"] for item in body["integrations"]) > 0


def test_the_default_model_is_in_the_list(client):
    body = client.get(f"{ORG}/models").json()

    assert body["default_model"] in [model["value"] for provider in body["providers"] for model in provider["models"]]


def test_check_settings_that_a_change_leaves_out_stay(client):
    path = f"{ORG}/repos/check-suite-settings?repo_id={DEMO_REPO_ID}"
    before = client.get(path).json()

    client.put(path, json={"check_retry_count": 7})

    assert client.get(path).json() == {**before, "check_retry_count": 7}
    assert client.put(path, json={"check_retry_count": 11}).status_code == 422


def test_a_webhook_is_stored_and_its_secret_is_never_returned(client):
    path = f"{ORG}/webhooks/agent-run"
    client.post(path, json={"url": "https://hooks.example/runs", "secret": "fake-secret"})

    assert client.get(path).json() == {"url": "https://hooks.example/runs", "enabled": True, "has_secret": True}
    assert client.post(f"{path}/test", json={"url": "https://hooks.example/runs"}).status_code == 200
    client.delete(path)
    assert client.get(path).json() == {"url": None, "enabled": False, "has_secret": False}


def test_a_revoked_provider_is_no_longer_connected(client):
    status = f"/v1/oauth/tokens/status?org_id={DEMO_ORG_ID}"
    provider = client.get(status).json()[0]

    client.post("/v1/oauth/tokens/revoke", params={"provider": provider, "org_id": DEMO_ORG_ID})

    assert provider not in client.get(status).json()
    assert provider in [item["name"] for item in client.get("/v1/mcp-providers").json()]


def test_a_slack_token_is_only_for_an_organization_of_the_caller(client):
    path = "/v1/slack-connect/generate-token"

    assert client.post(path, json={"org_id": DEMO_ORG_ID}).json()["expires_in_minutes"] == 10
    assert client.post(path, json={"org_id": FOREIGN_ORG_ID}).status_code == 403


def test_the_rules_for_a_user_can_be_null(client):
    assert client.get(f"{ORG}/cli/rules").json()["user_custom_prompt"] is None


def test_the_app_also_serves_an_asynchronous_client(fake):
    async def call():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(fake)), base_url="http://codegen.test"
        ) as client:
            return await client.get("/v1/organizations")

    assert asyncio.run(call()).status_code == 401
