"""Recording the ends of candidates in the event logs of their multi-runs."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs import leaving, recording
from codegen_runs.poller.publisher import Publisher
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import Cancel, Watch


class Candidates(Protocol):
    """Records the ends of candidates."""

    def ended(self, watch: Watch) -> None:
        """Record the end of a run, if it is a candidate. Raises `StorageUnavailable`."""

    def unwanted(self, watch: Watch) -> Cancel | None:
        """Return why a queued run is not to be launched, if so. Raises `StorageUnavailable`."""

    def left(self, watch: Watch) -> float:
        """Return the share of the candidates that have not ended, of those with which a candidate was launched.

        Raises `StorageUnavailable`.
        """


class NoMultiRuns:
    """Records nothing."""

    def ended(self, watch: Watch) -> None:
        """See `Candidates.ended`."""

    def unwanted(self, watch: Watch) -> None:
        """See `Candidates.unwanted`."""

    def left(self, watch: Watch) -> float:  # noqa: ARG002 - nothing is known of any multi-run
        """See `Candidates.left`."""
        return 1.0


class RecordedCandidates:
    """Records each end once, and pushes its events to the viewers of the multi-run.

    The threads of a poller often find the ends of several candidates at once. One of them records all that wait, in one
    write: otherwise they would keep each other from writing the record of the multi-run.

    Args:
        backend: The clock and the tables.
        publisher: Pushes the events.
    """

    def __init__(self, backend: Backend, publisher: Publisher) -> None:
        self._backend = backend
        self._publisher = publisher
        self._waiting: dict[tuple[int, str], list[Watch]] = {}
        self._adding = Lock()
        self._recording = Lock()
        # The share that is left of each multi-run, and when its record was read, in epoch milliseconds.
        self._left: dict[tuple[int, str], tuple[float, int]] = {}

    def ended(self, watch: Watch) -> None:
        """See `Candidates.ended`."""
        if watch.multi_run_id is None or watch.is_internal:
            return
        place = (watch.org_id, watch.multi_run_id)
        with self._adding:
            self._waiting.setdefault(place, []).append(watch)
        with self._recording:
            with self._adding:
                ended = self._waiting.pop(place, [])
            if not ended:
                return  # Another thread has recorded it.
            try:
                multi_run, is_changed = recording.candidates_ended(ended, backend=self._backend)
            except BaseException:
                with self._adding:  # The other threads try it themselves.
                    self._waiting.setdefault(place, []).extend(each for each in ended if each is not watch)
                raise
        if multi_run is None:
            return
        self._left[place] = (share_left(multi_run), milliseconds(self._backend.clock.now()))
        if is_changed:
            self._publisher.catch_up(multi_run.org_id, multi_run.key)
        leaving.carry_out(multi_run, backend=self._backend)

    def unwanted(self, watch: Watch) -> Cancel | None:
        """See `Candidates.unwanted`.

        A state machine may queue a run at the moment at which its multi-run ends or its candidate is dropped. Such a
        run is not launched, because the budgets do not count it any more.
        """
        if watch.multi_run_id is None:
            return None
        multi_run = self._backend.multi_runs.get(watch.org_id, watch.multi_run_id)
        return leaving.reason(multi_run, watch) if multi_run else None

    def left(self, watch: Watch) -> float:
        """See `Candidates.left`. The record is read once, and again for a candidate that was launched after that."""
        place = (watch.org_id, watch.multi_run_id or "")
        share, read_at = self._left.get(place, (1.0, 0))
        if read_at <= (watch.launching_since or 0):
            now = milliseconds(self._backend.clock.now())
            multi_run = self._backend.multi_runs.get(*place)
            share = share_left(multi_run) if multi_run else 1.0
            self._left[place] = (share, now)
        return share


def share_left(multi_run: MultiRun) -> float:
    """Return the share of the candidates that have not ended, of those that the state machine waits for."""
    awaited = [
        index for index in map(str, multi_run.waves[-1] if multi_run.waves else []) if index not in multi_run.dropped
    ]
    left = [index for index in awaited if index not in multi_run.outcomes]
    return len(left) / len(awaited) if awaited else 1.0
