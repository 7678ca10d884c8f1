"""Pushing the events that the poller stores to connected viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from codegen_runs.events import Event
from codegen_runs.storage.runs import Watch


class Publisher(Protocol):
    """Pushes new events to the viewers of a run."""

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """Push events that were just stored. Raises nothing: a viewer who misses one reads it from the event log."""

    def catch_up(self, org_id: int, key: str) -> None:
        """Push the stored events of a run or a multi-run that its viewers have not been sent yet. Raises nothing."""

    def watched(self, watch: Watch) -> bool:
        """Return whether a viewer of the run is connected. Raises nothing."""


class NoViewers:
    """Pushes to nobody."""

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """See `Publisher.publish`."""

    def catch_up(self, org_id: int, key: str) -> None:
        """See `Publisher.catch_up`."""

    def watched(self, watch: Watch) -> bool:  # noqa: ARG002 - no run has viewers
        """See `Publisher.watched`."""
        return False
