"""The settings in the environment, which are read when they are needed and never at import.

The template defines the variables. If a variable is missing, the requests that need it fail with an error that names
it. The function can still be imported to read its routes.
"""

import os
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


class SettingError(RuntimeError):
    """An environment variable is missing or invalid."""


def required(name: str) -> str:
    """Return the value of the variable `name`.

    Raises:
        SettingError: It is missing or empty.
    """
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"The environment variable {name} is not set.")
    return value


def codegen_base_url() -> str:
    """Return the address of the Codegen API, with or without /v1."""
    return required("CODEGEN_BASE_URL")


def codegen_org_id() -> int | None:
    """Return the organization of requests without one in their path; None if the deployment has no default."""
    value = os.environ.get("CODEGEN_ORG_ID", "")
    return _number("CODEGEN_ORG_ID", value, int) if value else None


def cursor_key() -> bytes:
    """Return the secret key of the cursors of lists."""
    return required("CURSOR_KEY").encode()


def codegen_timeout() -> float:
    """Return how many seconds one request to the Codegen API may take."""
    return _number("CODEGEN_TIMEOUT", required("CODEGEN_TIMEOUT"), float)


def codegen_max_retries() -> int:
    """Return how many times a request that is safe to repeat is repeated."""
    return _number("CODEGEN_MAX_RETRIES", required("CODEGEN_MAX_RETRIES"), int)


def codegen_limit_factor() -> int:
    """Return the multiple of the documented rate limits that the Codegen API allows; 1 by default."""
    value = os.environ.get("CODEGEN_LIMIT_FACTOR", "")
    return _number("CODEGEN_LIMIT_FACTOR", value, int) if value else 1


def most_queued_runs_of_organization() -> int:
    """Return how many runs of an organization may be queued at the same time."""
    return _number(
        "MAX_QUEUED_RUNS_PER_ORGANIZATION", os.environ.get("MAX_QUEUED_RUNS_PER_ORGANIZATION") or "1000", int
    )


def most_queued_runs_of_caller() -> int:
    """Return how many runs of a caller in one organization may be queued at the same time."""
    return _number("MAX_QUEUED_RUNS_PER_CALLER", os.environ.get("MAX_QUEUED_RUNS_PER_CALLER") or "300", int)


def most_candidates() -> int:
    """Return how many candidates one multi-run may have; 20 by default."""
    return _number("MAX_CANDIDATES", os.environ.get("MAX_CANDIDATES") or "20", int)


def identity_grace() -> int:
    """Return for how many seconds after a verification a caller is accepted while Codegen fails; at most a day."""
    hours = _number("IDENTITY_GRACE_HOURS", os.environ.get("IDENTITY_GRACE_HOURS") or "24", int)
    return min(max(hours, 0), 24) * 3600


def cap(name: str) -> int:
    """Return how many one caller may have of what the variable `name` limits, such as `STREAMS_PER_CALLER`."""
    return max(1, _number(name, required(name), int))


def event_retention() -> int:
    """Return how many seconds the events of a run are stored."""
    return _number("EVENT_RETENTION_DAYS", required("EVENT_RETENTION_DAYS"), int) * 86_400


def checkpoint_retention() -> int:
    """Return how many seconds a checkpoint is stored."""
    return _number("CHECKPOINT_RETENTION_DAYS", required("CHECKPOINT_RETENTION_DAYS"), int) * 86_400


def private_webhooks() -> bool:
    """Return whether messages may be sent to hosts that are not public, and without TLS: in the local stack only."""
    return os.environ.get("PRIVATE_WEBHOOKS", "") == "true"


def allowed_origin() -> str:
    """Return the browser origin that CORS allows."""
    return required("ALLOWED_ORIGIN")


def _number(name: str, value: str, kind: type[_Number]) -> _Number:
    try:
        return kind(value)
    except ValueError:
        raise SettingError(f"The environment variable {name} is not a number.") from None
