"""Task `Publish` of the multi-run state machine: store the answer, or the reason why there is none."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks
from codegen_runs.multi_runs.task_inputs import PublishInput

backend = Backend()


def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, str]:
    """Handle the state's input, which has an `error` when an earlier state failed."""
    seconds = context.get_remaining_time_in_millis() / 1000
    return tasks.publish(**PublishInput.read(event), seconds=seconds, backend=backend)
