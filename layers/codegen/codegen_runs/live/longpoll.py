"""A run's events as JSON, by long poll."""

from __future__ import annotations

from pydantic import BaseModel, Field

from codegen_runs.live.entries import EventEntry, entry
from codegen_runs.live.reading import Reader
from codegen_runs.runs.snapshots import RunSnapshot

# Seconds that a request may wait for events. API Gateway's limit for an answer is 29.
MAX_WAIT = 25


class EventList(BaseModel):
    """The events of a run that follow a cursor."""

    run: RunSnapshot
    items: list[EventEntry]
    next_cursor: str = Field(description="Send it as `after` to get the events that follow, now or later.")
    has_more: bool = Field(description="Whether further events are already stored.")
    ended: bool = Field(
        description=(
            "Whether the run has ended and these are its last events. Until the time in `run.log_final_at`, late log "
            "entries may still be added: read the events after `next_cursor` once more then."
        )
    )
    expired: int = Field(0, description="How many events before these are missing, because they are no longer stored.")


def read(reader: Reader, *, limit: int, until: float) -> EventList:
    """Read the reader's next events. If there are none yet, wait for them until the epoch second `until`.

    Raises `CursorExpired`.
    """
    events = reader.wait(until, limit)
    if events and not reader.watch.status.terminal:
        reader.refresh()
    return EventList(
        run=reader.snapshot(),
        items=[entry(event, reader.watch.org_id) for event in events],
        next_cursor=reader.cursor,
        has_more=reader.behind,
        ended=reader.settled,
        expired=reader.expired,
    )
