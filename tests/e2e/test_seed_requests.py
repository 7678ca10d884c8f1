"""The requests of the endpoint summary that this service was asked for, with ids that exist."""

import json
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_SANDBOX_ID, DEMO_USER_ID

ORG = f"/organizations/{DEMO_ORG_ID}"


@pytest.fixture(scope="module")
def run_id(http: httpx.Client) -> int:
    run_id: int = http.post(f"{ORG}/agent/run", json={"prompt": "Create a React component"}).json()["id"]
    return run_id


@pytest.fixture(params=["", "/v1"], ids=["unversioned", "versioned"])
def prefix(request: pytest.FixtureRequest) -> str:
    prefix: str = request.param
    return prefix


READS = [
    f"{ORG}/users",
    f"{ORG}/users/{DEMO_USER_ID}",
    "/current-user",
    "/organizations",
    f"{ORG}/repos",
    f"{ORG}/agent/run/RUN",
    f"{ORG}/agent/runs",
    f"{ORG}/agent/run/RUN/logs",
    f"{ORG}/integrations",
    "/starred-runs",
    f"{ORG}/agent/run/RUN/logs/stream?poll_interval=2.0",
]

WRITES: list[tuple[str, Any]] = [
    (f"{ORG}/agent/run/RUN/resume", {"prompt": "And now test it."}),
    (f"{ORG}/agent/run/RUN/ban-all-checks", None),
    (f"{ORG}/agent/run/RUN/unban-all-checks", None),
    (f"{ORG}/agent/run/RUN/remove-codegen-from-pr", {"reason": "Done.", "pr_number": 1}),
    ("/setup-commands", {"repo_id": DEMO_REPO_ID, "language": "python", "framework": "fastapi"}),
    ("/sandbox/analyze-logs", {"sandbox_id": DEMO_SANDBOX_ID, "logs": "it broke"}),
]


@pytest.mark.parametrize("path", READS)
def test_each_read_is_answered(path: str, prefix: str, http: httpx.Client, run_id: int) -> None:
    answer = http.get(prefix + path.replace("RUN", str(run_id)))

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("path", "body"), WRITES)
def test_each_write_is_answered(path: str, body: Any, prefix: str, http: httpx.Client, run_id: int) -> None:
    answer = http.post(prefix + path.replace("RUN", str(run_id)), json=body)

    assert answer.status_code == 200, answer.text
    ignored = {"language", "framework", "logs", "reason", "pr_number"} & set(body or {})
    assert {warning["pointer"] for warning in answer.json().get("warnings", [])} == {f"/{name}" for name in ignored}


def test_an_agent_run_is_created_with_its_extra_field_kept_as_a_warning(http: httpx.Client) -> None:
    body = {"prompt": "Create a React component", "repo_id": DEMO_REPO_ID, "model": "gpt-4", "temperature": 0.7}
    answer = http.post(f"{ORG}/agent/run", json=body)

    assert answer.status_code == 200
    assert answer.json()["status"] == "ACTIVE"
    assert [warning["pointer"] for warning in answer.json()["warnings"]] == ["/temperature"]


def test_a_multi_run_is_created(http: httpx.Client) -> None:
    body = {
        "prompt": "Create a React component",
        "concurrency": 3,
        "repo_id": DEMO_REPO_ID,
        "model": "gpt-4",
        "temperature": 0.7,
        "synthesis_temperature": 0.2,
    }
    answer = http.post(f"{ORG}/multi-run", json=body)

    assert answer.status_code == 202
    assert len(answer.json()["candidates"]) == 3
    assert {warning["pointer"] for warning in answer.json()["warnings"]} == {"/temperature", "/synthesis_temperature"}


def test_logs_are_streamed_as_events(http: httpx.Client, run_id: int) -> None:
    answer = http.get(f"{ORG}/agent/run/{run_id}/logs/stream?poll_interval=2.0")

    assert answer.headers["content-type"].startswith("text/event-stream")
    first = answer.text.split("\n\n")[1].split("\n")
    assert first[0] == "event: run_snapshot"
    assert json.loads(first[1].removeprefix("data: "))["agent_run_id"] == run_id


def test_a_run_is_starred_and_listed(http: httpx.Client, run_id: int) -> None:
    starred = http.post("/starred-runs", json={"agent_run_id": str(run_id), "starred": True})

    assert starred.status_code == 200
    assert run_id in [item["agent_run_id"] for item in http.get("/starred-runs").json()["items"]]


def test_an_id_that_is_no_number_is_refused_in_words(http: httpx.Client) -> None:
    starred = http.post("/starred-runs", json={"agent_run_id": "abc123", "starred": True})

    assert starred.status_code == 422
    assert http.get(f"{ORG}/agent/run/abc123/logs/stream?poll_interval=2.0").status_code == 422
