"""Views of the events of a log as frames, each with a name, data, and the event id from which to continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from codegen_runs.events import Event
from codegen_runs.live.entries import entry
from codegen_runs.live.reading import Reader


class Frame(NamedTuple):
    """One message to a viewer."""

    name: str
    data: Mapping[str, Any]
    id: str | None = None
    """The id of the event that this frame completes, from which a viewer continues; None if it completes none."""


class View(Protocol):
    """A way to show the events of a log. One instance serves one viewer."""

    over: bool
    """Whether this view has no more to show, even if the run continues."""

    def opening(self, reader: Any) -> Frame:
        """Return the first frame, which every viewer gets, at any cursor. A view may take one kind of reader only."""

    def show(self, events: Sequence[Event], reader: Any) -> Sequence[Frame]:
        """Return the frames of consecutive events. Raises `StorageUnavailable`."""


class LogView:
    """Every event, as in the log.

    Args:
        kind: What the log is of: `run` or `multi_run`.
    """

    over = False

    def __init__(self, kind: str = "run") -> None:
        self._kind = kind

    def opening(self, reader: Reader[Any]) -> Frame:
        """See `View.opening`."""
        snapshot = reader.snapshot().model_dump(mode="json")
        return Frame(f"{self._kind}.snapshot", snapshot | {"expired": reader.expired})

    def show(self, events: Sequence[Event], reader: Reader[Any]) -> Sequence[Frame]:
        """See `View.show`."""
        return [log_frame(event, reader) for event in events]


def log_frame(event: Event, reader: Reader[Any]) -> Frame:
    """Return the frame of one event as in the log."""
    shown = entry(event, reader.followed.org_id)
    return Frame(event.type, shown.model_dump(mode="json", exclude=set() if shown.link else {"link"}), event.id)
