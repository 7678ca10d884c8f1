"""What a run that we follow is doing, as callers see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from codegen_runs.events import timestamp
from codegen_runs.runs.actions import AllowedAction, actions_on
from codegen_runs.runs.health import RunHealth, assess
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class RunSnapshot(BaseModel):
    """One run, at one moment."""

    key: str | None = Field(
        None, description="Names the run before the Codegen API has; taken where a path has {agent_run_id}."
    )
    status: Status
    status_reason: str | None = None
    upstream_status: str | None = None
    agent_run_id: int | None = None
    web_url: str | None = None
    health: RunHealth = RunHealth.OK
    health_detail: str | None = Field(None, description="A sentence about the health.")
    last_log_at: str | None = None
    log_count: int = 0
    paused_scope: Literal["queue_only"] | None = Field(
        None, description="Set while it is paused: nothing is sent upstream, but an agent that works there goes on."
    )
    cancel_deadline_at: str | None = Field(
        None, description="Until when the Codegen API has to confirm a cancel; it stays unconfirmed afterwards."
    )
    deadline_at: str | None = Field(None, description="When the run is ended here at the latest.")
    finished_at: str | None = None
    result: str | None = None
    result_truncated: bool = False
    allowed_actions: list[AllowedAction] = []


def run_snapshot(watch: Watch, *, now: float) -> RunSnapshot:
    """Show one run as it is at `now`, in epoch seconds."""
    health, detail = assess(watch, now=now)
    return RunSnapshot(
        key=watch.key,
        status=watch.status,
        status_reason=watch.status_reason,
        upstream_status=watch.upstream_status,
        agent_run_id=watch.agent_run_id,
        web_url=watch.web_url,
        health=health,
        health_detail=detail,
        last_log_at=_time(watch.last_log_at),
        log_count=watch.log_count,
        paused_scope="queue_only" if watch.paused_at is not None else None,
        cancel_deadline_at=_time(watch.cancel_deadline_at) if watch.status is Status.CANCELLING else None,
        deadline_at=_time(watch.deadline_at),
        finished_at=_time(watch.finished_at),
        result=watch.result,
        result_truncated=watch.result_truncated,
        allowed_actions=actions_on(watch),
    )


def _time(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds / 1000) if milliseconds is not None else None
