"""Events in the form in which viewers get them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_runs.events import Event
from codegen_runs.links import link_to_run

_IN_PREVIEW = ("turn", "status", "position")


class EventEntry(BaseModel):
    """One event of a run."""

    id: str = Field(description="Send it as `after` to get the events that follow this one.")
    epoch: int = Field(description="How often the Codegen API had rewritten the run's history before this event.")
    seq: int = Field(description="The number of the event in its run, without gaps.")
    type: str
    run_id: int | None = Field(None, description="Null for an event before the launch of the run.")
    ts: str = Field(description="When the event was stored.")
    v: int
    data: dict[str, Any]
    link: str | None = Field(None, description="Where to read the whole entry, if `data` contains only previews of it.")


def entry(event: Event, org_id: int) -> EventEntry:
    """Return an event as an entry. If only a preview of its log entry is stored, add a link to the whole log entry."""
    link = _link(event, org_id) if event.data.get("truncated") else None
    return EventEntry(id=event.id, link=link, **event.model_dump())


def preview(event: Event, org_id: int) -> EventEntry:
    """Return the entry of an event that is too large to send: only its identifying data, and a link to the whole."""
    data = {name: event.data[name] for name in _IN_PREVIEW if name in event.data}
    short = event.model_copy(update={"data": data | {"truncated": True}})
    return EventEntry(id=event.id, link=_link(event, org_id), **short.model_dump())


def _link(event: Event, org_id: int) -> str:
    """Return the path of the log entry of an event, or of its run."""
    run = link_to_run(org_id, event.run_id)
    return f"{run}/logs?skip={event.data['position']}&limit=1" if "position" in event.data else run
