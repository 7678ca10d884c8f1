"""The backlog of an organization: the runs of its multi-runs that are not launched yet, by multi-run."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """The runs of one multi-run that are not launched yet, also those that its state machine has yet to queue."""

    model_config = ConfigDict(frozen=True)

    caller: str
    runs: tuple[str, ...]
    """The keys of the runs, without the id of the multi-run that they begin with."""
    until: int
    """When the multi-run has ended in any case, in epoch milliseconds."""
    execution: int = 0
    """The last execution of the multi-run for which runs were counted."""


class Backlog(BaseModel):
    """The backlog of one organization. It is bounded by the most runs that an organization may have queued."""

    model_config = ConfigDict(frozen=True)

    multi_runs: dict[str, Entry] = {}
    rev: int = 0

    def count(self, now: int, caller: str | None = None) -> int:
        """Return how many runs wait: of one caller, or of all."""
        return sum(
            len(entry.runs)
            for entry in self.multi_runs.values()
            if entry.until > now and caller in (None, entry.caller)
        )

    def callers(self, now: int) -> int:
        """Return how many callers have runs that wait."""
        return len({entry.caller for entry in self.multi_runs.values() if entry.until > now})

    def added(
        self, multi_run_id: str, caller: str, keys: Iterable[str], *, execution: int, until: int, now: int
    ) -> Backlog:
        """Return the backlog with runs of a multi-run, and without multi-runs that have ended."""
        open_ = {name: entry for name, entry in self.multi_runs.items() if entry.until > now}
        entry = open_.get(multi_run_id, Entry(caller=caller, runs=(), until=until))
        # A run that is reserved twice counts once.
        runs = dict.fromkeys([*entry.runs, *(key.removeprefix(f"{multi_run_id}-") for key in keys)])
        most = {"until": max(until, entry.until), "execution": max(execution, entry.execution)}
        entry = entry.model_copy(update={"runs": tuple(runs), **most})
        return self.model_copy(update={"multi_runs": open_ | {multi_run_id: entry}})

    def without(self, multi_run_id: str, key: str) -> Backlog:
        """Return the backlog without a run of a multi-run; the same if the run is not in it."""
        entry = self.multi_runs.get(multi_run_id)
        left = tuple(run for run in entry.runs if f"{multi_run_id}-{run}" != key) if entry else ()
        return self._with(multi_run_id, left)

    def without_ended(self, multi_run_id: str, execution: int) -> Backlog:
        """Return the backlog after the end of an execution of a multi-run, without all its runs.

        If runs of a later execution are counted, nothing changes, and the same backlog is returned.
        """
        entry = self.multi_runs.get(multi_run_id)
        return self if entry is None or entry.execution > execution else self._with(multi_run_id, ())

    def _with(self, multi_run_id: str, left: tuple[str, ...]) -> Backlog:
        entry = self.multi_runs.get(multi_run_id)
        if entry is None or left == entry.runs:
            return self
        others = {name: other for name, other in self.multi_runs.items() if name != multi_run_id}
        changed = {multi_run_id: entry.model_copy(update={"runs": left})} if left else {}
        return self.model_copy(update={"multi_runs": others | changed})
