"""Task `Judge` of the multi-run state machine: choose the state that follows the candidates."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> dict[str, str]:
    """Handle the state's input."""
    return tasks.judge(event["org_id"], event["multi_run_id"], backend=backend)
