"""What a message says: the type of an event, its time, ids and links. It never contains what an agent wrote."""

from __future__ import annotations

import json
from typing import Any

from codegen_runs.links import link, link_to_run
from codegen_runs.storage.outbox import Notice
from codegen_runs.storage.webhook_endpoints import Format

PING = "webhook_endpoint.ping"
DISABLED = "webhook_endpoint.disabled"

_WORDS = {
    "run.completed": "Run {id} completed",
    "run.incomplete": "Run {id} ended without finishing its task",
    "run.failed": "Run {id} failed",
    "run.cancelled": "Run {id} was cancelled",
    "run.timed_out": "Run {id} timed out",
    "run.cancel_unconfirmed": "Codegen has not confirmed that run {id} was cancelled",
    "multi_run.completed": "Multi-run {id} completed",
    "multi_run.failed": "Multi-run {id} failed",
    "multi_run.cancelled": "Multi-run {id} was cancelled",
    "multi_run.degraded": "Multi-run {id} has candidates without a usable answer",
    "multi_run.picked": "A candidate of multi-run {id} was picked",
    "budget.warning": "A budget is nearly used up by run {id}",
    PING: "This is a test message",
    DISABLED: "Webhook endpoint {id} was disabled",
}


def announcing(notice: Notice) -> dict[str, Any]:
    """Return the message about an event."""
    if notice.key.startswith("mr-") and notice.run_id is None:
        path = link(f"/v1/organizations/{notice.org_id}/multi-runs/{notice.key}")
        ids: dict[str, Any] = {"multi_run_id": notice.key}
    else:
        path = link_to_run(notice.org_id, notice.run_id or notice.key)
        ids = {"run_id": notice.run_id, "run_key": notice.key}
    data = {"organization_id": notice.org_id, **ids, "event_id": notice.event_id, **notice.data, "link": path}
    return message(notice.type, notice.ts, data)


def message(type_: str, timestamp: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return a message of a type, with its time in UTC and its data."""
    return {"type": type_, "timestamp": timestamp, "data": data}


def body(content: dict[str, Any], form: Format) -> str:
    """Return the body of the request for a message."""
    if form is Format.SLACK:
        content = {"text": _sentence(content)}
    return json.dumps(content, separators=(",", ":"))


def _sentence(content: dict[str, Any]) -> str:
    data = content["data"]
    named = data.get("multi_run_id") or data.get("run_id") or data.get("run_key") or data.get("endpoint_id") or ""
    return _WORDS[content["type"]].format(id=named) + f" (organization {data['organization_id']})."
