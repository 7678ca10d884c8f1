"""Events as viewers get them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from codegen_runs.events import Event
from codegen_runs.live.subscriptions import run_path


class EventEntry(BaseModel):
    """One event of a run."""

    id: str = Field(description="Its place in the log; send it as `after` to get what follows.")
    epoch: int = Field(description="Counts how often the Codegen API rewrote the history of the run.")
    seq: int = Field(description="Counts the events of the run, without a gap.")
    type: str
    run_id: int | None = Field(None, description="Null before the run is launched.")
    ts: str = Field(description="When it was stored.")
    v: int
    data: dict[str, Any]
    link: str | None = Field(None, description="Where the whole entry is, if data holds previews of it.")


def entry(event: Event, org_id: int) -> EventEntry:
    """Show an event; one that was too large to be stored whole has a link to the log entry it is a preview of."""
    link = None
    if event.data.get("truncated") and "position" in event.data:
        link = f"{run_path(org_id, event.run_id)}/logs?skip={event.data['position']}&limit=1"
    return EventEntry(id=event.id, link=link, **event.model_dump())
