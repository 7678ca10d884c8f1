"""Failures of AWS as problems: temporary ones, and those that only the operator of the deployment can repair.

The service's error code is in the log, as the cause of the problem. It is not in the answer.
"""

from __future__ import annotations

from typing import Any

from codegen_runs.aws import AwsError, Unanswered
from codegen_runs.problems import StorageRefused, StorageUnavailable

_EFFECT_UNKNOWN: dict[str, Any] = {
    "effect_unknown": True,
    "retryable": False,
    "remedy": "Check whether it took effect before you send it again.",
}


def outage(error: AwsError, detail: str | None = None, *, writing: bool = False) -> StorageUnavailable:
    """Return the problem for a failure of a service.

    Args:
        error: The error of the service.
        detail: What could not be done, if this helps the caller.
        writing: Whether the call changes something, so that a call without an answer may have had an effect.
    """
    if error.throttled or error.conflicted:
        return StorageUnavailable(detail or "The storage is overloaded.", retry_after=1)
    if isinstance(error, Unanswered) or error.status >= 500:
        more = _EFFECT_UNKNOWN if writing and (not isinstance(error, Unanswered) or error.sent) else {}
        return StorageUnavailable(detail or "The storage does not respond.", retry_after=1, **more)
    # A permission or a table is missing, or the request is malformed. Retrying will not help.
    return StorageRefused(detail or "The storage refused the operation.")
