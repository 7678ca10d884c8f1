"""The endpoints that this service was asked for, at the paths and with the examples of `endpoint_examples.md`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_SANDBOX_ID, DEMO_USER_ID

ORG = f"/organizations/{DEMO_ORG_ID}"
EXAMPLES = dict(
    re.findall(r"(?ms)^## ([^\n]+)\n\n```http\n(.*?)^```", Path(__file__).with_name("endpoint_examples.md").read_text())
)


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


@pytest.fixture
def send(http: httpx.Client, run_id: int) -> Callable[[str], httpx.Response]:
    """Send an example as it stands, about a run that exists."""

    def send(name: str) -> httpx.Response:
        head, _, body = EXAMPLES[name].replace("abc123", str(run_id)).partition("\n\n")
        (method, path), *headers = (line.split(maxsplit=1) for line in head.splitlines())
        named = {key.rstrip(":"): value for key, value in headers}
        return http.request(method, path, headers=named, content=body or None)

    return send


def test_the_example_of_an_agent_run_starts_one_and_names_the_ignored_fields(
    send: Callable[[str], httpx.Response],
) -> None:
    answer = send("Creating an Agent Run")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ACTIVE"
    assert [warning["pointer"] for warning in answer.json()["warnings"]] == ["/temperature"]


def test_the_example_of_a_multi_run_starts_one_and_names_the_ignored_fields(
    send: Callable[[str], httpx.Response],
) -> None:
    answer = send("Creating a Multi-Run Agent")

    assert answer.status_code == 202
    assert len(answer.json()["candidates"]) == 3
    assert {warning["pointer"] for warning in answer.json()["warnings"]} == {"/temperature", "/synthesis_temperature"}


def test_the_example_of_a_stream_is_answered_with_events(send: Callable[[str], httpx.Response], run_id: int) -> None:
    answer = send("Streaming Agent Run Logs")

    assert answer.headers["content-type"].startswith("text/event-stream")
    first = answer.text.split("\n\n")[1].split("\n")
    assert first[0] == "event: run_snapshot"
    assert json.loads(first[1].removeprefix("data: "))["agent_run_id"] == run_id


def test_the_example_of_a_star_stars_the_run(
    send: Callable[[str], httpx.Response], http: httpx.Client, run_id: int
) -> None:
    starred = send("Starring an Agent Run")

    assert starred.status_code == 200
    assert run_id in [item["agent_run_id"] for item in http.get("/starred-runs").json()["items"]]


def test_no_example_is_left_out() -> None:
    assert len(EXAMPLES) == 4


def test_an_id_that_is_no_number_is_refused_with_a_sentence(http: httpx.Client) -> None:
    starred = http.post("/starred-runs", json={"agent_run_id": "abc123", "starred": True})

    assert starred.status_code == 422
    assert http.get(f"{ORG}/agent/run/abc123/logs/stream?poll_interval=2.0").status_code == 422
