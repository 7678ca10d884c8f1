"""Settle the multi-runs whose state machine died; without this they could stay open for ever.

Nothing else needs such a safety net: the poller ends each run at its deadline and answers its task token, leases
expire, and connections have a time to live.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs import tasks
from codegen_runs.storage.multi_runs import MultiRun

logger = logging.getLogger(__name__)

# Seconds after its creation, or after a retry or a resynthesis, in which a multi-run is not settled: its state machine
# may be about to start.
GRACE = 120.0

# The most open multi-runs that one reconciliation reads.
MOST = 100


@dataclass(frozen=True)
class Report:
    """The numbers of open multi-runs that a reconciliation read and settled."""

    open: int
    settled: int


def reconcile(ended: Callable[[MultiRun], str | None], *, backend: Backend) -> Report:
    """Settle every open multi-run whose state machine has ended without settling it. Raises `StorageUnavailable`.

    Args:
        ended: Returns the status with which the state machine of a multi-run ended; None while it is running.
        backend: The clock and the tables.
    """
    open_ = backend.multi_runs.open(created_before=milliseconds(backend.clock.now() - GRACE), limit=MOST)
    settled = 0
    for multi_run in open_:
        if (multi_run.reopened_at or 0) > milliseconds(backend.clock.now() - GRACE):
            continue
        if status := ended(multi_run):
            logger.warning("A multi-run was left open.", extra={"multi_run_id": multi_run.id, "execution": status})
            error = f"The state machine ended with status {status}."
            tasks.publish(multi_run.org_id, multi_run.id, error, execution=multi_run.execution_name, backend=backend)
            settled += 1
    return Report(open=len(open_), settled=settled)
