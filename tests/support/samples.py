"""The sample events under events/, one per function, and what has to be there for each to succeed."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    MultiRun,
    MultiRunsTable,
    MultiRunStatus,
    Strategy,
    SynthesisOptions,
    Variant,
)
from codegen_runs.storage.runs import RunsTable, Watch
from local.stack import Stack

EVENTS = Path(__file__).parents[2] / "events"

ORG = 123
MULTI_RUN = "mr-019a00000000-5a3c1e0f27"
"""The multi-run that samples name."""
AGENT = "assistant"
"""The agent that samples name."""
API_TOKEN = "tok-069a00000-5a3c1e0f27"
"""The API token that samples name."""
NEW_RUN = "100005"
"""The first run that a new fake starts, which is what samples name that need one that runs."""
CHECKPOINT = f"{NEW_RUN}.0-2"
"""The checkpoint that samples name: the first one that is made of that run by hand."""


def names() -> list[str]:
    """List the functions that have a sample."""
    return sorted(file.stem for file in EVENTS.glob("[A-Z]*.json"))


def read(name: str) -> dict[str, Any]:
    """Read the sample of a function."""
    event: dict[str, Any] = json.loads(_text(name))
    return event


def ready(name: str, stack: Stack) -> str:
    """Return the sample of a function as text, with what it names replaced by what was put there for it."""
    text = _text(name)
    if CHECKPOINT in text:
        text = text.replace(CHECKPOINT, _make_checkpoint(stack))
    elif NEW_RUN in text:
        text = text.replace(NEW_RUN, _start_run(stack))
    if AGENT in text:
        text = text.replace(AGENT, _create_agent(stack))
    if API_TOKEN in text:
        text = text.replace(API_TOKEN, _make_token(stack))
    if MULTI_RUN in text:
        multi_run_id = f"{MULTI_RUN[:16]}{secrets.token_hex(5)}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("codegen_runs.storage.table.dynamodb", lambda: stack.aws.client("dynamodb"))
            _store(multi_run_id, paused=name == "ResumeMultiRun")
        text = text.replace(MULTI_RUN, multi_run_id)
    return text


def succeeded(name: str, answer: Any) -> bool:
    """Tell whether a function answered its sample as it should."""
    if answer is None:
        return name in ("LaunchCandidate", "SynthesizeCandidates")
    if "statusCode" in answer:
        return 200 <= int(answer["statusCode"]) < 300
    return "errorType" not in answer and _SAID.get(name, {}).items() <= answer.items()


# What functions that answer no request say, as far as it is known before.
_SAID: dict[str, dict[str, Any]] = {
    "Authorize": {"principalId": "user:789"},
    "JudgeCandidates": {"next": "synthesize"},
    "PlanMultiRun": {"candidates": [0, 1, 2]},
}


def _text(name: str) -> str:
    return (EVENTS / f"{name}.json").read_text("utf-8")


def _create_agent(stack: Stack) -> str:
    """Create an agent that nobody else deletes, and return its id."""
    created = httpx.post(
        f"{stack.api_url}/v1/organizations/{ORG}/agents",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        json={"name": "Assistant"},
        timeout=60,
    )
    return str(created.raise_for_status().json()["id"])


def _start_run(stack: Stack) -> str:
    """Start a run that does not end by itself, and return its id."""
    started = httpx.post(
        f"{stack.api_url}/v1/organizations/{ORG}/agent/run",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        json={"prompt": "Explain how to test a cache", "metadata": {"fake": {"ending": "NEVER"}}},
        timeout=60,
    )
    return str(started.raise_for_status().json()["id"])


def _make_token(stack: Stack) -> str:
    """Make an API token, and return its id."""
    made = httpx.post(
        f"{stack.api_url}/v1/users/me/api-tokens",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        json={"name": "A sample"},
        timeout=60,
    )
    return str(made.raise_for_status().json()["id"])


def _make_checkpoint(stack: Stack) -> str:
    """Make a checkpoint of a new run, and return its id."""
    made = httpx.post(
        f"{stack.api_url}/v1/organizations/{ORG}/agent/run/{_start_run(stack)}/checkpoints",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        timeout=60,
    )
    return str(made.raise_for_status().json()["id"])


def _store(multi_run_id: str, *, paused: bool) -> None:
    """Store a running multi-run whose three candidates have answered."""
    now = round(time.time() * 1000)
    multi_run = MultiRun(
        org_id=ORG,
        id=multi_run_id,
        status=MultiRunStatus.RUNNING,
        prompt="Explain how to test a cache",
        candidates=[Variant()] * 3,
        strategy=Strategy.SYNTHESIZE,
        quorum=1,
        synthesis=SynthesisOptions(),
        candidate_timeout_s=3600,
        deadline_at=now + 3_600_000,
        created_by="user:789",
        created_at=now,
        paused_at=now if paused else None,
    )
    MultiRunsTable("MultiRunsTable").add(multi_run)
    for key in multi_run.candidate_keys:
        watch = Watch(
            org_id=ORG,
            key=key,
            status=Status.COMPLETED,
            result=f"The answer of {key}.",
            multi_run_id=multi_run_id,
            created_at=now,
            updated_at=now,
            finished_at=now,
            deadline_at=now + 3_600_000,
        )
        RunsTable("RunsTable").add(watch)
