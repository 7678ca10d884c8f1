"""The rules of budgets: what a request needs, whether it may have it, and when to warn. Nothing here reads a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, Field

from codegen_runs.events import timestamp
from codegen_runs.problems import QuotaExceeded
from codegen_runs.storage.budgets import Budgets, Running

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
    """

    caller: str
    key: str
    runs: int = 0
    follow_ups: int = 0
    concurrent: int = 1
    candidates: int = 0
    until: int = 0

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


def counted(budgets: Budgets, need: Need, sign: Literal[1, -1] = 1) -> Budgets:
    """Return the budgets after a request got what it needs, or after it has given that back (-1)."""
    changes: dict[str, Any] = {
        "runs_of_day": _added(budgets.runs_of_day, need.caller, sign * need.runs),
        "runs_of_month": _added(budgets.runs_of_month, need.caller, sign * need.runs),
        "follow_ups_of_day": _added(budgets.follow_ups_of_day, need.caller, sign * need.follow_ups),
    }
    is_limited = budgets.organization.concurrent_runs is not None or budgets.caller.concurrent_runs is not None
    if sign < 0:
        changes["running"] = {key: running for key, running in budgets.running.items() if key != need.key}
    elif is_limited and need.key not in budgets.running:
        running = Running(caller=need.caller, runs=need.concurrent, until=need.until)
        changes["running"] = budgets.running | {need.key: running}
    return budgets.model_copy(update=changes)


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


def _added(counts: dict[str, int], caller: str, more: int) -> dict[str, int]:
    return counts | {caller: max(0, counts.get(caller, 0) + more)} if more else counts
