"""What a run that we follow is doing, as callers see it."""

from __future__ import annotations

from pydantic import BaseModel

from codegen_runs.events import timestamp
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class RunSnapshot(BaseModel):
    """One run, at one moment."""

    status: Status
    status_reason: str | None = None
    upstream_status: str | None = None
    agent_run_id: int | None = None
    web_url: str | None = None
    last_log_at: str | None = None
    log_count: int = 0
    finished_at: str | None = None
    result: str | None = None
    result_truncated: bool = False


def run_snapshot(watch: Watch) -> RunSnapshot:
    """Show one run."""
    return RunSnapshot(
        status=watch.status,
        status_reason=watch.status_reason,
        upstream_status=watch.upstream_status,
        agent_run_id=watch.agent_run_id,
        web_url=watch.web_url,
        last_log_at=_time(watch.last_log_at),
        log_count=watch.log_count,
        finished_at=_time(watch.finished_at),
        result=watch.result,
        result_truncated=watch.result_truncated,
    )


def _time(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds / 1000) if milliseconds is not None else None
