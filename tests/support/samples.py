"""The sample events under events/, one per function, and the resources that each needs to succeed."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    JudgeRun,
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
"""The multi-run in the samples."""
AGENT = "assistant"
"""The agent in the samples."""
API_TOKEN = "tok-069a00000-5a3c1e0f27"
"""The API token in the samples."""
NEW_RUN = "100005"
"""The first run that a new fake starts. The samples that need a running run name it."""
WEBHOOK_ENDPOINT = "we-00000000000000a1"
"""The webhook endpoint in the samples."""
DOORBELL = f"{ORG}-{'A' * 43}"
"""The last segment of the URL of the doorbell in the samples."""
CHECKPOINT = f"{NEW_RUN}.0-2"
"""The checkpoint in the samples: the first one that a caller creates of that run."""


def names() -> list[str]:
    """List the functions that have a sample."""
    return sorted(file.stem for file in EVENTS.glob("[A-Z]*.json"))


def read(name: str) -> dict[str, Any]:
    """Read the sample of a function."""
    event: dict[str, Any] = json.loads(_text(name))
    return event


def ready(name: str, stack: Stack) -> str:
    """Create the resources that a sample needs, and return the sample as text with their ids."""
    text = _text(name)
    if CHECKPOINT in text:
        text = text.replace(CHECKPOINT, _make_checkpoint(stack))
    elif NEW_RUN in text:
        text = text.replace(NEW_RUN, _start_run(stack))
    if AGENT in text:
        text = text.replace(AGENT, _create_agent(stack))
    if API_TOKEN in text:
        text = text.replace(API_TOKEN, _make_token(stack))
    if WEBHOOK_ENDPOINT in text and name != "SendWebhooks":
        text = text.replace(WEBHOOK_ENDPOINT, _create_webhook_endpoint(stack))
    if DOORBELL in text:
        text = text.replace(DOORBELL, _turn_on_doorbell(stack))
    if MULTI_RUN in text:
        multi_run_id = f"{MULTI_RUN[:16]}{secrets.token_hex(5)}"
        with pytest.MonkeyPatch.context() as patch:
            # A `Table` calls the client of the process, which is not that of the stack; there is no parameter for it.
            patch.setattr("codegen_runs.storage.table.dynamodb", lambda: stack.aws.client("dynamodb"))
            judge_runs = [JudgeRun(number=1, order=[1, 0, 2])] if name == "AskJudge" else []
            _store(multi_run_id, name, judge_runs)
        text = text.replace(MULTI_RUN, multi_run_id)
    return text


def succeeded(name: str, answer: Any) -> bool:
    """Return whether a function answered its sample as expected."""
    if answer is None:
        return name in ("AskJudge", "LaunchCandidate", "SynthesizeCandidates")
    if "statusCode" in answer:
        return 200 <= int(answer["statusCode"]) < 300
    return "errorType" not in answer and _SAID.get(name, {}).items() <= answer.items()


# The known part of what functions return that answer no request.
_SAID: dict[str, dict[str, Any]] = {
    "Authorize": {"principalId": "user:789"},
    "GatherCandidates": {"next": "synthesize"},
    "PlanMultiRun": {"next": "launch"},
}


def _text(name: str) -> str:
    return (EVENTS / f"{name}.json").read_text("utf-8")


def _create_agent(stack: Stack) -> str:
    """Create an agent that no other test deletes, and return its id."""
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


def _create_webhook_endpoint(stack: Stack) -> str:
    """Create a webhook endpoint at which nobody listens, and return its id."""
    made = httpx.post(
        f"{stack.api_url}/v1/organizations/{ORG}/webhook-endpoints",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        json={"url": "http://127.0.0.1:9/", "events": ["webhook_endpoint.disabled"]},
        timeout=60,
    )
    return str(made.raise_for_status().json()["id"])


def _turn_on_doorbell(stack: Stack) -> str:
    """Turn on the doorbell, in the place of any other webhook, and return the last segment of its URL."""
    path = f"{stack.api_url}/v1/organizations/{ORG}"
    headers = {"Authorization": f"Bearer {stack.codegen.token}"}
    httpx.delete(f"{path}/doorbell", headers=headers, timeout=60)
    httpx.delete(f"{path}/webhooks/agent-run", headers=headers, timeout=60)
    httpx.put(f"{path}/doorbell", headers=headers, json={}, timeout=60).raise_for_status()
    webhook = httpx.get(f"{path}/webhooks/agent-run", headers=headers, timeout=60).json()
    return str(webhook["url"]).rpartition("/")[2]


def _make_checkpoint(stack: Stack) -> str:
    """Make a checkpoint of a new run, and return its id."""
    made = httpx.post(
        f"{stack.api_url}/v1/organizations/{ORG}/agent/run/{_start_run(stack)}/checkpoints",
        headers={"Authorization": f"Bearer {stack.codegen.token}"},
        timeout=60,
    )
    return str(made.raise_for_status().json()["id"])


def _store(multi_run_id: str, name: str, judge_runs: list[JudgeRun]) -> None:
    """Store a multi-run whose three candidates have ended, as the sample of a function needs it."""
    now = round(time.time() * 1000)
    has_ended = name in ("RetryCandidates", "ResynthesizeMultiRun")
    multi_run = MultiRun(
        org_id=ORG,
        id=multi_run_id,
        status=MultiRunStatus.COMPLETED if has_ended else MultiRunStatus.RUNNING,
        prompt="Explain how to test a cache",
        candidates=[Variant()] * 3,
        strategy=Strategy.SYNTHESIZE,
        quorum=1,
        synthesis=SynthesisOptions(),
        judge_runs=judge_runs,
        candidate_timeout_s=3600,
        deadline_at=now + 3_600_000,
        created_by="user:789",
        created_at=now,
        paused_at=now if name == "ResumeMultiRun" else None,
    )
    MultiRunsTable("MultiRunsTable").add(multi_run)
    for index, key in enumerate(multi_run.candidate_keys):
        watch = Watch(
            org_id=ORG,
            key=key,
            status=Status.FAILED if index == 1 and name == "RetryCandidates" else Status.COMPLETED,
            result=f"The answer of {key}.",
            multi_run_id=multi_run_id,
            created_at=now,
            updated_at=now,
            finished_at=now,
            deadline_at=now + 3_600_000,
        )
        RunsTable("RunsTable").add(watch)
