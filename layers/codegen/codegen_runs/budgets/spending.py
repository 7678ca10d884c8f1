"""Take what a run needs from the budgets, before the Codegen API is called; give it back if nothing was started.

A multi-run takes what it needs when it is created. What it certainly does not start is given back: the run of a dropped
candidate at once, everything else when the multi-run has ended.

The check and the count are one conditional write, so requests at the same time cannot exceed a budget together. Without
a limit, nothing is counted or written.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.budgets.counting import (
    Budget,
    BudgetExhausted,
    BudgetUse,
    Need,
    counted,
    given_back,
    refusal,
    warning,
    warnings,
    without_dropped,
    without_earlier,
    without_ended,
)
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.budgets import Budgets
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)

# Seconds after which every run has ended here.
_LONGEST = 24 * 3600


@dataclass
class Spent:
    """What a request has taken from the budgets.

    Attributes:
        need: What it took; None if nothing was counted.
        before: The budgets before it took that; None if nothing was counted.
        reached: The budgets whose use has reached the share that is worth a warning.
    """

    org_id: int
    backend: Backend
    need: Need | None = None
    before: Budgets | None = None
    reached: tuple[BudgetUse, ...] = ()

    @property
    def warned(self) -> list[Warned]:
        """The warnings for the answer."""
        return [Warned(code="budget_warning", pointer="", detail=warning(use)) for use in self.reached]

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """The data of the events `budget.warning` for the log of the run."""
        return [use.model_dump(mode="json") for use in self.reached]

    def started(self, run_id: int) -> None:
        """Record the id of the run. If this fails, the run counts as concurrent for a day."""
        if (need := self.need) is None or need.key == str(run_id):
            return

        def rename(budgets: Budgets) -> Budgets:
            running = dict(budgets.running)
            if need.key not in running:
                return budgets
            return budgets.model_copy(update={"running": running | {str(run_id): running.pop(need.key)}})

        self._change(rename)

    def give_back(self) -> None:
        """Count none of it, because nothing was started. If this fails, it stays counted."""
        if (need := self.need) and (before := self.before):
            self._change(lambda budgets: given_back(budgets, need, before))

    def _change(self, decide: Callable[[Budgets], Budgets]) -> None:
        try:
            _update(self.org_id, decide, self.backend)
        except StorageUnavailable:
            logger.warning("Could not correct the counts of the budgets.", exc_info=True)


@contextmanager
def for_run(*, org_id: int, caller: Caller, backend: Backend, follow_up_to: int | None = None) -> Iterator[Spent]:
    """Take one run, or one follow-up to a run, for the one call that the block makes.

    What the call did not start is given back. If the budgets cannot be read, the call is made and not counted. Raises
    `BudgetExhausted`.
    """
    need = Need(
        caller=caller.id,
        key=f"pending-{secrets.token_hex(6)}" if follow_up_to is None else str(follow_up_to),
        runs=int(follow_up_to is None),
        follow_ups=int(follow_up_to is not None),
        until=milliseconds(backend.clock.now() + _LONGEST),
    )
    try:
        spent = take(need, org_id=org_id, backend=backend)
    except StorageUnavailable:
        logger.warning("Could not read the budgets.", exc_info=True)
        spent = Spent(org_id, backend)
    try:
        yield spent
    except Exception as error:
        if not getattr(error, "effect_unknown", False):
            spent.give_back()
        raise


def take(need: Need, *, org_id: int, backend: Backend) -> Spent:
    """Take what a request needs from the budgets of an organization. Raises `BudgetExhausted`, `StorageUnavailable`."""
    while True:
        before = backend.budgets.get(org_id).at(milliseconds(backend.clock.now()))
        if not before.any:
            return Spent(org_id, backend)
        before, refused = _checked(before, need, org_id, backend)
        if refused:
            raise refused
        after = counted(before, need)
        try:
            backend.budgets.put(org_id, after)
        except ConditionFailed:
            continue
        return Spent(org_id, backend, need, before, tuple(warnings(before, after, need.caller)))


def refused(need: Need, *, org_id: int, backend: Backend) -> BudgetExhausted | None:
    """Return why `take` would refuse a request, if so. Nothing is written. Raises `StorageUnavailable`."""
    budgets = backend.budgets.get(org_id).at(milliseconds(backend.clock.now()))
    return _checked(budgets, need, org_id, backend)[1] if budgets.any else None


def give_back_dropped(multi_run_id: str, dropped: Collection[str], *, org_id: int, backend: Backend) -> None:
    """Count runs of a multi-run no more that are certainly never launched; each once. If this fails, its end does it.

    Args:
        multi_run_id: The multi-run.
        dropped: The keys of these runs.
        org_id: The organization.
        backend: The tables.
    """
    try:
        _update(org_id, lambda budgets: without_dropped(budgets, multi_run_id, dropped), backend)
    except StorageUnavailable:
        logger.warning("A dropped candidate still counts in the budgets.", extra={"multi_run_id": multi_run_id})


def release(multi_run_id: str, launched: Collection[str], *, execution: int, org_id: int, backend: Backend) -> None:
    """Count a multi-run that has ended as concurrent no longer, and count only runs of it that were launched.

    This can be repeated. If it fails, the multi-run counts as concurrent until its deadline, and its runs stay counted.

    Args:
        multi_run_id: The multi-run.
        launched: The keys of its runs that exist at Codegen, or may exist there.
        execution: Its execution that has ended. If a later one has begun, nothing changes.
        org_id: The organization.
        backend: The tables.
    """
    try:
        _update(org_id, lambda budgets: without_ended(budgets, multi_run_id, launched, execution), backend)
    except StorageUnavailable:
        logger.warning("A multi-run still counts in the budgets.", extra={"multi_run_id": multi_run_id})


def without_ended_runs(budgets: Budgets, org_id: int, backend: Backend) -> Budgets:
    """Return the budgets without the single runs that have ended; each is read. Raises `StorageUnavailable`."""
    running = {key: each for key, each in budgets.running.items() if not _has_ended(key, org_id, backend)}
    return budgets.model_copy(update={"running": running})


def _checked(budgets: Budgets, need: Need, org_id: int, backend: Backend) -> tuple[Budgets, BudgetExhausted | None]:
    budgets = without_earlier(budgets, need)
    refused = refusal(budgets, need)
    if refused and refused.use.budget is Budget.CONCURRENT_RUNS:
        # The poller does not report the end of a run to the budgets: ended runs are looked for when a place is needed.
        budgets = without_ended_runs(budgets, org_id, backend)
        refused = refusal(budgets, need)
    return budgets, refused


def _has_ended(key: str, org_id: int, backend: Backend) -> bool:
    watch = backend.runs.find(org_id, int(key)) if key.isdecimal() else None
    return watch is not None and watch.status.terminal


def _update(org_id: int, decide: Callable[[Budgets], Budgets], backend: Backend) -> None:
    while True:
        budgets = backend.budgets.get(org_id)
        following = decide(budgets)
        if following is budgets:
            return
        try:
            backend.budgets.put(org_id, following)
        except ConditionFailed:
            continue
        return
