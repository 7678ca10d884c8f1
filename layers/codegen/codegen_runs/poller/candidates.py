"""Recording the ends of candidates in the event logs of their multi-runs."""

from __future__ import annotations

from typing import Protocol

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import recording
from codegen_runs.poller.publisher import Publisher
from codegen_runs.storage.runs import Watch


class Candidates(Protocol):
    """Records the ends of candidates."""

    def ended(self, watch: Watch) -> None:
        """Record the end of a run, if it is a candidate. Raises `StorageUnavailable`."""


class NoMultiRuns:
    """Records nothing."""

    def ended(self, watch: Watch) -> None:
        """See `Candidates.ended`."""


class RecordedCandidates:
    """Records each end once, and pushes its events to the viewers of the multi-run.

    Args:
        backend: The clock and the tables.
        publisher: Pushes the events.
    """

    def __init__(self, backend: Backend, publisher: Publisher) -> None:
        self._backend = backend
        self._publisher = publisher

    def ended(self, watch: Watch) -> None:
        """See `Candidates.ended`."""
        if watch.multi_run_id is None or watch.is_internal:
            return
        if multi_run := recording.candidate_ended(watch, backend=self._backend):
            self._publisher.catch_up(multi_run.org_id, multi_run.key)
