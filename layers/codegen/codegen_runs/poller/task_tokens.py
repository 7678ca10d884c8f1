"""Answering Step Functions: what a state machine waits for, told once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from codegen_runs.aws import AwsError, step_functions
from codegen_runs.aws.outages import outage

# What Step Functions says of a token that was answered before, ran out, or belongs to a stopped execution.
_RELEASED = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


class TaskTokens(Protocol):
    """How the poller tells a state machine that a run has ended."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        """End the task well; a token that nobody waits for any more is no error."""

    def fail(self, token: str, error: str, cause: str) -> None:
        """End the task badly; a token that nobody waits for any more is no error."""


class StepFunctionsTokens:
    """Answer tokens through the Step Functions API. Raises `StorageUnavailable` when it does not answer."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        """See `TaskTokens.succeed`."""
        self._answer("send_task_success", taskToken=token, output=json.dumps(output))

    def fail(self, token: str, error: str, cause: str) -> None:
        """See `TaskTokens.fail`."""
        self._answer("send_task_failure", taskToken=token, error=error, cause=cause)

    def _answer(self, operation: str, **arguments: str) -> None:
        try:
            getattr(step_functions(), operation)(**arguments)
        except AwsError as error:
            if error.code not in _RELEASED:
                raise outage(error, "Step Functions did not take the outcome of a run.") from error
