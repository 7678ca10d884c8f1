"""The usage and the budgets of an organization, as a deployment of Codegen Runs returns them."""

from pydantic import Field

from ._models import Model
from ._timestamps import Timestamp


class BudgetUse(Model):
    """A limit, and how much of it is used: by the whole organization, or by the caller (`scope`).

    `resets_at` is None if the count does not depend on time.
    """

    budget: str
    scope: str
    limit: int
    used: int = 0
    resets_at: Timestamp | None = None

    def __str__(self) -> str:
        return f"{self.budget} ({self.scope}): {self.used} of {self.limit}"


class Budgets(Model):
    """The budgets of an organization: the limits of all callers and of each one, by name, and what is used of them."""

    organization_id: int
    organization: dict[str, int | None]
    caller: dict[str, int | None]
    used: list[BudgetUse]
    updated_at: Timestamp | None = None
    updated_by: str | None = None


class RunCounts(Model):
    """The numbers of runs. `by_user` has runs of unknown users under `unknown`."""

    total: int
    by_status: dict[str, int] = Field({})
    by_source: dict[str, int] = Field({})
    by_user: dict[str, int] = Field({})


class Winners(Model):
    """How often candidates of the same kind were selected, ranked first by judges, and picked by a person.

    `model` and `agent_type` are None for the defaults of the organization, `agent_id` without an agent.
    """

    model: str | None = None
    agent_type: str | None = None
    agent_id: str | None = None
    candidates: int = 0
    selected: int = 0
    judged: int = 0
    judged_first: int = 0
    picked: int = 0
    picked_as_judged: int = 0
    merged: int = 0


class Picks(Model):
    """What people picked, against what was selected and judged, and how many picks' pull requests were merged."""

    total: int = 0
    same: int = 0
    other: int = 0
    as_judged: int = 0
    not_as_judged: int = 0
    merged: int = 0
    not_merged: int = 0
    merge_unknown: int = 0


class MultiRunCounts(Model):
    """The numbers of multi-runs, and of those that selected one of several usable answers."""

    total: int
    by_status: dict[str, int] = Field({})
    selections: int = 0
    winners: list[Winners] = Field([])
    picks: Picks | None = None


class Creations(Model):
    """The numbers of runs that Codegen created. Each counts towards Codegen's rate limit and the plan."""

    total: int
    through_this_deployment: int = 0
    of_multi_runs: int = 0


class NotKnown(Model):
    """Something that the report of the usage does not contain."""

    code: str
    detail: str


class Usage(Model):
    """The usage of an organization in a period, as the deployment counts it. `budgets` is the use now."""

    organization_id: int
    start_date: Timestamp | None = None
    end_date: Timestamp | None = None
    runs: RunCounts
    multi_runs: MultiRunCounts | None = None
    upstream_creations: Creations | None = None
    complete: bool | None = None
    counted_from: Timestamp | None = None
    not_known: list[NotKnown] | None = None
    budgets: list[BudgetUse] | None = None

    def __str__(self) -> str:
        if not self.start_date or not self.end_date:
            return repr(self)
        return f"{self.runs.total} runs from {self.start_date:%Y-%m-%d} to {self.end_date:%Y-%m-%d}"
