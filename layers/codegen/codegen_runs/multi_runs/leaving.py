"""Letting go of runs that are not needed any more: those of dropped candidates, and those of an ended multi-run."""

from __future__ import annotations

from codegen_runs.backend import Backend
from codegen_runs.budgets import spending
from codegen_runs.limits import backlogs
from codegen_runs.runs import transitions
from codegen_runs.runs.following import leave
from codegen_runs.storage.multi_runs import Drop, MultiRun
from codegen_runs.storage.runs import Cancel, Watch
from codegen_runs.storage.table import ConditionFailed


def carry_out(multi_run: MultiRun, *, backend: Backend) -> list[Watch]:
    """Cancel the runs of dropped candidates that are not launched, and wait for no other run of theirs.

    This can be repeated. Return the runs that it changed. Raises `StorageUnavailable`.
    """
    left = []
    for index, drop in multi_run.dropped.items():
        watch = backend.runs.get(multi_run.org_id, multi_run.candidate_key(int(index)))
        if watch is None or watch.status.terminal or watch.unawaited:
            continue
        left.append(leave(watch, _cancel(multi_run, drop), backend=backend))
    if left:
        give_back(multi_run, backend=backend)
    return left


def release(multi_run: MultiRun, *, backend: Backend) -> None:
    """Count the runs that a multi-run that has ended did not launch neither as queued nor in the budgets."""
    backlogs.release(multi_run.id, execution=multi_run.execution, org_id=multi_run.org_id, backend=backend)
    give_back(multi_run, backend=backend)


def give_back(multi_run: MultiRun, *, backend: Backend) -> None:
    """Count runs in the budgets no more that the multi-run certainly does not launch.

    While it is open, these are the runs of dropped candidates; when it has ended, all that were not launched, and those
    that are queued are cancelled. The poller launches no run of a dropped candidate or of a multi-run that has ended
    (see `reason`), so a run without a watch is not launched. A run whose launch is under way or had no answer stays
    counted. Raises `StorageUnavailable`.
    """
    org_id = multi_run.org_id
    if multi_run.status.terminal:
        watches = _withdrawn(multi_run, backend.runs.get_many(org_id, multi_run.every_key), backend)
        launched = [key for key, watch in watches.items() if not watch.left_no_run]
        spending.release(multi_run.id, launched, execution=multi_run.execution, org_id=org_id, backend=backend)
        return
    # Read one by one, because the function that queues runs may not read batches.
    found = {key: backend.runs.get(org_id, key) for key in map(multi_run.candidate_key, map(int, multi_run.dropped))}
    dropped = [key for key, watch in found.items() if watch is None or watch.left_no_run]
    spending.give_back_dropped(multi_run.id, dropped, org_id=org_id, backend=backend)


def reason(multi_run: MultiRun, watch: Watch) -> Cancel | None:
    """Return why a queued run of a multi-run is not to be launched; None if it is."""
    if multi_run.status.terminal:
        at = multi_run.finished_at or watch.created_at
        return Cancel(
            requested_at=at, requested_by=multi_run.created_by, reason=f"The multi-run is {multi_run.status}."
        )
    if watch.key not in multi_run.current_keys:
        at = multi_run.reopened_at or watch.created_at
        return Cancel(requested_at=at, requested_by=multi_run.created_by, reason="A later attempt takes its place.")
    for index, drop in multi_run.dropped.items():
        if multi_run.candidate_key(int(index)) == watch.key:
            return _cancel(multi_run, drop)
    return None


def _withdrawn(multi_run: MultiRun, watches: dict[str, Watch], backend: Backend) -> dict[str, Watch]:
    """Cancel the runs of a multi-run that has ended which are queued; return the new states of all its runs.

    A run that the poller launches at the same moment is not cancelled, and nothing is once a retry has begun.
    """
    queued = [watch for watch in watches.values() if watch.unlaunched]
    left = [_cancelled(multi_run, watch, backend) for watch in queued]
    if left:
        backend.kick(*left)
    return watches | {watch.key: watch for watch in left}


def _cancelled(multi_run: MultiRun, watch: Watch, backend: Backend) -> Watch:
    """Cancel a run while it is queued and its multi-run does not go on; return its new state.

    The multi-run is read after the run. A retry that waits for the run touches it, so the write fails.
    """
    while watch.unlaunched:
        current = backend.multi_runs.get(multi_run.org_id, multi_run.id)
        if current is None or not (cancel := reason(current, watch)):
            return watch
        try:
            return backend.runs.write(*transitions.cancelled(watch, cancel, now=backend.clock.now()))
        except ConditionFailed:
            watch = backend.runs.get(watch.org_id, watch.key) or watch
    return watch


def _cancel(multi_run: MultiRun, drop: Drop) -> Cancel:
    return Cancel(requested_at=drop.at, requested_by=drop.by or multi_run.created_by, reason=drop.reason)
