"""Run cards: what a user interface shows of a run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_api import AgentRun
from codegen_runs import statuses
from codegen_runs.events import shorten, timestamp
from codegen_runs.statuses import Status

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


def card(run: AgentRun) -> RunCard:
    """Make the card of an upstream run."""
    branches = [pull_request.head_branch_name for pull_request in run.github_pull_requests or []]
    return RunCard(
        id=run.id,
        status=statuses.from_upstream(run.status),
        upstream_status=run.status,
        created_at=timestamp(run.created.timestamp()) if run.created else None,
        web_url=run.web_url,
        result_preview=shorten(run.summary or run.result, PREVIEW_CHARACTERS)[0],
        metadata=run.metadata,
        branch_name=next((branch for branch in branches if branch), None),
    )
