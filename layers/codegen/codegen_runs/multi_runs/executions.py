"""Executions of the state machine: one for each multi-run, and a further one for each retry and each resynthesis.

Every function raises `StorageUnavailable`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from codegen_runs import settings
from codegen_runs.aws import AwsError, step_functions
from codegen_runs.aws.outages import outage
from codegen_runs.storage.multi_runs import MultiRun

MISSING = "MISSING"


def start(multi_run: MultiRun) -> None:
    """Start the state machine, unless it was started under the same name before."""
    with _failing_as("Could not start the multi-run."):
        step_functions().start_execution(
            stateMachineArn=settings.required("MULTI_RUN_STATE_MACHINE"),
            name=multi_run.execution_name,
            input=json.dumps(
                {
                    "org_id": multi_run.org_id,
                    "multi_run_id": multi_run.id,
                    "execution": multi_run.execution_name,
                    "request_id": multi_run.request_id,
                }
            ),
        )


def stop(multi_run: MultiRun) -> None:
    """Stop the state machine, if it is running."""
    with _failing_as("Could not stop the multi-run. Cancel it again."):
        step_functions().stop_execution(executionArn=_arn(multi_run), error="Cancelled", cause="Cancelled by a caller.")


def ended(multi_run: MultiRun) -> str | None:
    """Return the status with which the state machine ended; `MISSING` if it never ran, None while it is running."""
    status = MISSING
    with _failing_as("Could not read an execution from Step Functions."):
        status = step_functions().describe_execution(executionArn=_arn(multi_run))["status"]
    return None if status == "RUNNING" else status


def _arn(multi_run: MultiRun) -> str:
    state_machine = settings.required("MULTI_RUN_STATE_MACHINE")
    return f"{state_machine.replace(':stateMachine:', ':execution:')}:{multi_run.execution_name}"


@contextmanager
def _failing_as(failure: str) -> Iterator[None]:
    """Ignore an execution that does not exist or was started before; raise other failures, with `failure` as detail."""
    try:
        yield
    except AwsError as error:
        if error.code not in ("ExecutionDoesNotExist", "ExecutionAlreadyExists"):
            raise outage(error, failure) from error
