"""The chain of an organization's audit entries. Each entry has the hash of the one before it.

Entries are added one after the other, whoever adds them: an entry takes the next place in a conditional write, and
whoever finds the place taken reads the new end of the chain and tries the place after it.
"""

from __future__ import annotations

import secrets
from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.events import timestamp
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.audit import GENESIS, AuditEntry, hash_of
from codegen_runs.storage.table import ConditionFailed

MOST_TRIES = 100
"""How often a place may be taken by others before adding an entry fails. Each time, another entry was added."""


def append(org_id: int, fields: dict[str, Any], *, backend: Backend) -> AuditEntry:
    """Add an entry to the chain of an organization and return it.

    Args:
        org_id: The organization.
        fields: The fields of the entry that do not follow from its place.
        backend: The clock and the audit table.

    Raises `StorageUnavailable`.
    """
    for _ in range(MOST_TRIES):
        last = next(iter(backend.audit.newest(org_id, 1)), None)
        entry = _following(last, fields | {"id": f"ae-{secrets.token_hex(8)}", "organization_id": org_id}, backend)
        if _is_added(entry, backend):
            return entry
    raise StorageUnavailable("Too many acts of the organization are being recorded.", retry_after=1)


def _following(last: AuditEntry | None, fields: dict[str, Any], backend: Backend) -> AuditEntry:
    now = timestamp(backend.clock.now())
    place = {
        "sequence": last.sequence + 1 if last else 1,
        # The clocks of two functions differ a little. Readers may rely on the order of the times.
        "at": max(now, last.at) if last else now,
        "previous": last.hash if last else GENESIS,
    }
    unhashed = AuditEntry(**fields, **place, hash="")
    return unhashed.model_copy(update={"hash": hash_of(unhashed.model_dump(mode="json"))})


def _is_added(entry: AuditEntry, backend: Backend) -> bool:
    """Add an entry. Return False if another one has its place.

    A write whose answer is lost may have added it, and the client of AWS may have sent it again. So the place is read.
    """
    try:
        backend.audit.add(entry)
    except ConditionFailed:
        return backend.audit.get(entry.organization_id, entry.sequence) == entry
    except StorageUnavailable as error:
        if error.effect_unknown and backend.audit.get(entry.organization_id, entry.sequence) == entry:
            return True
        raise
    return True
