"""Mend what keeps moto's Step Functions engine from standing in for the service.

moto runs a state machine for real (its interpreter is LocalStack's). Four things differ from AWS, or take too long, in
a way that this project meets; for each a test fails once moto no longer needs the mend:

- an execution started without a name is called "None", so that a second one is refused;
- `StopExecution` loses its error and cause, makes an execution fail that is inside a Map, and has no effect on one that
  has only just started or that waits for a task token;
- every Task makes a boto3 client of its own, which takes longer than the Task itself;
- the delay before a Retry is real time, which a test does not have.

A stopped execution is ABORTED at once and calls nothing any more. The thread that waited for its task token stays until
the task's own timeout.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3
from botocore.config import Config
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient

_log = logging.getLogger(__name__)

# How long an execution may take to its first state: it parses its definition before.
_START_SECONDS = 10.0


@contextmanager
def engine(endpoint_url: str, *, retry_scale: float = 1.0) -> Iterator[None]:
    """Let moto execute state machines, mended, as long as the context lasts.

    Args:
        endpoint_url: Where a Task finds the services it calls, Lambda among them.
        retry_scale: What the delays before a Retry are multiplied with.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.dict(default_user_config["stepfunctions"], {"execute_state_machine": True}))
        for target, name, mend in (
            (StepFunctionsParserBackend, "start_execution", _start_execution),
            (StepFunctionResponse, "stop_execution", _stop_execution),
            (BaseExecutionWorkerCommunication, "_reflect_execution_status", _reflect_execution_status),
            (boto_client, "boto3", stack.enter_context(closing(_Clients(endpoint_url)))),
            (retrier_decl, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * retry_scale))),
        ):
            stack.enter_context(patch.object(target, name, mend))
        # moto logs each failure of a Task, also one that is caught, with the whole state machine.
        moto_log = logging.getLogger("moto.stepfunctions")
        stack.callback(moto_log.setLevel, moto_log.level)
        moto_log.setLevel(logging.CRITICAL)
        yield


# moto is typed in part; what is patched here is not.
_moto_start_execution: Any = StepFunctionsParserBackend.start_execution
_moto_reflect_execution_status: Any = BaseExecutionWorkerCommunication._reflect_execution_status


def _start_execution(
    backend: StepFunctionsParserBackend, state_machine_arn: str, name: str | None = None, *arguments: Any
) -> Any:
    return _moto_start_execution(backend, state_machine_arn, name or str(uuid.uuid4()), *arguments)


def _stop_execution(response: StepFunctionResponse) -> ActionResult:
    execution: Any = response.stepfunction_backend.describe_execution(response._get_param("executionArn"))
    _stop(execution, error=response._get_param("error"), cause=response._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date})


def _stop(execution: Any, error: str | None, cause: str | None) -> None:
    now, started = datetime.now(UTC), time.monotonic()
    while execution.exec_status is ExecutionStatus.RUNNING and time.monotonic() - started < _START_SECONDS:
        environment = execution.exec_worker.env
        if environment is not None:
            environment.set_stop(stop_date=now, error=error, cause=cause)
            if isinstance(environment.program_state(), ProgramStopped):
                execution.exec_status, execution.stop_date = ExecutionStatus.ABORTED, now
                execution.error, execution.cause = error, cause
                return
        time.sleep(0.005)  # it has not begun: moto can only stop what runs


def _reflect_execution_status(worker: BaseExecutionWorkerCommunication) -> None:
    execution = worker.execution
    if execution.exec_status is ExecutionStatus.ABORTED:
        return
    _moto_reflect_execution_status(worker)
    if execution.exec_status is not ExecutionStatus.SUCCEEDED:
        _log.warning("%s %s: %s %s", execution.name, execution.exec_status, execution.error, execution.cause)


class _Clients:
    """Stand in for boto3 in the engine: one client per service, which many threads share."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._clients: dict[str, BaseClient] = {}
        self._lock = threading.Lock()

    def client(self, *, service_name: str, config: Config, **options: Any) -> BaseClient:
        """Take what `boto3.client` takes, as the engine calls it."""
        with self._lock:
            if service_name not in self._clients:
                options |= {
                    "config": config.merge(Config(max_pool_connections=100, proxies={})),
                    "endpoint_url": self._endpoint_url,
                }
                self._clients[service_name] = boto3.client(service_name, **options)
            return self._clients[service_name]

    def close(self) -> None:
        """Close the clients' connections."""
        for client in self._clients.values():
            client.close()
