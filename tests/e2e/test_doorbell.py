"""The doorbell on the whole local stack, with the calls of the fake Codegen."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from codegen_runs.storage.runs import RunsTable, Watch
from local.fake_codegen.webhooks import SIGNATURE
from local.stack import Stack
from tests.support.processes import wait_until
from tests.support.receiver import SECONDS, Receiver

PROMPT = "Say hello."
QUICK = {"metadata": {"fake": {"seconds": 1, "steps": 1}}}


@pytest.fixture
def runs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> RunsTable:
    """The runs table of the stack. A request for a run would count as a view, and have it read often."""
    monkeypatch.setattr("codegen_runs.storage.table.dynamodb", lambda: stack.aws.client("dynamodb"))
    return RunsTable("RunsTable")


@pytest.fixture
def customer() -> Iterator[Receiver]:
    receiver = Receiver(204)
    yield receiver
    receiver.close()


def watch_of(runs: RunsTable, stack: Stack, run: dict[str, Any]) -> Watch:
    watch = runs.find(stack.codegen.org_id, run["id"])
    assert watch
    return watch


def postpone(runs: RunsTable, stack: Stack, run: dict[str, Any]) -> int:
    """Have the poller read a run in an hour, as if nothing had happened for long; return when, in milliseconds."""
    due_at = round((time.time() + 3600) * 1000)
    while True:
        try:
            runs.write(watch_of(runs, stack, run).model_copy(update={"due_at": due_at}))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            continue  # The poller has written in between.
        return due_at


def take(receiver: Receiver, run: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the call about a run. There may be calls about the runs of other tests."""
    while True:
        body, headers = receiver.take()
        if json.loads(body)["agent_run_id"] == run["id"]:
            return body, headers


@pytest.mark.full
def test_the_end_of_a_run_that_is_read_rarely_is_stored_before_its_next_turn(
    admin: httpx.Client, stack: Stack, runs: RunsTable
) -> None:
    assert admin.put("doorbell", json={}).json()["state"] == "on"
    assert stack.fake
    run = admin.post("agent/run", json={"prompt": PROMPT, "metadata": {"fake": {"ending": "NEVER", "steps": 0}}}).json()
    next_turn = postpone(runs, stack, run)
    stack.fake.finish(run["id"])

    wait_until(lambda: watch_of(runs, stack, run).status.terminal, seconds=SECONDS)

    key = watch_of(runs, stack, run).key
    (end,) = (each for each in runs.events(stack.codegen.org_id, key) if each.type == "run.completed")
    assert datetime.fromisoformat(end.ts).timestamp() < next_turn / 1000 - SECONDS
    events = admin.get(f"agent/run/{run['id']}/events").json()
    assert events["ended"]
    assert events["items"][-1]["type"] == "run.completed"


@pytest.mark.full
def test_a_call_of_codegen_reaches_the_webhook_that_the_doorbell_replaced(
    admin: httpx.Client, customer: Receiver
) -> None:
    webhook = {"url": customer.url, "secret": "not-secret"}
    admin.post("webhooks/agent-run", json=webhook).raise_for_status()
    assert admin.put("doorbell", json={}).json()["code"] == "webhook_exists"
    assert admin.put("doorbell", json={"forward": True, "secret": "not-secret"}).json()["state"] == "forwarding"

    run = admin.post("agent/run", json={"prompt": PROMPT, **QUICK}).json()
    body, headers = take(customer, run)

    expected = hmac.new(b"not-secret", body.encode(), hashlib.sha256).hexdigest()
    assert headers[SIGNATURE.lower()] == f"sha256={expected}"
    assert headers["host"] == customer.url.split("/")[2]
    assert admin.delete("doorbell").json()["webhook"] == {"url": customer.url, "enabled": True, "has_secret": True}
    restored = admin.post("agent/run", json={"prompt": PROMPT, **QUICK}).json()
    assert take(customer, restored)[1][SIGNATURE.lower()].startswith("sha256=")


def test_the_webhooks_of_a_run_are_called_in_the_place_of_the_doorbell(admin: httpx.Client, customer: Receiver) -> None:
    admin.put("doorbell", json={}).raise_for_status()

    own = [{"url": customer.url}]
    run = admin.post("agent/run", json={"prompt": PROMPT, "webhooks": own, **QUICK}).json()

    assert take(customer, run)
    while admin.get(f"agent/run/{run['id']}/events", params={"wait": 5}).json()["ended"] is False:
        continue
