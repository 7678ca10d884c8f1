"""The statuses of a run, and the upstream's statuses that they stand for."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The status of a run. The last five are terminal: they stay until a follow-up begins a new turn."""

    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def terminal(self) -> bool:
        """Whether the turn has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.COMPLETED, Status.INCOMPLETE, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})

# The upstream's OpenAPI document does not list its statuses. These come from its official clients and live answers.
_UPSTREAM = {
    "ACTIVE": Status.RUNNING,
    "RUNNING": Status.RUNNING,
    "EVALUATION": Status.RUNNING,
    "PENDING": Status.QUEUED,
    "PAUSED": Status.PAUSED,
    "COMPLETE": Status.COMPLETED,
    "COMPLETED": Status.COMPLETED,
    "MAX_ITERATIONS_REACHED": Status.INCOMPLETE,
    "OUT_OF_TOKENS": Status.INCOMPLETE,
    "ERROR": Status.FAILED,
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
    "STOPPED": Status.CANCELLED,
    "TIMEOUT": Status.TIMED_OUT,
}


def from_upstream(status: str | None) -> Status:
    """Translate a status of the upstream, in upper or lower case; `UNKNOWN`, which is not terminal, for all others."""
    return _UPSTREAM.get((status or "").upper(), Status.UNKNOWN)
