"""Caps on the queued runs of an organization and of each of its callers.

A multi-run counts with all its runs, the synthesis included, from its creation on. A run counts until it is launched or
has ended. A request that starts or continues one run is refused while its caller has as many queued runs as a caller
may have, or the organization as many as an organization may have. A caller without queued runs may always send it, so
that nobody has to wait for the queue of a colleague.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.problems import RateLimited, StorageUnavailable
from codegen_runs.storage.backlogs import Backlog
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)


class TooManyQueuedRuns(RateLimited):
    """The caller or the organization has as many queued runs as are allowed."""

    code = "too_many_queued_runs"
    remedy = "Wait until queued runs are launched, or cancel multi-runs that you no longer need. Then retry."


def reserve(
    multi_run_id: str,
    keys: Sequence[str],
    *,
    execution: int,
    org_id: int,
    caller: Caller,
    until: int,
    backend: Backend,
) -> None:
    """Count runs of a multi-run as queued, all of them or none.

    Args:
        multi_run_id: The multi-run.
        keys: The keys of the runs.
        execution: The execution of the multi-run that queues them.
        org_id: The organization.
        caller: The caller who starts them.
        until: When it has ended in any case, in epoch milliseconds.
        backend: The clock and the runs table.

    Raises:
        TooManyQueuedRuns: That would be too many; nothing was stored.
        StorageUnavailable: The table cannot be reached.
    """
    now = milliseconds(backend.clock.now())
    while True:
        backlog = backend.runs.get_backlog(org_id)
        if refused := _refusal(backlog, len(keys), caller=caller, now=now, backend=backend):
            raise refused
        try:
            added = backlog.added(multi_run_id, caller.id, keys, execution=execution, until=until, now=now)
            backend.runs.put_backlog(org_id, added)
        except ConditionFailed:
            continue
        return


def refusal(count: int, *, org_id: int, caller: Caller, backend: Backend) -> TooManyQueuedRuns | None:
    """Return why a multi-run with so many runs would be refused now; None if it would not be.

    Raises `StorageUnavailable`.
    """
    now = milliseconds(backend.clock.now())
    return _refusal(backend.runs.get_backlog(org_id), count, caller=caller, now=now, backend=backend)


def leave(multi_run_id: str, key: str, *, org_id: int, backend: Backend) -> None:
    """Count a run of a multi-run as queued no more.

    If the table cannot be reached, it counts until the multi-run's latest end.
    """
    try:
        backend.runs.leave_backlog(org_id, multi_run_id, key)
    except StorageUnavailable:
        logger.warning("A run still counts as queued.", extra={"run_key": key})


def release(multi_run_id: str, *, execution: int, org_id: int, backend: Backend) -> None:
    """Count the runs of a multi-run as queued no more, because its execution has ended.

    If a later execution has begun, which queues runs of its own, nothing changes. If the table cannot be reached, they
    count until the multi-run's latest end.
    """
    try:
        backend.runs.end_backlog(org_id, multi_run_id, execution)
    except StorageUnavailable:
        logger.warning("The runs of a multi-run still count as queued.", extra={"multi_run_id": multi_run_id})


def check(*, org_id: int, caller: Caller, backend: Backend) -> None:
    """Refuse to start or continue a run for a caller with too many queued runs. This reads one item.

    If it cannot be read, nothing is refused. Raises `TooManyQueuedRuns`.
    """
    now = milliseconds(backend.clock.now())
    try:
        backlog = backend.runs.get_backlog(org_id)
        refused = _refusal(backlog, 1, caller=caller, now=now, backend=backend)
    except StorageUnavailable:
        logger.warning("Could not read how many runs are queued.", exc_info=True)
        return
    if refused and backlog.count(now, caller.id):
        raise refused


def _refusal(backlog: Backlog, more: int, *, caller: Caller, now: int, backend: Backend) -> TooManyQueuedRuns | None:
    own, all_ = settings.most_queued_runs_of_caller(), settings.most_queued_runs_of_organization()
    counts = (
        ("You have", backlog.count(now, caller.id), own, max(1, backlog.callers(now))),
        ("The organization has", backlog.count(now), all_, 1),
    )
    for who, queued, most, lines in counts:
        if queued + more > most:
            needed = f"and this request would add {more}" if more > 1 else "which is the limit"
            detail = f"{who} {queued} queued runs, {needed}. At most {most} are allowed."
            if more > most:
                return TooManyQueuedRuns(
                    detail, remedy=f"Request at most {most - 1} candidates in a multi-run.", retryable=False
                )
            launches = (queued + more - most) * lines
            return TooManyQueuedRuns(detail, retry_after=_seconds_until(launches, now, backend))
    return None


def _seconds_until(launches: int, now: int, backend: Backend) -> float:
    """Return in how many seconds so many runs of the organization are launched, as far as that is known."""
    from codegen_runs.limits import launch_queue

    return max(1.0, (launch_queue.launched_by(launches, backend) - now) / 1000)
