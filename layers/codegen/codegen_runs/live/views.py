"""How a viewer is shown the events of a run: as frames, with names and data and a place to go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from codegen_runs.events import Event
from codegen_runs.live.entries import entry
from codegen_runs.live.reading import Reader


class Frame(NamedTuple):
    """One thing that a viewer is told."""

    name: str
    data: Mapping[str, Any]
    id: str | None = None
    """The event that it tells to its end, after which a viewer who comes back goes on; None where it tells none."""


class View(Protocol):
    """A way to show a run. One instance serves one viewer."""

    over: bool
    """Whether the viewer has seen all that this view shows, though the run may go on."""

    def opening(self, reader: Reader) -> Frame:
        """Make what every viewer is told first, wherever she goes on from."""

    def show(self, events: Sequence[Event], reader: Reader) -> Sequence[Frame]:
        """Make the frames of events that follow one another. Raises `StorageUnavailable`."""


class LogView:
    """Every event, as it is in the log."""

    over = False

    def opening(self, reader: Reader) -> Frame:
        """See `View.opening`."""
        snapshot = reader.snapshot().model_dump(mode="json")
        return Frame("run.snapshot", snapshot | {"expired": reader.expired})

    def show(self, events: Sequence[Event], reader: Reader) -> Sequence[Frame]:
        """See `View.show`."""
        return [shown(event, reader) for event in events]


def shown(event: Event, reader: Reader) -> Frame:
    """Show one event as it is."""
    told = entry(event, reader.watch.org_id)
    return Frame(event.type, told.model_dump(mode="json", exclude=set() if told.link else {"link"}), event.id)
