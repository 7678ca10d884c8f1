"""The safety net under the multi-runs: whatever happened to their state machines, each is settled.

Runs need none: the poller ends each at its deadline and answers its task token, leases run out by themselves, and
connections have a time to live. A multi-run whose state machine died could stay open for ever.
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

# Seconds that a multi-run is left alone: its state machine may be about to start, or to publish.
GRACE = 120.0

MOST = 100


@dataclass(frozen=True)
class Report:
    """What a reconciliation found."""

    open: int
    settled: int


def reconcile(ended: Callable[[MultiRun], str | None], *, backend: Backend) -> Report:
    """Settle every open multi-run whose state machine has ended without doing so. Raises `StorageUnavailable`.

    Args:
        ended: Says how the state machine of a multi-run ended; None while it runs.
        backend: What to work with.
    """
    found = backend.multi_runs.open(created_before=milliseconds(backend.clock.now() - GRACE), limit=MOST)
    settled = 0
    for multi_run in found:
        if how := ended(multi_run):
            logger.warning("A multi-run was left open.", extra={"multi_run_id": multi_run.id, "execution": how})
            tasks.publish(multi_run.org_id, multi_run.id, f"The state machine ended {how}.", backend=backend)
            settled += 1
    return Report(open=len(found), settled=settled)
