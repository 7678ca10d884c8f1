"""Completing the Step Functions tasks that wait for a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from codegen_runs.aws import AwsError, step_functions
from codegen_runs.aws.outages import outage

# The errors for a task that was completed before, timed out, or belongs to an execution that was stopped.
_OVER = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


class TaskTokens(Protocol):
    """Completes the tasks of state machines. A task that is over already is no error."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        """Complete the task of a token with an output."""

    def fail(self, token: str, error: str, cause: str) -> None:
        """Fail the task of a token."""


class StepFunctionsTokens:
    """Completes tasks through the Step Functions API. Every method may raise `StorageUnavailable`."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        """See `TaskTokens.succeed`."""
        self._send("send_task_success", taskToken=token, output=json.dumps(output))

    def fail(self, token: str, error: str, cause: str) -> None:
        """See `TaskTokens.fail`."""
        self._send("send_task_failure", taskToken=token, error=error, cause=cause)

    def _send(self, operation: str, **arguments: str) -> None:
        try:
            getattr(step_functions(), operation)(**arguments)
        except AwsError as error:
            if error.code not in _OVER:
                raise outage(error, "Step Functions did not accept the outcome of a run.") from error
