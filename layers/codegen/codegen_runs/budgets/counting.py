"""The rules of budgets: what a request needs, whether it may have it, and when to warn. Nothing here reads a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, Field

from codegen_runs.events import timestamp
from codegen_runs.problems import QuotaExceeded
from codegen_runs.storage.budgets import Budgets, Reserved, Running

WARNING_SHARE = 0.8
"""The share of a budget whose use is worth a warning."""


class Budget(StrEnum):
    """What a budget limits."""

    CANDIDATES_PER_MULTI_RUN = "candidates_per_multi_run"
    RUNS_PER_DAY = "runs_per_day"
    RUNS_PER_MONTH = "runs_per_month"
    FOLLOW_UPS_PER_DAY = "follow_ups_per_day"
    CONCURRENT_RUNS = "concurrent_runs"


Scope = Literal["organization", "caller"]

_WORDS = {
    Budget.RUNS_PER_DAY: "runs per day",
    Budget.RUNS_PER_MONTH: "runs per month",
    Budget.FOLLOW_UPS_PER_DAY: "follow-ups per day",
    Budget.CONCURRENT_RUNS: "concurrent runs",
    Budget.CANDIDATES_PER_MULTI_RUN: "candidates per multi-run",
}

_ASK = "ask an admin of the organization to raise the budget."


class BudgetUse(BaseModel):
    """A limit, and how much of it is used."""

    budget: Budget
    scope: Scope = Field(description="`organization` for all callers together, `caller` for you alone.")
    limit: int
    used: int = Field(description="0 for `candidates_per_multi_run`, which limits each multi-run.")
    resets_at: str | None = Field(description="When the count begins again at 0; null if it does not depend on time.")


class BudgetExhausted(QuotaExceeded):
    """The request needs more than a budget of the organization or the caller has left."""

    code = "budget_exhausted"
    capped = True

    def __init__(self, use: BudgetUse, needed: int) -> None:
        who = "The organization has" if use.scope == "organization" else "You have"
        words = _WORDS[use.budget]
        if use.budget is Budget.CANDIDATES_PER_MULTI_RUN:
            detail = f"The multi-run has {needed} candidates. At most {use.limit} are allowed."
            remedy = f"Request at most {use.limit} candidates, or {_ASK}"
        else:
            detail = f"{who} used {use.used} of {use.limit} {words}, and this request needs {needed} more."
            wait = f"Wait until {use.resets_at}" if use.resets_at else "Wait until runs have ended"
            remedy = f"{wait}, or {_ASK}"
        super().__init__(
            detail, remedy=remedy, retryable=use.budget is Budget.CONCURRENT_RUNS, **use.model_dump(mode="json")
        )
        self.use = use


@dataclass(frozen=True)
class Need:
    """What a request needs of the budgets.

    Attributes:
        caller: The id of the caller.
        key: The key of the run, or the id of the multi-run.
        runs: The runs that it may start.
        follow_ups: The follow-ups that it sends.
        concurrent: The runs that then work at the same time.
        candidates: The candidates of the multi-run.
        until: When the runs have ended in any case, in epoch milliseconds.
        ahead: Whether the runs are launched later, or never.
        execution: The execution of the multi-run that launches them.
        existing: The keys of the multi-run's runs that exist already.
    """

    caller: str
    key: str
    runs: int = 0
    follow_ups: int = 0
    concurrent: int = 1
    candidates: int = 0
    until: int = 0
    ahead: bool = False
    execution: int = 0
    existing: tuple[str, ...] = ()

    def of(self, budget: Budget, budgets: Budgets) -> int:
        """Return how much of a budget this needs."""
        match budget:
            case Budget.RUNS_PER_DAY | Budget.RUNS_PER_MONTH:
                return self.runs
            case Budget.FOLLOW_UPS_PER_DAY:
                return self.follow_ups
            case Budget.CONCURRENT_RUNS:
                return 0 if self.key in budgets.running else self.concurrent
            case Budget.CANDIDATES_PER_MULTI_RUN:
                return self.candidates


def uses(budgets: Budgets, caller: str) -> Iterator[BudgetUse]:
    """Return the use of every limit: those of the organization, then those of a caller."""
    scopes: tuple[Scope, Scope] = ("organization", "caller")
    for scope in scopes:
        limits = budgets.organization if scope == "organization" else budgets.caller
        for budget in Budget:
            limit = getattr(limits, budget)
            if limit is not None:
                used = _used(budgets, budget, caller if scope == "caller" else None)
                yield BudgetUse(
                    budget=budget, scope=scope, limit=limit, used=used, resets_at=_resets_at(budgets, budget)
                )


def refusal(budgets: Budgets, need: Need) -> BudgetExhausted | None:
    """Return why a request may not have what it needs, if so."""
    for use in uses(budgets, need.caller):
        needed = need.of(use.budget, budgets)
        if needed and use.used + needed > use.limit:
            return BudgetExhausted(use, needed)
    return None


def counted(budgets: Budgets, need: Need) -> Budgets:
    """Return the budgets after a request got what it needs."""
    changes: dict[str, Any] = {
        "runs_of_day": _added(budgets.runs_of_day, need.caller, need.runs),
        "runs_of_month": _added(budgets.runs_of_month, need.caller, need.runs),
        "follow_ups_of_day": _added(budgets.follow_ups_of_day, need.caller, need.follow_ups),
    }
    is_limited = budgets.organization.concurrent_runs is not None or budgets.caller.concurrent_runs is not None
    if is_limited and need.key not in budgets.running:
        running = Running(caller=need.caller, runs=need.concurrent, until=need.until)
        changes["running"] = budgets.running | {need.key: running}
    if need.ahead:
        changes["reserved"] = budgets.reserved | {need.key: _reserved(budgets, need)}
    return budgets.model_copy(update=changes)


def given_back(budgets: Budgets, need: Need, before: Budgets) -> Budgets:
    """Return the budgets after a request has given back what it took, because nothing was started.

    Args:
        budgets: The budgets as they are now, perhaps in a later day or month.
        need: What the request took.
        before: The budgets before it took that.
    """
    runs, reserved = need.runs, dict(budgets.reserved)
    if need.ahead and (own := reserved.get(need.key)):
        if own.caller == need.caller:
            reserved[need.key] = own.model_copy(update={"runs": own.runs - runs})
            if own.runs == runs:
                del reserved[need.key]
    elif need.ahead:
        runs = 0  # They were given back already.
    changes: dict[str, Any] = {"reserved": reserved}
    if budgets.day == before.day:
        changes["follow_ups_of_day"] = _added(budgets.follow_ups_of_day, need.caller, -need.follow_ups)
    # A run or a multi-run that was counted as concurrent before this request stays so.
    if need.key not in before.running and need.key not in reserved:
        changes["running"] = {key: running for key, running in budgets.running.items() if key != need.key}
    return _less(budgets, need.caller, runs, before.day, before.month).model_copy(update=changes)


def without_earlier(budgets: Budgets, need: Need) -> Budgets:
    """Return the budgets without what an earlier execution of a multi-run did not launch, before a later one counts.

    The earlier one has ended. If it has not given these runs back yet, it finds the reservation of the later one and
    changes nothing.
    """
    earlier = budgets.reserved.get(need.key)
    if earlier is None or earlier.execution >= need.execution:
        return budgets
    unlaunched = max(0, earlier.runs - len(_covered(budgets, need.key, earlier, need.existing)))
    budgets = _less(budgets, earlier.caller, unlaunched, earlier.day, earlier.month)
    others = {name: reserved for name, reserved in budgets.reserved.items() if name != need.key}
    return budgets.model_copy(update={"reserved": others})


def without_dropped(budgets: Budgets, multi_run_id: str, dropped: Collection[str]) -> Budgets:
    """Return the budgets without runs of a multi-run that are certainly never launched, given by their keys.

    Each run is given back once, however often it is named.
    """
    for name, reserved in _reservations(budgets, multi_run_id):
        unlaunched = _covered(budgets, name, reserved, dropped)[: reserved.runs]
        if unlaunched:
            left = {"runs": reserved.runs - len(unlaunched), "settled": (*reserved.settled, *unlaunched)}
            budgets = _less(budgets, reserved.caller, len(unlaunched), reserved.day, reserved.month)
            kept = budgets.reserved | {name: reserved.model_copy(update=left)}
            budgets = budgets.model_copy(update={"reserved": kept})
    return budgets


def without_ended(budgets: Budgets, multi_run_id: str, launched: Collection[str], execution: int) -> Budgets:
    """Return the budgets after the end of a multi-run: nothing of it is concurrent, and only launched runs count.

    Args:
        budgets: The budgets.
        multi_run_id: The multi-run.
        launched: The keys of its runs that exist at Codegen, or may exist there.
        execution: Its execution that has ended. If a later one has begun, nothing changes.
    """
    ended = _reservations(budgets, multi_run_id)
    if any(reserved.execution > execution for _, reserved in ended):
        return budgets
    running = {key: each for key, each in budgets.running.items() if not _is_of(key, multi_run_id)}
    for name, reserved in ended:
        unlaunched = max(0, reserved.runs - len(_covered(budgets, name, reserved, launched)))
        budgets = _less(budgets, reserved.caller, unlaunched, reserved.day, reserved.month)
    if not ended and len(running) == len(budgets.running):
        return budgets
    others = {name: reserved for name, reserved in budgets.reserved.items() if not _is_of(name, multi_run_id)}
    return budgets.model_copy(update={"running": running, "reserved": others})


def warnings(before: Budgets, after: Budgets, caller: str) -> list[BudgetUse]:
    """Return the budgets whose use has just reached `WARNING_SHARE`."""
    used = {(use.budget, use.scope): use.used for use in uses(before, caller)}
    return [
        use
        for use in uses(after, caller)
        if used[use.budget, use.scope] < WARNING_SHARE * use.limit <= use.used and use.used > 0
    ]


def warning(use: BudgetUse) -> str:
    """Return the sentence of a warning."""
    who = "The organization has" if use.scope == "organization" else "You have"
    return f"{who} used {use.used} of {use.limit} {_WORDS[use.budget]}."


def _used(budgets: Budgets, budget: Budget, caller: str | None) -> int:
    match budget:
        case Budget.RUNS_PER_DAY:
            counts = budgets.runs_of_day
        case Budget.RUNS_PER_MONTH:
            counts = budgets.runs_of_month
        case Budget.FOLLOW_UPS_PER_DAY:
            counts = budgets.follow_ups_of_day
        case Budget.CONCURRENT_RUNS:
            return sum(each.runs for each in budgets.running.values() if caller in (None, each.caller))
        case Budget.CANDIDATES_PER_MULTI_RUN:
            return 0
    return sum(counts.values()) if caller is None else counts.get(caller, 0)


def _resets_at(budgets: Budgets, budget: Budget) -> str | None:
    if budget in (Budget.RUNS_PER_DAY, Budget.FOLLOW_UPS_PER_DAY):
        following = datetime.fromisoformat(budgets.day).replace(tzinfo=UTC) + timedelta(days=1)
    elif budget is Budget.RUNS_PER_MONTH:
        following = datetime.fromisoformat(f"{budgets.month}-28").replace(tzinfo=UTC) + timedelta(days=4)
        following = following.replace(day=1)
    else:
        return None
    return timestamp(following.timestamp())


def _reserved(budgets: Budgets, need: Need) -> Reserved:
    """Return the reservation under the key of a request, after the request got what it needs."""
    found = Reserved(
        caller=need.caller,
        runs=need.runs,
        day=budgets.day,
        month=budgets.month,
        execution=need.execution,
        settled=need.existing,
    )
    before = budgets.reserved.get(need.key)
    if before is None or (before.execution, before.day) != (found.execution, found.day):
        return found
    # Two requests want the same: one of them gives its part back.
    return before.model_copy(update={"runs": before.runs + need.runs}) if before.caller == found.caller else before


def _reservations(budgets: Budgets, multi_run_id: str) -> list[tuple[str, Reserved]]:
    """Return the reservation of a multi-run and those of the candidates that were added to it, by their keys."""
    return [(name, reserved) for name, reserved in budgets.reserved.items() if _is_of(name, multi_run_id)]


def _is_of(key: str, multi_run_id: str) -> bool:
    """Return whether a key is that of a multi-run, or of a candidate that was added to it."""
    return key == multi_run_id or key.startswith(f"{multi_run_id}-")


def _covered(budgets: Budgets, name: str, reserved: Reserved, keys: Collection[str]) -> list[str]:
    """Return those keys of a multi-run's runs that a reservation is for. A candidate that was added has its own."""
    return [
        key
        for key in keys
        if key not in reserved.settled and (key == name if key in budgets.reserved else key.startswith(f"{name}-"))
    ]


def _less(budgets: Budgets, caller: str, runs: int, day: str, month: str) -> Budgets:
    """Return the budgets with fewer runs of a day and a month, unless these are over."""
    changes = {}
    if budgets.day == day:
        changes["runs_of_day"] = _added(budgets.runs_of_day, caller, -runs)
    if budgets.month == month:
        changes["runs_of_month"] = _added(budgets.runs_of_month, caller, -runs)
    return budgets.model_copy(update=changes)


def _added(counts: dict[str, int], caller: str, more: int) -> dict[str, int]:
    return counts | {caller: max(0, counts.get(caller, 0) + more)} if more else counts
