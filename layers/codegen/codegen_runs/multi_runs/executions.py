"""The execution of the state machine that bears a multi-run's id. Every function raises `StorageUnavailable`."""

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
    """Start the state machine."""
    with _told("The multi-run could not be started."):
        step_functions().start_execution(
            stateMachineArn=settings.required("MULTI_RUN_STATE_MACHINE"),
            name=multi_run.id,
            input=json.dumps({"org_id": multi_run.org_id, "multi_run_id": multi_run.id}),
        )


def stop(multi_run: MultiRun) -> None:
    """Stop the state machine, if it runs."""
    with _told("The multi-run could not be stopped; cancel it again."):
        step_functions().stop_execution(executionArn=_arn(multi_run), error="Cancelled", cause="Cancelled by a caller.")


def ended(multi_run: MultiRun) -> str | None:
    """Say how the state machine ended, `MISSING` if it never ran; None while it runs."""
    status = MISSING
    with _told("Step Functions did not tell of an execution."):
        status = step_functions().describe_execution(executionArn=_arn(multi_run))["status"]
    return None if status == "RUNNING" else status


def _arn(multi_run: MultiRun) -> str:
    state_machine = settings.required("MULTI_RUN_STATE_MACHINE")
    return f"{state_machine.replace(':stateMachine:', ':execution:')}:{multi_run.id}"


@contextmanager
def _told(failure: str) -> Iterator[None]:
    """Pass over an execution that does not exist, and tell every other failure in the same words."""
    try:
        yield
    except AwsError as error:
        if error.code != "ExecutionDoesNotExist":
            raise outage(error, failure) from error
