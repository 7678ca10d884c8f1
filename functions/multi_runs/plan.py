"""Task `Plan` of the multi-run state machine: list the candidates to launch."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks
from codegen_runs.multi_runs.task_inputs import TaskInput

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> tasks.State:
    """Handle the state's input."""
    return tasks.plan(**TaskInput.read(event), backend=backend)
