"""Task `Publish` of the multi-run state machine: store the answer, or the reason why there is none."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> dict[str, str]:
    """Handle the state's input, which has an `error` when an earlier state failed."""
    error = event.get("error")
    reason = f"{error['Error']}: {error.get('Cause', '')}" if error else None
    return tasks.publish(
        event["org_id"], event["multi_run_id"], reason, execution=event.get("execution"), backend=backend
    )
