"""The starred-runs table: one item per star, under its caller and organization. The index `newest` has them by time.

| pk                        | sk          | item         |
|---------------------------|-------------|--------------|
| `org#{org}#{caller}`      | `run#{id}`  | the `Star`   |
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from codegen_runs.redaction import redact
from codegen_runs.storage.table import ABSENT, PRESENT, Condition, ConditionFailed, Item, Table


class Star(BaseModel):
    """One starred run. Times are epoch milliseconds."""

    agent_run_id: int
    starred_at: int
    note: str | None = None


class StarredRunsTable:
    """Stars by caller and organization. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add(self, org_id: int, caller_id: str, star: Star) -> Star:
        """Store a star and return it. If the run has a star already, only its note is replaced."""
        key = _key(org_id, caller_id, star.agent_run_id)
        star = star.model_copy(update={"note": redact(star.note)})
        while True:
            try:
                self._table.put(key | star.model_dump(exclude_none=True), ABSENT)
            except ConditionFailed:
                changes = {"note": star.note} if star.note is not None else {"agent_run_id": star.agent_run_id}
                try:
                    return Star.model_validate(self._table.update(key, changes, PRESENT))
                except ConditionFailed:
                    continue
            return star

    def remove(self, org_id: int, caller_id: str, agent_run_id: int) -> None:
        """Remove a star, if there is one."""
        self._table.delete(_key(org_id, caller_id, agent_run_id))

    def get(self, org_id: int, caller_id: str, agent_run_id: int) -> Star | None:
        """Read the star of a run; None if it has none."""
        item = self._table.get(_key(org_id, caller_id, agent_run_id))
        return Star.model_validate(item) if item else None

    def get_many(self, org_id: int, caller_id: str, agent_run_ids: Sequence[int]) -> dict[int, Star]:
        """Read the stars of some runs, by run. Runs without a star are left out."""
        items = self._table.get_many([_key(org_id, caller_id, agent_run_id) for agent_run_id in agent_run_ids])
        return {star.agent_run_id: star for star in map(Star.model_validate, items)}

    def newest(self, org_id: int, caller_id: str, limit: int, after: Star | None) -> tuple[list[Star], Star | None]:
        """List stars, newest first, after the star `after`, and the star after which to continue if there are more."""
        start: Item | None = None
        if after:
            start = _key(org_id, caller_id, after.agent_run_id) | {"starred_at": after.starred_at}
        condition = Condition("#pk = :pk", {"pk": f"org#{org_id}#{caller_id}"})
        items, following = self._table.query(condition, index="newest", limit=limit, newest_first=True, start=start)
        stars = [Star.model_validate(item) for item in items]
        return stars, stars[-1] if following else None


def _key(org_id: int, caller_id: str, agent_run_id: int) -> dict[str, str]:
    return {"pk": f"org#{org_id}#{caller_id}", "sk": f"run#{agent_run_id}"}
