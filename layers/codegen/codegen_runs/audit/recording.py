"""Recording acts: an entry before an act, and one with its outcome."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from codegen_runs.audit import chain
from codegen_runs.audit.acts import Act
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable, Unavailable
from codegen_runs.storage.audit import ActOutcome, AuditEntry


class AuditUnavailable(Unavailable):
    """An act could not be recorded, so it was not done."""

    code = "audit_unavailable"
    remedy = "Nothing was changed. Retry in a moment."


@dataclass(frozen=True)
class Attempt:
    """An act that is recorded as attempted, in the chain of each organization that it is about."""

    act: Act
    entries: tuple[AuditEntry, ...]


def attempt(
    act: Act,
    sent: Mapping[str, Any],
    *,
    caller: Caller,
    organizations: Collection[int],
    request_id: str | None,
    backend: Backend,
) -> Attempt:
    """Record that a caller is about to do something.

    Args:
        act: What the caller is about to do.
        sent: The parameters and fields of the request.
        caller: The caller.
        organizations: The organizations in whose audit trails it is recorded.
        request_id: The id of the request.
        backend: The clock and the audit table.

    Raises:
        AuditUnavailable: It could not be recorded. The act must not be done.
    """
    fields = {
        "act": act.name,
        "target": act.target_in(sent),
        "details": act.details_in(sent),
        "actor": caller.id,
        "token_id": caller.token_id or None,
        "request_id": request_id,
        "outcome": ActOutcome.ATTEMPTED,
        "status": None,
        "code": None,
        "attempt": None,
    }
    try:
        entries = tuple(
            chain.append(org_id, fields | {"role": caller.roles.get(org_id)}, backend=backend)
            for org_id in sorted(organizations)
        )
    except StorageUnavailable as error:
        logger.warning("Could not record an act in the audit trail. It is not done.", exc_info=True, act=act.name)
        raise AuditUnavailable("The audit trail does not respond.", retry_after=error.retry_after or 1) from error
    return Attempt(act, entries)


def conclude(attempted: Attempt, *, status: int, code: str | None, answer: Mapping[str, Any], backend: Backend) -> None:
    """Record the outcome of an act. If this fails, the log has it; the entry that it was attempted stays.

    Args:
        attempted: The act.
        status: The HTTP status of the answer.
        code: The code of the problem, if the answer is one.
        answer: The fields of the answer.
        backend: The clock and the audit table.
    """
    made = attempted.act.made_in(answer)
    for entry in attempted.entries:
        same = entry.model_dump(include={"act", "target", "details", "actor", "token_id", "role", "request_id"})
        outcome = {"outcome": _outcome(status), "status": status, "code": code, "attempt": entry.sequence}
        try:
            chain.append(entry.organization_id, same | {"target": entry.target or made} | outcome, backend=backend)
        except StorageUnavailable:
            logger.error(
                "Could not record the outcome of an act in the audit trail.",
                exc_info=True,
                act=entry.act,
                attempt=entry.sequence,
                status=status,
            )


def _outcome(status: int) -> ActOutcome:
    if status < 400:
        return ActOutcome.SUCCEEDED
    return ActOutcome.REFUSED if status < 500 else ActOutcome.FAILED
