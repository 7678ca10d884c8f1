"""Runs and events as records: a run has the field names of a run card, also when it comes from the Codegen API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codegen_api import AgentRun, CodegenAPI, Event


def run_record(api: CodegenAPI, run_id: int) -> dict[str, Any]:
    """Read a run in full."""
    from codegen_api import NotSupportedError

    try:
        return api.run_cards.get(run_id).model_dump()
    except NotSupportedError:
        return card_of(api.runs.get(run_id))


def card_of(run: AgentRun) -> dict[str, Any]:
    """Return a run of the Codegen API with the field names of a run card."""
    found = run.model_dump()
    status = run.run_status.value
    links = found.pop("github_pull_requests", None) or []
    return {
        **found,
        "status": status,
        "upstream_status": found.get("status"),
        "pull_requests": [_link(link) for link in links if isinstance(link, dict)],
    }


def event_record(event: Event) -> dict[str, Any]:
    """Return an event as a deployment returns it, and its text in one line."""
    return {
        "id": event.id,
        "type": event.type,
        "ts": event.at and event.at.text,
        "data": event.data,
        "text": event.text,
    }


def _link(pull_request: dict[str, Any]) -> dict[str, Any]:
    found = dict(pull_request)
    found["branch_name"] = found.pop("head_branch_name", None)
    return found
