"""How a turn ended, with the agent's answer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from codegen_runs.events import Event
from codegen_runs.live.reading import RunReader
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status


class Metrics(BaseModel):
    """Figures about a turn. The Codegen API reports neither tokens nor cost."""

    duration_seconds: float = Field(description="From the message to the end of the turn.")
    log_entries: int = Field(description="How many entries the run's log has, over all turns.")


class Outcome(BaseModel):
    """The end of a turn."""

    turn: int
    status: Status
    reason: str | None = None
    response: str | None = None
    response_truncated: bool = False
    metrics: Metrics | None = None


def outcome(end: Event, reader: RunReader) -> Outcome:
    """Return how a turn ended, from its terminal event. Raises `StorageUnavailable`.

    Only the whole answer of the run's last turn is stored. For an earlier turn, the outcome contains the beginning of
    the answer and no metrics.
    """
    turn, preview = end.data["turn"], end.data.get("result_preview")
    watch = reader.backend.runs.get(reader.watch.org_id, reader.watch.key) or reader.watch
    status, reason = Status(end.data["status"]), end.data.get("reason")
    if watch.turn != turn or not watch.status.terminal:
        return Outcome(
            turn=turn, status=status, reason=reason, response=preview, response_truncated=preview is not None
        )
    began, ended = watch.turn_since or watch.created_at, watch.finished_at or watch.updated_at
    return Outcome(
        turn=turn,
        status=status,
        reason=reason,
        response=redact(watch.result),
        response_truncated=watch.result_truncated,
        metrics=Metrics(duration_seconds=max(0, ended - began) / 1000, log_entries=watch.log_count),
    )
