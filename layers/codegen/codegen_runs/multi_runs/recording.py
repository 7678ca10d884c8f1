"""Storing changes of a multi-run with their events: the record and its event log are written in one transaction.

The event log is like that of a run, with the id of the multi-run as its key: the live views read both in the same way.
The record contains what the events add up to, so each event is written once, however often a task is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import transitions
from codegen_runs.multi_runs.judging import candidate
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.storage.multi_runs import Action, MultiRun
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.table import ConditionFailed


def add(multi_run: MultiRun, warnings: Sequence[dict[str, Any]] = (), *, backend: Backend) -> MultiRun:
    """Store a new multi-run with its first events; `warnings` are the data of those about budgets.

    Raises `ConditionFailed` if the id exists already.
    """
    change = transitions.created(multi_run, warnings, now=backend.clock.now())
    multi_run = multi_run.model_copy(update=change.fields)
    also = backend.runs.event_actions(multi_run.org_id, multi_run.key, change.events)
    backend.multi_runs.add(multi_run, also=also)
    return multi_run


def update(
    multi_run: MultiRun, decide: Callable[[MultiRun], Change | None], *, backend: Backend
) -> tuple[MultiRun, bool]:
    """Store what `decide` makes of a multi-run. If it was written in the meantime, decide again.

    Args:
        multi_run: The multi-run as it was read.
        decide: Returns the change, or None if there is nothing to change. It may raise.
        backend: The tables.

    Returns:
        The multi-run as stored, and whether this changed it.
    """
    while change := decide(multi_run):
        try:
            return store(multi_run, change, backend=backend), True
        except ConditionFailed:
            multi_run = backend.multi_runs.get(multi_run.org_id, multi_run.id) or multi_run
    return multi_run, False


def store(multi_run: MultiRun, change: Change, *, also: Sequence[Action] = (), backend: Backend) -> MultiRun:
    """Store a change of a multi-run as it was read, with further actions of the transaction; return the new state.

    Raises `ConditionFailed` if it was written since it was read, or if an action fails.
    """
    events = backend.runs.event_actions(multi_run.org_id, multi_run.key, change.events)
    return backend.multi_runs.advance(multi_run, change.status, also=[*events, *also], **change.fields)


def candidates_ended(watches: Sequence[Watch], *, backend: Backend) -> tuple[MultiRun | None, bool]:
    """Record the ends of runs of one multi-run.

    Returns:
        The multi-run, None if there is none; and whether this changed it.

    Raises `StorageUnavailable`.
    """
    first, now = watches[0], backend.clock.now()
    multi_run = backend.multi_runs.get(first.org_id, first.multi_run_id or "")
    if multi_run is None:
        return None, False

    def decide(multi_run: MultiRun) -> Change | None:
        keys = multi_run.candidate_keys
        ended = [candidate(multi_run, keys.index(each.key), each) for each in watches if each.key in keys]
        return transitions.candidates_ended(multi_run, ended, now=now)

    return update(multi_run, decide, backend=backend)
