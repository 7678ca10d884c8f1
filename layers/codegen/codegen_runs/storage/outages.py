"""An outage of the Codegen API, as the pollers see it one after another."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Outage(BaseModel):
    """Whether the upstream responds. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    since: int | None = None
    """When the outage began; None while the upstream responds."""
    probes: int = 0
    """How many calls have failed since then."""
    probe_at: int = 0
    """When the next call is made."""
    reason: str = ""
    """The error of the last call."""
    rev: int = 0
