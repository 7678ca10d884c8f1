"""Read the budgets of an organization with their use, and set their limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, Warned
from codegen_runs.budgets.counting import BudgetUse, uses
from codegen_runs.budgets.spending import without_ended_runs
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.events import timestamp
from codegen_runs.storage.budgets import Budgets, Limits
from codegen_runs.storage.table import ConditionFailed

MOST_CONCURRENT = 200
MOST = 1_000_000

Limit = Annotated[int | None, Field(ge=0, le=MOST, strict=True)]


class SetLimits(BaseModel):
    """Limits. Null, or no value, is no limit; 0 allows nothing."""

    runs_per_day: Limit = Field(None, description="Runs that may be started in a day (UTC), with all of a multi-run.")
    runs_per_month: Limit = Field(None, description="Runs that may be started in a month (UTC).")
    follow_ups_per_day: Limit = Field(None, description="Follow-ups that may be sent in a day (UTC).")
    concurrent_runs: Annotated[int | None, Field(ge=0, le=MOST_CONCURRENT, strict=True)] = Field(
        None, description="Runs that may work at the same time, with all candidates of a multi-run."
    )
    candidates_per_multi_run: Limit = Field(None, description="Candidates of one multi-run.")


class SetBudgets(Body):
    """The budgets of an organization. They replace the existing ones."""

    organization: SetLimits = Field(SetLimits(), description="The limits of all callers together.")
    caller: SetLimits = Field(SetLimits(), description="The limits of each caller.")


class OrganizationBudgets(BaseModel):
    """The budgets of an organization, and what is used of them."""

    organization_id: int
    organization: Limits = Field(description="The limits of all callers together.")
    caller: Limits = Field(description="The limits of each caller.")
    used: list[BudgetUse] = Field(description="The use of each limit: by the organization, and by you.")
    updated_at: str | None = Field(description="When an admin last set the limits; null if never.")
    updated_by: str | None


class ChangedBudgets(OrganizationBudgets):
    """Budgets that were set."""

    warnings: list[Warned] = Field([], description="Accepted fields that have no effect.")


def get(*, org_id: int, caller: Caller, backend: Backend) -> OrganizationBudgets:
    """Read the budgets of an organization. Raises `StorageUnavailable`."""
    return OrganizationBudgets(**_members(backend.budgets.get(org_id), org_id, caller, backend))


def put(request: SetBudgets, *, org_id: int, caller: Caller, backend: Backend) -> ChangedBudgets:
    """Set the budgets of an organization. What was used in the day and the month stays. Raises `StorageUnavailable`."""
    changes = {
        "organization": Limits(**request.organization.model_dump()),
        "caller": Limits(**request.caller.model_dump()),
        "updated_at": int(backend.clock.now()),
        "updated_by": caller.id,
    }
    while True:
        budgets = backend.budgets.get(org_id).model_copy(update=changes)
        try:
            backend.budgets.put(org_id, budgets)
        except ConditionFailed:
            continue
        return ChangedBudgets(**_members(budgets, org_id, caller, backend), warnings=request.ignored())


def _members(budgets: Budgets, org_id: int, caller: Caller, backend: Backend) -> dict[str, object]:
    current = without_ended_runs(budgets.at(milliseconds(backend.clock.now())), org_id, backend)
    return {
        "organization_id": org_id,
        "organization": budgets.organization,
        "caller": budgets.caller,
        "used": list(uses(current, caller.id)),
        "updated_at": None if budgets.updated_at is None else timestamp(budgets.updated_at),
        "updated_by": budgets.updated_by,
    }
