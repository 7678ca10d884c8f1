"""Task `Plan` of the multi-run state machine: list the candidates to launch."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> tasks.State:
    """Handle the state's input."""
    return tasks.plan(event["org_id"], event["multi_run_id"], execution=event.get("execution"), backend=backend)
