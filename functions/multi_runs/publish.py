"""Task `Publish` of the multi-run state machine: store the answer, or the reason why there is none."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks
from codegen_runs.multi_runs.task_inputs import PublishInput

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> dict[str, str]:
    """Handle the state's input, which has an `error` when an earlier state failed."""
    return tasks.publish(**PublishInput.read(event), backend=backend)
