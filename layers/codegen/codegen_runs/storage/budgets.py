"""The budgets of an organization, and what was used of them: one item of the runs table.

| pk              | sk        | item                                                     |
|-----------------|-----------|----------------------------------------------------------|
| `budgets#{org}` | `budgets` | the `Budgets`; `rev` counts the writes                   |

Limits and counts stand in one item, so one conditional write checks and counts a run. Days and months are in UTC.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed, Table


class Limits(BaseModel):
    """The most that one organization, or each of its callers, may use. None is no limit."""

    model_config = ConfigDict(frozen=True)

    runs_per_day: int | None = None
    runs_per_month: int | None = None
    follow_ups_per_day: int | None = None
    concurrent_runs: int | None = None
    candidates_per_multi_run: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return any(value is not None for value in self.model_dump().values())


class Running(BaseModel):
    """Runs that work at the moment: one run, or all candidates of a multi-run."""

    model_config = ConfigDict(frozen=True)

    caller: str
    runs: int
    until: int
    """When they have ended in any case, in epoch milliseconds."""


class Reserved(BaseModel):
    """Runs that were counted before their launches: those of a multi-run, or those of a candidate that was added."""

    model_config = ConfigDict(frozen=True)

    caller: str
    runs: int
    """How many still count."""
    day: str
    month: str
    """The day and the month for which they count."""
    execution: int = 0
    """The execution of the multi-run that launches them."""
    settled: tuple[str, ...] = ()
    """The keys of other runs of the multi-run: those that existed before, and those that were given back."""


class Budgets(BaseModel):
    """The limits of one organization, and the counts of its callers."""

    model_config = ConfigDict(frozen=True)

    organization: Limits = Limits()
    caller: Limits = Limits()
    """The limits of each caller."""
    updated_at: int | None = None
    """When an admin last set the limits, in epoch seconds."""
    updated_by: str | None = None
    day: str = ""
    month: str = ""
    runs_of_day: dict[str, int] = {}
    runs_of_month: dict[str, int] = {}
    follow_ups_of_day: dict[str, int] = {}
    running: dict[str, Running] = {}
    """By the key of a run, or the id of a multi-run."""
    reserved: dict[str, Reserved] = {}
    """By the id of a multi-run that has not ended, or the key of a candidate that was added to it."""
    rev: int = 0
    written_by: str = ""
    """A random text, different for each write."""

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return self.organization.any or self.caller.any

    def at(self, now: int) -> Budgets:
        """Return the budgets at a time (epoch milliseconds): a new day or month begins with counts of zero."""
        date = datetime.fromtimestamp(now / 1000, UTC)
        day, month = f"{date:%Y-%m-%d}", f"{date:%Y-%m}"
        changes: dict[str, object] = {
            "running": {key: running for key, running in self.running.items() if running.until > now}
        }
        if day != self.day:
            changes |= {"day": day, "runs_of_day": {}, "follow_ups_of_day": {}}
        if month != self.month:
            changes |= {"month": month, "runs_of_month": {}, "reserved": {}}
        return self.model_copy(update=changes)


class BudgetsTable:
    """The budgets of organizations. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def get(self, org_id: int) -> Budgets:
        """Read the budgets of an organization; without limits if none were set."""
        item = self._table.get(_key(org_id))
        return Budgets.model_validate(item) if item else Budgets()

    def put(self, org_id: int, budgets: Budgets) -> None:
        """Replace the budgets of an organization. Raises `ConditionFailed` if they were written in the meantime."""
        following = budgets.model_copy(update={"rev": budgets.rev + 1, "written_by": secrets.token_hex(8)})
        unchanged = Condition("#rev = :rev", {"rev": budgets.rev}) if budgets.rev else ABSENT
        try:
            self._table.put(_key(org_id) | following.model_dump(mode="json"), unchanged)
        except ConditionFailed:
            # A write whose answer was lost is repeated, and its repetition finds the condition broken.
            if self.get(org_id).written_by != following.written_by:
                raise


def _key(org_id: int) -> dict[str, str]:
    return {"pk": f"budgets#{org_id}", "sk": "budgets"}
