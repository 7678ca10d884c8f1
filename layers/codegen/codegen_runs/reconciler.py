"""The safety net under the multi-runs: whatever happened to their state machines, each is settled.

Runs need none: the poller ends each at its deadline and answers its task token, leases run out by themselves, and
connections have a time to live. A multi-run whose state machine died could stay open for ever.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from codegen_runs import settings
from codegen_runs.aws import step_functions
from codegen_runs.clock import Clock
from codegen_runs.multi_runs import tasks
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.multi_runs import MultiRun, MultiRunsTable

logger = logging.getLogger(__name__)

# Seconds that a multi-run is left alone: its state machine may be about to start, or to publish.
GRACE = 120.0

MOST = 100


class Executions(Protocol):
    """How to ask what became of a state machine."""

    def ended(self, multi_run: MultiRun) -> str | None:
        """Say how the execution of a multi-run ended; None while it runs."""
        ...


class StepFunctionsExecutions:
    """Ask Step Functions. Raises `StorageUnavailable`."""

    def ended(self, multi_run: MultiRun) -> str | None:
        """See `Executions.ended`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = step_functions().describe_execution(executionArn=execution_arn(multi_run.id))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return "MISSING"
            raise StorageUnavailable("Step Functions did not tell of an execution.") from error
        except BotoCoreError as error:
            raise StorageUnavailable("Step Functions did not answer.") from error
        return None if found["status"] == "RUNNING" else found["status"]


@dataclass(frozen=True)
class Report:
    """What a reconciliation found."""

    open: int
    settled: int


def reconcile(multi_runs: MultiRunsTable, executions: Executions, clock: Clock) -> Report:
    """Settle every open multi-run whose state machine has ended without doing so. Raises `StorageUnavailable`."""
    found = multi_runs.open(created_before=round((clock.now() - GRACE) * 1000), limit=MOST)
    settled = 0
    for multi_run in found:
        if ended := executions.ended(multi_run):
            logger.warning("A multi-run was left open.", extra={"multi_run_id": multi_run.id, "execution": ended})
            tasks.publish(multi_run.org_id, multi_run.id, f"The state machine ended {ended}.", clock)
            settled += 1
    return Report(open=len(found), settled=settled)


def execution_arn(multi_run_id: str) -> str:
    """Name the execution of a multi-run."""
    state_machine = settings.required("MULTI_RUN_STATE_MACHINE")
    return f"{state_machine.replace(':stateMachine:', ':execution:')}:{multi_run_id}"
