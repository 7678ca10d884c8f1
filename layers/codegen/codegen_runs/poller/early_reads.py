"""Reading the candidates that are left before they are due, because the answer of their multi-run waits for the last.

How many are left is known only after the candidates that are due have been read. So these reads are planned in memory,
and the watches keep the time at which they are due anyway: a tick that ends forgets the plan, and nothing is lost.
"""

from __future__ import annotations

from codegen_runs.poller.candidates import Candidates
from codegen_runs.runs.schedule import early_read_interval
from codegen_runs.storage.runs import Watch

Place = tuple[int, str]
"""The organization and the key of a watch."""


class EarlyReads:
    """The candidates that this tick has read and that have not ended. Times are in epoch seconds.

    Args:
        candidates: Knows how many candidates are left.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._read: dict[Place, tuple[Watch, float]] = {}

    def note(self, watch: Watch, *, now: float) -> None:
        """Note that a run was read, and is due again at `watch.due_at`."""
        if watch.multi_run_id is not None and not watch.is_internal:
            self._read[watch.org_id, watch.key] = (watch, now)

    def forget(self, place: Place) -> None:
        """Leave a run to the time at which it is due."""
        self._read.pop(place, None)

    def planned(self, *, at_least: float = 0.0) -> dict[Place, float]:
        """Return when each of these candidates is read, if that is before it is due. Raises `StorageUnavailable`.

        Args:
            at_least: The interval at which all followed runs together keep to the limit of the Codegen API.
        """
        planned = {}
        for place, (watch, read_at) in self._read.items():
            interval = (watch.due_at or 0) / 1000 - read_at
            early = early_read_interval(interval, left=self._candidates.left(watch), at_least=at_least)
            if early < interval:
                planned[place] = read_at + early
        return planned
