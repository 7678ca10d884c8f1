"""The audit table: the chain of audit entries of each organization. Entries are added and read, and never changed.

| pk          | sk               | item              |
|-------------|------------------|-------------------|
| `org#{org}` | `{sequence:015}` | the `AuditEntry`  |

No role may update or delete an item, and the table's own policy denies it to everybody (`template.yaml`). An entry has
a place of its own, which a condition keeps from being taken twice.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from codegen_runs.roles import Role
from codegen_runs.storage.table import ABSENT, Condition, Table

GENESIS = "0" * 64
"""What the first entry of a chain has in the place of the hash of the entry before it."""


class ActOutcome(StrEnum):
    """What became of an act."""

    ATTEMPTED = "attempted"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"


class AuditEntry(BaseModel):
    """One entry of the audit trail. Each act has two: one before it is done, and one with its outcome."""

    model_config = ConfigDict(frozen=True)

    organization_id: int
    sequence: int = Field(description="Its place in the chain of the organization; the first entry has 1.")
    id: str
    at: str = Field(description="When it was written, in UTC; never earlier than the entry before it.")
    act: str = Field(description="What was done, such as `run.cancel`.")
    target: str | None = Field(description="The id of what it was done to; null if there is none, or none yet.")
    details: dict[str, Any] = Field(description="Values of the request that say what was wanted. None is a text.")
    actor: str = Field(description="The caller, such as `user:42`.")
    token_id: str | None = Field(description="The id of the caller's API token; null for a Codegen token.")
    role: Role | None = Field(description="The caller's role, if this deployment gives one; null if Codegen does.")
    request_id: str | None
    outcome: ActOutcome = Field(description="`failed` means that the act may have had an effect.")
    status: int | None = Field(description="The HTTP status of the answer; null before the act.")
    code: str | None = Field(description="The code of the problem, if the answer is one.")
    attempt: int | None = Field(description="The sequence of the entry that was written before the act.")
    previous: str = Field(description="The `hash` of the entry before it; 64 zeros in the first one.")
    hash: str = Field(description="The SHA-256 of the other fields.")


def hash_of(fields: dict[str, Any]) -> str:
    """Return the hash of an entry: the SHA-256 of its fields without `hash`, as JSON in its canonical form.

    The form has sorted names, no spaces, and only ASCII characters. `codegen_api` computes the same.
    """
    content = {name: value for name, value in fields.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class AuditTable:
    """The audit entries of organizations. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add(self, entry: AuditEntry) -> None:
        """Store an entry. Raises `ConditionFailed` if its place is taken."""
        self._table.put(_key(entry.organization_id, entry.sequence) | entry.model_dump(mode="json"), ABSENT)

    def get(self, org_id: int, sequence: int) -> AuditEntry | None:
        """Read the entry of a place."""
        condition = Condition("#pk = :pk AND #sk = :sk", _key(org_id, sequence))
        items, _ = self._table.query(condition)
        return AuditEntry.model_validate(items[0]) if items else None

    def newest(self, org_id: int, limit: int, before: int | None = None) -> list[AuditEntry]:
        """List entries from the newest on, or from the one before the place `before`. Only at the end, it is empty."""
        condition = Condition("#pk = :pk", {"pk": f"org#{org_id}"})
        if before is not None:
            condition = Condition("#pk = :pk AND #sk < :sk", _key(org_id, before))
        items, _ = self._table.query(condition, limit=limit, newest_first=True)
        return [AuditEntry.model_validate(item) for item in items]


def _key(org_id: int, sequence: int) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": f"{sequence:015}"}
