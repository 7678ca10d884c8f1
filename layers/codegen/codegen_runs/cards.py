"""Run cards: what a user interface shows of a run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_api import AgentRun
from codegen_runs import statuses
from codegen_runs.events import shorten, timestamp
from codegen_runs.run_control.actions import AllowedAction, actions_on, allowed_actions
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

PREVIEW_CHARACTERS = 200


class RunCard(BaseModel):
    """A run at a glance. What nobody knows is null: the upstream tells neither prompt nor duration nor repository."""

    id: int
    status: Status
    upstream_status: str | None = Field(None, description="The Codegen API's own word.")
    prompt: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    web_url: str | None = None
    result_preview: str | None = None
    duration_seconds: float | None = None
    metadata: dict[str, Any] | None = None
    repo_name: str | None = None
    branch_name: str | None = None
    allowed_actions: list[AllowedAction] = []


def card(run: AgentRun, watch: Watch | None = None) -> RunCard:
    """Make the card of an upstream run.

    Args:
        run: What the upstream says.
        watch: What is known of it here, if it is followed: that it is paused, or being cancelled.
    """
    status = _status(run, watch)
    branches = [pull_request.head_branch_name for pull_request in run.github_pull_requests or []]
    return RunCard(
        id=run.id,
        status=status,
        upstream_status=run.status,
        created_at=timestamp(run.created.timestamp()) if run.created else None,
        web_url=run.web_url,
        result_preview=shorten(run.summary or run.result, PREVIEW_CHARACTERS)[0],
        metadata=run.metadata,
        branch_name=next((branch for branch in branches if branch), None),
        allowed_actions=actions_on(watch.model_copy(update={"status": status})) if watch else allowed_actions(status),
    )


def _status(run: AgentRun, watch: Watch | None) -> Status:
    """Take the upstream's word, which is newer, unless it has none for how the run stands, or comes too late."""
    told = statuses.from_upstream(run.status)
    if watch and watch.status is Status.CANCELLING and not told.terminal:
        return watch.status
    if watch and watch.status is Status.CANCELLED and told.terminal:
        return watch.status
    return told
