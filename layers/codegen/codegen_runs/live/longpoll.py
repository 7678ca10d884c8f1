"""The events of a log as JSON, by long poll."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_runs.live.entries import EventEntry, entry
from codegen_runs.live.reading import LATEST, Reader, RunReader, parse_cursor
from codegen_runs.runs.snapshots import RunSnapshot

# Seconds that a request may wait for events. API Gateway's limit for an answer is 29.
MAX_WAIT = 25


class Events(BaseModel):
    """Events that follow a cursor."""

    items: list[EventEntry]
    next_cursor: str = Field(description="Send it as `after` to get the events that follow, now or later.")
    has_more: bool = Field(
        description="Whether further events are already stored. With `before`, whether earlier events are stored."
    )
    ended: bool = Field(description="Whether it has ended and these are its last events.")
    expired: int = Field(0, description="How many events before these are missing, because they are no longer stored.")


class EventList(Events):
    """The events of a run that follow a cursor."""

    run: RunSnapshot
    ended: bool = Field(
        description=(
            "Whether the run has ended and these are its last events. Until the time in `run.log_final_at`, late log "
            "entries may still be added: read the events after `next_cursor` once more then."
        )
    )


def read(reader: RunReader, *, limit: int, until: float) -> EventList:
    """Read the reader's next events. If there are none yet, wait for them until the epoch second `until`.

    Raises `CursorExpired`.
    """
    found = page(reader, limit=limit, until=until)
    return EventList(**found, run=reader.snapshot())


def read_before(reader: RunReader, before: str, *, limit: int) -> EventList:
    """Read the newest events before a cursor, or the newest of all if it is `latest`. Raises `InvalidCursor`."""
    cursor = LATEST if before == "latest" else parse_cursor(before, reader.followed)
    events, has_more = reader.before(cursor, limit)
    return EventList(
        items=[entry(event, reader.followed.org_id) for event in events],
        next_cursor=reader.cursor,
        has_more=has_more,
        ended=reader.settled,
        run=reader.snapshot(),
    )


def page(reader: Reader[Any], *, limit: int, until: float) -> dict[str, Any]:
    """Read the next events of any log, and return the fields of `Events`. Raises `CursorExpired`."""
    events = reader.wait(until, limit)
    if events and not reader.followed.status.terminal:
        reader.refresh()
    return {
        "items": [entry(event, reader.followed.org_id) for event in events],
        "next_cursor": reader.cursor,
        "has_more": reader.behind,
        "ended": reader.settled,
        "expired": reader.expired,
    }
