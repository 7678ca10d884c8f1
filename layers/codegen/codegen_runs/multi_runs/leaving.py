"""Letting go of the runs of dropped candidates."""

from __future__ import annotations

from codegen_runs.backend import Backend
from codegen_runs.runs.following import leave
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import Cancel, Watch


def carry_out(multi_run: MultiRun, *, backend: Backend) -> list[Watch]:
    """Cancel the runs of dropped candidates that are not launched, and wait for no other run of theirs.

    This can be repeated. Return the runs that it changed. Raises `StorageUnavailable`.
    """
    left = []
    for index, drop in multi_run.dropped.items():
        watch = backend.runs.get(multi_run.org_id, multi_run.candidate_key(int(index)))
        if watch is None or watch.status.terminal or watch.unawaited:
            continue
        cancel = Cancel(requested_at=drop.at, requested_by=drop.by or multi_run.created_by, reason=drop.reason)
        left.append(leave(watch, cancel, backend=backend))
    return left
