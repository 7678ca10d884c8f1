"""Events as viewers get them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_runs.events import Event
from codegen_runs.live.reading import run_path

_NAMING = ("turn", "status", "position")


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
    """Show an event; one that was too large to be stored whole has a link to the log entry it is a preview of."""
    link = _whole(event, org_id) if event.data.get("truncated") else None
    return EventEntry(id=event.id, link=link, **event.model_dump())


def preview(event: Event, org_id: int) -> EventEntry:
    """Show of an event only what names it, with a link to the whole, for where there is no room for more."""
    kept = {name: event.data[name] for name in _NAMING if name in event.data}
    shown = event.model_copy(update={"data": kept | {"truncated": True}})
    return EventEntry(id=event.id, link=_whole(event, org_id), **shown.model_dump())


def _whole(event: Event, org_id: int) -> str:
    run = run_path(org_id, event.run_id)
    return f"{run}/logs?skip={event.data['position']}&limit=1" if "position" in event.data else run
