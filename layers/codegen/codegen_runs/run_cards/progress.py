"""The log of a run as a user interface shows it: a page of entries, a summary of its tool calls, and the progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from codegen_api import AgentRunLog, AgentRunLogs
from codegen_runs.backend import Backend
from codegen_runs.events import shorten, timestamp
from codegen_runs.run_cards.cards import duration, status_of
from codegen_runs.run_cards.details import upstream_id
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

THOUGHT_CHARACTERS = 200


class ToolUse(BaseModel):
    """The calls of one tool in this page."""

    tool_name: str
    calls: int
    pending: int = Field(description="Calls without an output yet.")
    first_at: str | None
    last_at: str | None


class Step(BaseModel):
    """The agent's last log entry."""

    message_type: str | None
    tool_name: str | None
    thought: str | None
    at: str | None


class Progress(BaseModel):
    """The progress of a run."""

    status: Status
    upstream_status: str | None
    entries: int = Field(description="The number of entries in the log.")
    latest: Step | None
    elapsed_seconds: float | None = Field(
        description="The time from the run's creation to its last log entry, or to now while the run has not ended."
    )
    percent: int | None = Field(description="100 once the run has ended; null before, because it cannot be known.")


class RunCardLogs(BaseModel):
    """One page of a run's log, oldest first."""

    id: int | None
    logs: list[dict[str, Any]] = Field(description="The Codegen API's entries, each with its `position`.")
    total_logs: int
    skip: int
    limit: int
    has_more: bool
    tools: list[ToolUse] = Field(description="The tools in this page, in the order of their first use.")
    tools_complete: bool = Field(description="Whether this page is the whole log.")
    errors: int = Field(description="Entries of this page that report an error.")
    progress: Progress


def read(run_id: str, *, org_id: int, skip: int, limit: int, backend: Backend) -> RunCardLogs:
    """Read a page of a run's log, and the newest entry with a second call if the page does not contain it.

    Raises `RunNotFound`, `CodegenAPIError`, `StorageUnavailable`.
    """
    agent_run_id, watch = upstream_id(run_id, org_id=org_id, backend=backend)
    if agent_run_id is None:
        return _empty(watch, skip, limit)
    answer = backend.codegen.runs.logs(agent_run_id, org_id=org_id, skip=skip, limit=limit)
    total = skip + len(answer.logs) if answer.total_logs is None else answer.total_logs
    watch = watch or backend.runs.find(org_id, agent_run_id)
    status = status_of(answer.status, watch)
    if answer.logs and skip + len(answer.logs) >= total:
        latest: AgentRunLog | None = answer.logs[-1]
    else:
        newest = [] if not total else backend.codegen.runs.logs(agent_run_id, org_id=org_id, limit=1, reverse=True).logs
        latest = newest[0] if newest else None
    return RunCardLogs(
        id=agent_run_id,
        logs=[log.model_dump(mode="json") | {"position": skip + index} for index, log in enumerate(answer.logs)],
        total_logs=total,
        skip=skip,
        limit=limit,
        has_more=skip + len(answer.logs) < total,
        tools=_tools(answer.logs),
        tools_complete=len(answer.logs) >= total,
        errors=sum(log.message_type == "ERROR" for log in answer.logs),
        progress=Progress(
            status=status,
            upstream_status=answer.status,
            entries=total,
            latest=_step(latest) if latest else None,
            elapsed_seconds=_elapsed(answer, latest, status, backend.clock.now()),
            percent=100 if status.terminal else None,
        ),
    )


def _empty(watch: Watch | None, skip: int, limit: int) -> RunCardLogs:
    status = watch.shown_status if watch else Status.UNKNOWN
    return RunCardLogs(
        id=None,
        logs=[],
        total_logs=0,
        skip=skip,
        limit=limit,
        has_more=False,
        tools=[],
        tools_complete=True,
        errors=0,
        progress=Progress(
            status=status,
            upstream_status=None,
            entries=0,
            latest=None,
            elapsed_seconds=None,
            percent=100 if status.terminal else None,
        ),
    )


def _elapsed(answer: AgentRunLogs, latest: AgentRunLog | None, status: Status, now: float) -> float | None:
    if answer.created_at is None:
        return None
    ended = latest.created_at.timestamp() if latest and latest.created_at else None
    return duration(answer.created_at.timestamp(), ended if status.terminal else now)


def _tools(logs: Sequence[AgentRunLog]) -> list[ToolUse]:
    by_name: dict[str, list[AgentRunLog]] = {}
    for log in logs:
        if log.tool_name:
            by_name.setdefault(log.tool_name, []).append(log)
    return [
        ToolUse(
            tool_name=name,
            calls=len(calls),
            pending=sum(call.tool_output is None for call in calls),
            first_at=_moment(calls[0]),
            last_at=_moment(calls[-1]),
        )
        for name, calls in by_name.items()
    ]


def _step(log: AgentRunLog) -> Step:
    return Step(
        message_type=log.message_type,
        tool_name=log.tool_name,
        thought=shorten(log.thought, THOUGHT_CHARACTERS)[0],
        at=_moment(log),
    )


def _moment(log: AgentRunLog) -> str | None:
    return timestamp(log.created_at.timestamp()) if log.created_at else None
