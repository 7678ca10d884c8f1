"""moto's Step Functions engine, patched where it differs from AWS.

moto executes state machines (its interpreter is LocalStack's). Five things differ from AWS, or take too long, in a way
that matters to this project. For each patch a test fails once moto no longer needs it:

- An execution that is started without a name is called "None", so a second one is refused.
- `StopExecution` loses its error and cause, makes an execution fail that is inside a Map, and has no effect on one that
  has just started or that waits for a task token.
- The second completion of a task token is accepted, and replaces the first one if the Task has not gone on yet.
- Every Task creates a boto3 client, which takes longer than the Task itself.
- The delay before a Retry passes in real time, which is too slow for a test.

A stopped execution is ABORTED at once and makes no further calls. The thread that waits for its task token stays until
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
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackOutcome, CallbackPoolManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.client import BaseClient

_log = logging.getLogger(__name__)

# How long an execution may take to reach its first state. Before that, it parses its definition.
_START_SECONDS = 10.0


@contextmanager
def engine(
    endpoint_url: str,
    *,
    retry_scale: float = 1.0,
    started: Callable[[str, str, str | None], None] = lambda _machine, _name, _input: None,
    ended: Callable[[str], None] = lambda _name: None,
) -> Iterator[None]:
    """Execute state machines in moto, patched, while the context lasts.

    Args:
        endpoint_url: The URL of the services that a Task calls, Lambda among them.
        retry_scale: The factor by which the delays before a Retry are multiplied.
        started: Called with the ARN of the state machine, the name and the input of each execution that starts.
        ended: Called with the name of each execution that ends.
    """

    def start_execution(
        backend: StepFunctionsParserBackend, state_machine_arn: str, name: str | None = None, *arguments: Any
    ) -> Any:
        execution = _moto_start_execution(backend, state_machine_arn, name or str(uuid.uuid4()), *arguments)
        started(state_machine_arn, execution.name, execution.execution_input)
        if execution.exec_status is not ExecutionStatus.RUNNING:  # it has ended before it was noted
            ended(execution.name)
        return execution

    def stop_execution(response: StepFunctionResponse) -> ActionResult:
        execution: Any = response.stepfunction_backend.describe_execution(response._get_param("executionArn"))
        _stop(execution, error=response._get_param("error"), cause=response._get_param("cause"))
        ended(execution.name)
        return ActionResult({"stopDate": execution.stop_date})

    def reflect_execution_status(worker: BaseExecutionWorkerCommunication) -> None:
        _reflect_execution_status(worker)
        ended(worker.execution.name)

    with ExitStack() as stack:
        stack.enter_context(patch.dict(default_user_config["stepfunctions"], {"execute_state_machine": True}))
        for target, name, replacement in (
            (StepFunctionsParserBackend, "start_execution", start_execution),
            (StepFunctionResponse, "stop_execution", stop_execution),
            (BaseExecutionWorkerCommunication, "_reflect_execution_status", reflect_execution_status),
            (CallbackPoolManager, "notify", _notify_once),
            (boto_client, "boto3", stack.enter_context(closing(_Clients(endpoint_url)))),
            (retrier_decl, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * retry_scale))),
        ):
            stack.enter_context(patch.object(target, name, replacement))
        # moto logs every failure of a Task, even one that is caught, with the whole state machine.
        moto_log = logging.getLogger("moto.stepfunctions")
        stack.callback(moto_log.setLevel, moto_log.level)
        moto_log.setLevel(logging.CRITICAL)
        yield


# moto is only partly typed; what is patched here is not.
_moto_start_execution: Any = StepFunctionsParserBackend.start_execution
_moto_reflect_execution_status: Any = BaseExecutionWorkerCommunication._reflect_execution_status
_moto_notify: Any = CallbackPoolManager.notify


class _TaskEndedError(AWSError):
    """The task of a token has ended. moto's own class of this error cannot be raised."""

    TYPE, STATUS = "TaskTimedOut", 400


_one_completion_at_a_time = threading.Lock()


def _notify_once(tokens: CallbackPoolManager, callback_id: str, outcome: CallbackOutcome) -> Any:
    """Complete the Task of a token, unless it is complete."""
    with _one_completion_at_a_time:
        task = tokens.get(callback_id)
        if task and task.get_outcome():
            raise _TaskEndedError("The task of this token has ended.")
        return _moto_notify(tokens, callback_id, outcome)


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
        time.sleep(0.005)  # it has not begun, and moto can only stop an execution that runs


def _reflect_execution_status(worker: BaseExecutionWorkerCommunication) -> None:
    execution = worker.execution
    if execution.exec_status is ExecutionStatus.ABORTED:
        return
    _moto_reflect_execution_status(worker)
    if execution.exec_status is not ExecutionStatus.SUCCEEDED:
        _log.warning("%s %s: %s %s", execution.name, execution.exec_status, execution.error, execution.cause)


class _Clients:
    """Replaces boto3 in the engine: one client per service, shared by all threads."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._clients: dict[str, BaseClient] = {}
        self._lock = threading.Lock()

    def client(self, *, service_name: str, config: Config, **options: Any) -> BaseClient:
        """Return a client; the arguments are those with which the engine calls `boto3.client`."""
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
