"""Task `Publish` of the multi-run state machine: store the answer, or why there is none."""

from typing import Any

from codegen_runs.multi_runs import tasks


def handler(event: dict[str, Any], _context: object) -> dict[str, str]:
    """Handle the state's input; its `error` is there when an earlier state failed."""
    error = event.get("error")
    return tasks.publish(
        event["org_id"], event["multi_run_id"], f"{error['Error']}: {error.get('Cause', '')}" if error else None
    )
