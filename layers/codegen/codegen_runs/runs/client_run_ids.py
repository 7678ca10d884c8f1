"""The metadata entry `client_run_id`, by which a run is found at Codegen when the answer to its launch was lost."""

from __future__ import annotations

from codegen_api import AgentRun

CLIENT_RUN_ID = "client_run_id"


def client_run_id(run: AgentRun) -> str | None:
    """Return the id that a run's metadata carries; None where it carries none."""
    value = (run.metadata or {}).get(CLIENT_RUN_ID)
    return value if isinstance(value, str) else None
