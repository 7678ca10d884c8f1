"""The state of a followed run, as callers see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from codegen_runs.events import timestamp
from codegen_runs.runs.actions import AllowedAction, actions_on
from codegen_runs.runs.health import RunHealth, assess
from codegen_runs.runs.schedule import log_final_at
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class RunSnapshot(BaseModel):
    """The state of a run at one moment."""

    key: str | None = Field(
        None,
        description="This deployment's name for the run. Paths accept it as {agent_run_id}, also before the launch.",
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
        None,
        description=(
            "Set while the run is paused. A paused run sends nothing to the Codegen API, but an agent that is already "
            "at work continues."
        ),
    )
    cancel_deadline_at: str | None = Field(
        None, description="The time by which the Codegen API must confirm a cancel; after it, the cancel is given up."
    )
    deadline_at: str | None = Field(None, description="The time at which this deployment ends the run at the latest.")
    finished_at: str | None = None
    log_final_at: str | None = Field(
        None,
        description=(
            "Set for a while after the end of the run. Until about this time the Codegen API may still fill in or "
            "rewrite log entries. Then read the events after your cursor once more."
        ),
    )
    result: str | None = None
    result_truncated: bool = False
    allowed_actions: list[AllowedAction] = []


def run_snapshot(watch: Watch, *, now: float) -> RunSnapshot:
    """Return the snapshot of a run at `now`, in epoch seconds."""
    health, detail = assess(watch, now=now)
    return RunSnapshot(
        key=watch.key,
        status=watch.shown_status,
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
        log_final_at=_time(log_final_at(watch)),
        result=watch.result,
        result_truncated=watch.result_truncated,
        allowed_actions=actions_on(watch),
    )


def _time(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds / 1000) if milliseconds is not None else None
