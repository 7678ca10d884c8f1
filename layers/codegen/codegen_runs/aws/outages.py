"""Failures of AWS as a caller is told them: those that pass, and those that only the deployment's operator can mend.

What a service calls its reason is for the log, which has the cause; no answer names it.
"""

from __future__ import annotations

from typing import Any

from codegen_runs.aws import AwsError, Unanswered
from codegen_runs.problems import StorageRefused, StorageUnavailable

# Two transactions met: neither has done anything, and the next try is as good as any.
_CONFLICTS = {"TransactionConflict", "TransactionConflictException"}

_LOOK: dict[str, Any] = {
    "effect_unknown": True,
    "retryable": False,
    "remedy": "Check whether it took effect before you send it again.",
}


def outage(error: AwsError, detail: str | None = None, *, writing: bool = False) -> StorageUnavailable:
    """Return the problem that tells a failure.

    Args:
        error: What the service answered.
        detail: What could not be done, where the caller can make something of that.
        writing: Whether something changed if the service had the call, though nobody knows of it.
    """
    if error.throttled or _CONFLICTS & {error.code, *error.reasons}:
        return StorageUnavailable(detail or "The storage is overloaded.", retry_after=1)
    if isinstance(error, Unanswered) or error.status >= 500:
        done = writing and (not isinstance(error, Unanswered) or error.sent)
        return StorageUnavailable(detail or "The storage does not respond.", retry_after=1, **(_LOOK if done else {}))
    # A permission, a table or a form is missing, and is missed again by the next try.
    return StorageRefused(detail or "The storage refused the operation.")
