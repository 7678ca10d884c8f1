"""The one vocabulary of run statuses, and how the upstream's words map to it."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a run stands. The last five are terminal: they stay until a follow-up opens a new turn."""

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
        """Whether nothing more is expected."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.COMPLETED, Status.INCOMPLETE, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})

# The upstream's document gives no enumeration; these words come from its official clients and from live answers.
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


def from_upstream(word: str | None) -> Status:
    """Map an upstream status word, in any case, to ours; a word nobody knows is `unknown`, which is not terminal."""
    return _UPSTREAM.get((word or "").upper(), Status.UNKNOWN)
