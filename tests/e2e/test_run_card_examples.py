"""The examples that run cards were asked for, as they stand (`run_card_examples.md`), against the running system.

Replaced is the host, and added the token, which the examples leave out. The commands are run by a shell, with curl.
"""

import json
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.fake_codegen import DEMO_REPO_ID, DEMO_TOKEN
from local.stack import Stack

ROOT = Path(__file__).parents[2]
TEXT = (Path(__file__).parent / "run_card_examples.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT))


def example(title: str, language: str) -> str:
    (source,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```", SECTIONS[title])
    return str(source)


def answers(title: str, stack: Stack) -> list[Any]:
    """Run an example's commands in a shell, and read what each curl prints."""
    if not (shell := shutil.which("bash")) or not shutil.which("curl"):
        pytest.skip("needs bash and curl")
    script = example(title, "bash").replace("http://localhost:8000", stack.api_url)
    with_token = 'curl() { command curl -sS -H "Authorization: Bearer $TOKEN" "$@"; echo; }\n'
    ran = subprocess.run(
        [shell, "-euc", with_token + script],
        env=os.environ | {"TOKEN": DEMO_TOKEN},
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def same_kind(shown: Any, answered: Any) -> bool:
    """Tell whether a value is of the kind that an example shows, or null where nobody knows it."""
    if isinstance(shown, str) and re.fullmatch(r"[\d-]+T[\d:]+Z", shown):
        return answered is None or datetime.fromisoformat(answered).tzinfo is not None
    if isinstance(shown, float):
        return answered is None or isinstance(answered, int | float)
    return answered is None or isinstance(answered, type(shown))


def test_every_example_is_run_or_has_a_replacement() -> None:
    assert len(re.findall(r"(?m)^```\w", TEXT)) == 5
    targets = re.findall(r"\| `make (\w+)` \|", SECTIONS["Not run, and what takes its place"])
    assert len(targets) == 5
    made = set(re.findall(r"(?m)^(\w+):.*##", (ROOT / "Makefile").read_text("utf-8")))
    assert set(targets) <= made


def test_manual_testing(stack: Stack) -> None:
    health, created, listed = answers("Manual Testing", stack)

    assert health["status"] == "healthy"
    assert (created["prompt"], created["metadata"]) == ("Create a hello world function", {"mode": "test"})
    assert created["id"] in [card["id"] for card in listed["items"]]
    assert len(listed["items"]) <= 5


def test_health_check(stack: Stack) -> None:
    (health,) = answers("Health Check", stack)
    shown = json.loads(example("Health Check", "json"))

    assert health.keys() >= shown.keys()
    assert all(same_kind(value, health[name]) and health[name] is not None for name, value in shown.items())
    assert health["status"] == shown["status"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", health["version"])


def test_a_card_has_every_described_key_with_a_value_of_its_type(http: httpx.Client) -> None:
    shown = json.loads(example("Agent Run Cards", "json"))
    created = http.post(
        f"/create_agent_run/{shown['metadata']['mode']}/{shown['prompt']}",
        json={"metadata": {"priority": "high"}, "repo_id": DEMO_REPO_ID},
    ).json()
    cards = [created, http.get(f"/agent_runs/{created['id']}").json(), *http.get("/agent_runs").json()["items"]]

    assert (created["prompt"], created["metadata"]) == (shown["prompt"], shown["metadata"])
    for card in cards:
        assert card.keys() >= shown.keys()
        assert [name for name, value in shown.items() if not same_kind(value, card[name])] == []


def test_the_described_routes_and_parameters_exist(http: httpx.Client) -> None:
    run_id = http.post("/create_agent_run/test/hello%2Fworld%3F").json()["id"]
    got = http.get(f"/agent_runs/{run_id}").json()
    dates = {"created_after": got["created_at"], "created_before": "2999-01-01"}
    listed = http.get("/agent_runs", params={"page": 1, "limit": 100, "status": "running,completed", **dates}).json()
    logs = http.get(f"/agent_runs/{run_id}/logs", params={"skip": 0, "limit": 1}).json()
    follow_up = "now test it [[fake seconds=600]]"
    resumed = http.post(f"/resume_agent_run/{run_id}/{quote(follow_up)}")
    cancelled = http.delete(f"/agent_runs/{run_id}", params={"allow_pr_ban": "true"})

    assert got["prompt"] == "hello/world?"
    assert run_id in [card["id"] for card in listed["items"]]
    assert [entry["tool_name"] for entry in logs["logs"]] == ["user_input"]
    assert logs["progress"]["entries"] >= 1
    assert resumed.json()["prompt"] == "hello/world?"
    assert cancelled.status_code == 202
    assert http.get("/users/me").json()["id"] == http.get("/v1/users/me").json()["id"]
    assert http.get(f"/api/runs/{run_id}").json()["id"] == run_id
    assert run_id in [card["id"] for card in http.get("/api/runs?limit=100&offset=0").json()["items"]]


def test_a_query_may_have_the_length_that_the_gateway_accepts(http: httpx.Client) -> None:
    query = "a b/" * 1_200  # 9.6 KB encoded; API Gateway takes 10,240 bytes of request line and headers
    run_id = http.post(f"/create_agent_run/test/{query.replace(' ', '%20').replace('/', '%2F')}").json()["id"]

    assert http.get(f"/agent_runs/{run_id}").json()["prompts"][0]["text"] == query


def test_the_described_variables_configure_the_local_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from local import __main__ as program

    exported = dict(re.findall(r'export (\w+)="(.+)"', example("Set Environment Variables", "bash")))
    assert exported.keys() == {"CODEGEN_API_TOKEN", "CODEGEN_ORG_ID"}
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    codegen = program._real_codegen()

    assert codegen is not None
    assert (codegen.token, codegen.org_id, codegen.base_url) == ("YOUR_TOKEN", 323, "https://api.codegen.com")
