"""Task `Ask` of the multi-run state machine: queue the run of one judge and store its task token."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> None:
    """Handle the state's input."""
    tasks.ask(
        event["org_id"],
        event["multi_run_id"],
        event["judge_run"],
        event["task_token"],
        execution=event.get("execution"),
        backend=backend,
    )
