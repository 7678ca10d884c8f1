"""Reading the event log of a multi-run. It has the cursors, the views and the limits of a run's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from codegen_runs.backend import Backend
from codegen_runs.events import Event
from codegen_runs.live.longpoll import Events, page
from codegen_runs.live.reading import START, Reader, parse_cursor
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunState, link_to, state
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus

_TERMINAL_TYPES = {f"multi_run.{status}" for status in MultiRunStatus if status.terminal}


class MultiRunEvents(Events):
    """The events of a multi-run that follow a cursor."""

    multi_run: MultiRunState = Field(description="The multi-run as it is now, without its runs.")


@dataclass
class MultiRunReader(Reader[MultiRun]):
    """One viewer's place in the event log of one multi-run."""

    @property
    def links(self) -> Mapping[str, str]:
        """See `Reader.links`."""
        return {"multi_run": link_to(self.followed)}

    def snapshot(self) -> MultiRunState:
        """See `Reader.snapshot`."""
        return state(self.followed)

    def refresh(self) -> None:
        """See `Reader.refresh`. Viewers of a multi-run change nothing: its events come from its runs."""
        self.followed = self.current() or self.followed

    def current(self) -> MultiRun | None:
        """See `Reader.current`."""
        return self.backend.multi_runs.get(self.followed.org_id, self.followed.id)

    @staticmethod
    def ends(event: Event) -> bool:
        """See `Reader.ends`."""
        return event.type in _TERMINAL_TYPES


def open_multi_run_reader(*, org_id: int, multi_run_id: str, after: str | None, backend: Backend) -> MultiRunReader:
    """Return a reader of a multi-run's events.

    Args:
        org_id: The organization, which the caller is in.
        multi_run_id: The multi-run.
        after: The id of the last event that the viewer has seen; None for all events.
        backend: The clock and the tables.

    Raises `MultiRunNotFound`, `InvalidCursor`, `StorageUnavailable`.
    """
    multi_run = service.find(org_id, multi_run_id, backend=backend)
    return MultiRunReader(backend, multi_run, parse_cursor(after, multi_run) if after else START)


def read(reader: MultiRunReader, *, limit: int, until: float) -> MultiRunEvents:
    """Read the reader's next events. If there are none yet, wait for them until the epoch second `until`.

    Raises `CursorExpired`, `StorageUnavailable`.
    """
    found = page(reader, limit=limit, until=until)
    return MultiRunEvents(**found, multi_run=reader.snapshot())
