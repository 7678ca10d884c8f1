"""Estimate a multi-run before it starts: its costs, its last launch, and why it would be refused."""

from __future__ import annotations

from pydantic import BaseModel, Field

from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned, Warnings
from codegen_runs.budgets import spending
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.events import timestamp
from codegen_runs.limits import backlogs, launch_queue
from codegen_runs.limits.launch_queue import Outlook
from codegen_runs.multi_runs import costs, drafting, variants
from codegen_runs.multi_runs.costs import Span
from codegen_runs.multi_runs.parameters import CreateMultiRun
from codegen_runs.multi_runs.snapshots import Estimate
from codegen_runs.problems import Conflict, NotFound, Problem
from codegen_runs.storage.multi_runs import MultiRun


class Refusal(BaseModel):
    """A reason why the multi-run, or its launches, would be refused now."""

    code: str
    detail: str
    remedy: str
    retryable: bool = Field(description="Whether the same request may succeed later.")


class MultiRunEstimate(Estimate):
    """The cost of a multi-run that is not started, and whether it could start."""

    candidates: Span
    judges: Span
    syntheses: Span
    last_launch_at: str = Field(
        description=(
            "When the last candidate that waits for no other one is launched at the latest, unless further "
            "organizations or single runs get ahead."
        )
    )
    minutes_until_last_launch: float = Field(description="The minutes until then.")
    refusals: list[Refusal] = Field(description="Why it would be refused now. Empty if it would not be.")
    identical_variants: list[list[int]] = Field(
        description="Groups of variants with the same options, by their places in `variants`."
    )
    warnings: Warnings = Field([])


def estimate(request: CreateMultiRun, *, org_id: int, caller: Caller, backend: Backend) -> MultiRunEstimate:
    """Estimate a multi-run. Nothing is stored, and nothing is sent to Codegen. Raises `StorageUnavailable`."""
    refusals: list[Refusal] = []
    try:
        multi_run, warnings = drafting.draft(request, org_id=org_id, caller=caller, backend=backend)
    except (Conflict, NotFound) as problem:
        refusals.append(_refusal(problem))
        multi_run, warnings = drafting.draft(
            request.without_references(), org_id=org_id, caller=caller, backend=backend
        )
    if refused := backlogs.refusal(len(costs.keys(multi_run)), org_id=org_id, caller=caller, backend=backend):
        refusals.append(_refusal(refused))
    need = drafting.need(multi_run, multi_run.deadline_at)
    if exhausted := spending.refused(need, org_id=org_id, backend=backend):
        refusals.append(_refusal(exhausted))
    first_wave = len(multi_run.candidates) - len(multi_run.second_wave)
    outlook = launch_queue.outlook(first_wave, org_id, backend)
    if outlook.closure:
        refusals.append(_closed(outlook.closure.reason))
    cost = costs.of(multi_run)
    now = milliseconds(backend.clock.now())
    return MultiRunEstimate(
        runs=cost.runs.at_most,
        runs_at_least=cost.runs.at_least,
        candidates=cost.candidates,
        judges=cost.judges,
        syntheses=cost.syntheses,
        last_launch_at=timestamp(outlook.last_at / 1000),
        minutes_until_last_launch=round(max(0, outlook.last_at - now) / 60_000, 1),
        refusals=refusals,
        identical_variants=variants.identical(multi_run.candidates[: len(request.all_variants)]),
        warnings=[*warnings, *_late(multi_run, outlook)],
    )


def _refusal(problem: Problem) -> Refusal:
    return Refusal(code=problem.code, detail=problem.detail, remedy=problem.remedy, retryable=problem.retryable)


def _closed(reason: str) -> Refusal:
    return Refusal(
        code="launches_refused",
        detail=f"Codegen accepts no runs of the organization now: {reason}",
        remedy="Candidates would wait in the launch queue. Upgrade the plan at Codegen, or wait.",
        retryable=True,
    )


def _late(multi_run: MultiRun, outlook: Outlook) -> list[Warned]:
    if outlook.last_at < multi_run.deadline_at:
        return []
    detail = "The last candidate may still wait for its launch at the deadline."
    return [Warned(code="launch_after_deadline", pointer="/deadline_s", detail=detail)]
