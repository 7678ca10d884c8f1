"""A chain in memory, and acts to add to it."""

from typing import Any, cast

import pytest

from codegen_runs.audit import chain
from codegen_runs.backend import Backend
from codegen_runs.roles import Role
from codegen_runs.storage.audit import ActOutcome, AuditEntry, AuditTable
from tests.support.backend import TestClock
from tests.support.memory import MemoryAudit

ORG = 123
FIELDS: dict[str, Any] = {
    "act": "run.cancel",
    "target": "7",
    "details": {"allow_pr_ban": True},
    "actor": "user:42",
    "token_id": None,
    "role": Role.MEMBER,
    "request_id": "11111111-2222-3333-4444-555555555555",
    "outcome": ActOutcome.ATTEMPTED,
    "status": None,
    "code": None,
    "attempt": None,
}


class Trail:
    """The audit trail of one organization, in a table of any kind."""

    def __init__(self, clock: TestClock, table: Any) -> None:
        self.clock, self.table = clock, table

    def backend(self, table: Any = None) -> Backend:
        return Backend(clock=self.clock, audit=cast(AuditTable, table or self.table))

    def add(self, count: int = 1, *, table: Any = None, **fields: Any) -> AuditEntry:
        """Add entries and return the last one."""
        for _ in range(count):
            entry = chain.append(ORG, FIELDS | fields, backend=self.backend(table))
        return entry

    def entries(self) -> list[AuditEntry]:
        """Return all entries, newest first."""
        found: list[AuditEntry] = self.table.newest(ORG, 1_000_000)
        return found

    def json(self) -> list[dict[str, Any]]:
        """Return all entries as a client reads them, newest first."""
        return [entry.model_dump(mode="json") for entry in self.entries()]


@pytest.fixture
def trail(clock: TestClock) -> Trail:
    return Trail(clock, MemoryAudit())
