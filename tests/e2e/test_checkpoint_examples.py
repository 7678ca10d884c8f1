"""The examples that run control and checkpoints were asked for, as they stand (`checkpoint_examples.md`).

Replaced is the host, and the ids by ones that exist. Added is the token.
"""

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID
from tests.support import examples

FILE = Path(__file__).parent / "checkpoint_examples.md"
EXAMPLES = examples.read(FILE)
RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
PATIENCE = 120


def start(http: httpx.Client, prompt: str) -> int:
    run_id: int = http.post(RUNS, json={"prompt": prompt}).raise_for_status().json()["id"]
    return run_id


def checkpoints(http: httpx.Client, run_id: int) -> dict[str, Any]:
    answer = examples.send(EXAMPLES["List Checkpoints"], http, run_id=run_id)
    assert answer.status_code == 200, answer.text
    return {item["reason"]: item for item in answer.json()["items"]}


@pytest.fixture(scope="module")
def made(http: httpx.Client) -> dict[str, Any]:
    """The checkpoints of a run that has ended, by their reason."""
    run_id, until = start(http, "Say hello. [[fake seconds=1 steps=2]]"), time.monotonic() + PATIENCE
    while "end" not in (found := checkpoints(http, run_id)):
        assert time.monotonic() < until, found
        http.get(f"{RUNS}/{run_id}/events?wait=5&after=0-{max((item['seq'] for item in found.values()), default=0)}")
    return found


@pytest.fixture
def working(http: httpx.Client) -> int:
    """A run at work, without an end of its own."""
    return start(http, "Say hello. [[fake ending=NEVER]]")


def test_every_example_is_sent() -> None:
    assert len(EXAMPLES) == len(re.findall(r"(?m)^```http", FILE.read_text("utf-8"))) == 8


def test_health_check(http: httpx.Client) -> None:
    answer = examples.send(EXAMPLES["Health Check"], http)

    assert answer.status_code == 200
    assert {"status", "version", "timestamp"} <= answer.json().keys()


def test_pause_run_and_resume_run(http: httpx.Client, working: int) -> None:
    paused = examples.send(EXAMPLES["Pause Run"], http, run_id=working)
    resumed = examples.send(EXAMPLES["Resume Run"], http, run_id=working)
    again = examples.send(EXAMPLES["Resume Run"], http, run_id=working)

    assert (paused.status_code, paused.json()["paused_scope"]) == (200, "queue_only")
    assert (resumed.status_code, resumed.json()["paused_scope"]) == (200, None)
    assert (again.status_code, again.json()["code"]) == (409, "run_not_paused")


def test_cancel_run(http: httpx.Client, working: int) -> None:
    """As it stands it is refused for a run at work, with what it would take, and done with that."""
    refused = examples.send(EXAMPLES["Cancel Run"], http, run_id=working)
    cancelled = http.post(f"/api/runs/{working}/cancel", json={"allow_pr_ban": True})

    assert (refused.status_code, refused.json()["code"]) == (409, "cancel_needs_pr_ban")
    assert "allow_pr_ban" in refused.json()["remedy"]
    assert (cancelled.status_code, cancelled.json()["means"]) == (202, "pr_ban")


def test_list_checkpoints(made: dict[str, Any]) -> None:
    assert {"start", "plan", "end"} <= made.keys()
    assert {item["fidelity"] for item in made.values()} == {"context_replay"}


def test_get_checkpoint(http: httpx.Client, made: dict[str, Any]) -> None:
    answer = examples.send(EXAMPLES["Get Checkpoint"], http, checkpoint_id=made["end"]["id"])

    assert answer.status_code == 200
    assert [message["role"] for message in answer.json()["chain"]] == ["prompt", "answer"]
    assert answer.json()["hash"] == made["end"]["hash"]


def test_restore_from_checkpoint(http: httpx.Client, made: dict[str, Any]) -> None:
    answer = examples.send(EXAMPLES["Restore from Checkpoint"], http, checkpoint_id=made["end"]["id"])
    run = answer.json()

    assert answer.status_code == 201, answer.text
    assert (run["action"], run["fidelity"], run["created_new_run"]) == ("restore", "context_replay", True)
    assert run["agent_run_id"] != made["end"]["agent_run_id"]
    assert http.get(answer.url.join(answer.headers["Location"])).json()["id"] == run["agent_run_id"]


def test_fork_checkpoint(http: httpx.Client, made: dict[str, Any]) -> None:
    answer = examples.send(EXAMPLES["Fork Checkpoint"], http, checkpoint_id=made["plan"]["id"])
    run = answer.json()

    assert answer.status_code == 201, answer.text
    assert (run["action"], run["lineage"][0]["modified"]) == ("fork", ["system_prompt"])
    lineage = http.get(f"/api/checkpoints/{made['plan']['id']}/lineage").json()
    assert [each["child"] for each in lineage["descendants"]] == [str(run["agent_run_id"])]
