"""Reading the audit trail of an organization, newest entry first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from codegen_runs import cursors
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.events import timestamp
from codegen_runs.storage.audit import AuditEntry

MOST_READ = 1000
"""How many entries one request reads at most. A filter that matches few of them gets a page that is not full."""

_BATCH = 200


@dataclass(frozen=True)
class Filters:
    """Which entries are listed. None lists all.

    Attributes:
        actor: The caller, such as `user:42`.
        act: The name of the act.
        target: The id of what it was done to.
        since: The earliest time.
        until: The time before which they were written.
    """

    actor: str | None = None
    act: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def parts(self) -> tuple[str | None, ...]:
        """The filters, as parts of a cursor's list."""
        return self.actor, self.act, self.target, _text(self.since), _text(self.until)

    def match(self, entry: AuditEntry) -> bool:
        """Return whether an entry is listed."""
        wanted = ((self.actor, entry.actor), (self.act, entry.act), (self.target, entry.target))
        return all(value is None or value == found for value, found in wanted) and (
            not self.precedes(entry) and (self.until is None or entry.at < timestamp(self.until.timestamp()))
        )

    def precedes(self, entry: AuditEntry) -> bool:
        """Return whether an entry is earlier than all that are listed. Then those before it are, too."""
        return self.since is not None and entry.at < timestamp(self.since.timestamp())


def newest(
    filters: Filters, *, org_id: int, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[AuditEntry]:
    """List the entries of an organization, newest first.

    Raises `InvalidCursor`, `StorageUnavailable`.
    """
    listing = cursors.Listing.of(caller, "audit", org_id, *filters.parts)
    before = listing.position(cursor, int) if cursor else None
    found: list[AuditEntry] = []
    for _ in range(MOST_READ // _BATCH):
        batch = backend.audit.newest(org_id, _BATCH, before)
        for entry in batch:
            before = entry.sequence
            if filters.precedes(entry):
                return listing.page(found, None)
            if filters.match(entry):
                found.append(entry)
            if len(found) == limit:
                break
        if not batch or before == 1:
            return listing.page(found, None)
        if len(found) == limit:
            break
    return listing.page(found, None if before is None else str(before))


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
