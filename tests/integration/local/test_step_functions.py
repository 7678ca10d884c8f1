"""The patches of moto's Step Functions engine: that they work, and that moto still needs them.

If a test of moto alone fails, moto has improved: remove the patch.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import pytest
from botocore.config import Config
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from werkzeug.serving import make_server

from local.aws.server import Aws, serve
from local.loopback import listen
from tests.support.processes import wait_until

ROLE = "arn:aws:iam::123456789012:role/r"
WAIT = {"Type": "Wait", "Seconds": 300, "End": True}


@pytest.fixture
def alone(monkeypatch) -> Iterator[Aws]:
    """moto without patches, executing state machines."""
    moto_api_backend.reset()
    monkeypatch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
    aws = Aws("", httpx.Client())
    server = make_server("127.0.0.1", 0, aws.wsgi, threaded=True)
    aws.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MOTO_PORT", str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield aws
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def patched() -> Iterator[Aws]:
    with listen() as listening, serve(listening, retry_scale=0.01) as aws:
        yield aws


class Machine:
    """One state machine."""

    def __init__(self, aws: Aws, states: dict[str, object], name: str = "machine") -> None:
        self.client = boto3.client(
            "stepfunctions",
            endpoint_url=aws.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        self.arn = self.client.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]

    def start(self, event: object = None, **options: str) -> str:
        started = self.client.start_execution(stateMachineArn=self.arn, input=json.dumps(event or {}), **options)
        return started["executionArn"]

    def describe(self, execution: str) -> dict[str, str]:
        return self.client.describe_execution(executionArn=execution)

    def wait_for(self, execution: str, state: str) -> None:
        """Wait until the execution has entered the state."""
        wait_until(lambda: any(event["type"] == state for event in self.events(execution)))

    def events(self, execution: str) -> list[dict[str, object]]:
        return self.client.get_execution_history(executionArn=execution)["events"]

    def stop(self, execution: str) -> None:
        self.client.stop_execution(executionArn=execution, error="Cancelled", cause="a user did")

    def end_of(self, execution: str) -> dict[str, str]:
        """Wait until the execution has ended and describe it."""
        wait_until(lambda: self.describe(execution)["status"] != "RUNNING")
        return self.describe(execution)


def outcome(described: dict[str, str]) -> tuple[str | None, ...]:
    return described["status"], described.get("error"), described.get("cause")


ABORTED = ("ABORTED", "Cancelled", "a user did")

# --- names -----------------------------------------------------------------------------------------------------------


def test_an_execution_needs_no_name(patched):
    machine = Machine(patched, {"A": {"Type": "Pass", "End": True}})

    assert [machine.end_of(machine.start())["status"] for _ in range(2)] == ["SUCCEEDED", "SUCCEEDED"]


def test_moto_alone_calls_every_execution_none(alone):
    machine = Machine(alone, {"A": {"Type": "Pass", "End": True}})
    machine.end_of(machine.start())

    with pytest.raises(machine.client.exceptions.ExecutionAlreadyExists):
        machine.start()


def test_a_given_name_is_kept_and_can_be_used_once(patched):
    machine = Machine(patched, {"A": {"Type": "Pass", "End": True}})

    assert machine.start(name="mr-1").endswith(":mr-1")
    with pytest.raises(machine.client.exceptions.ExecutionAlreadyExists):
        machine.start({"other": 1}, name="mr-1")


# --- stopping --------------------------------------------------------------------------------------------------------

MAP: dict[str, Any] = {
    "Type": "Map",
    "ItemsPath": "$.items",
    "ItemProcessor": {"StartAt": "W", "States": {"W": WAIT}},
    "End": True,
}
MANY = {
    **MAP,
    "Label": "Many",
    "ItemProcessor": {**MAP["ItemProcessor"], "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
}
A_TOKEN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl": "http://127.0.0.1/123456789012/queue", "MessageBody.$": "$$.Task.Token"},
    "TimeoutSeconds": 300,
}
TOKEN = {**A_TOKEN, "End": True}


def stopped(aws: Aws, state: dict[str, object], entered: str) -> tuple[Machine, str]:
    """Start an execution, stop it once its history has an event of this type, and return it."""
    aws.client("sqs").create_queue(QueueName="queue")
    machine = Machine(aws, {"Only": state})
    execution = machine.start({"items": [1, 2, 3]}, name="mr-1")
    machine.wait_for(execution, entered)
    machine.stop(execution)
    return machine, execution


@pytest.mark.parametrize(
    ("state", "entered"),
    [(WAIT, "WaitStateEntered"), (MAP, "WaitStateEntered"), (MANY, "MapRunStarted"), (TOKEN, "TaskSubmitted")],
    ids=["wait", "map", "distributed map", "token"],
)
def test_a_stopped_execution_is_aborted_at_once_with_its_error(patched, state, entered):
    machine, execution = stopped(patched, state, entered)

    assert outcome(machine.describe(execution)) == ABORTED


def test_a_stopped_execution_stays_aborted(patched):
    machine, execution = stopped(patched, MAP, "WaitStateEntered")

    machine.wait_for(execution, "ExecutionFailed")  # the engine's own history

    assert outcome(machine.describe(execution)) == ABORTED


def test_moto_alone_loses_the_error_of_a_stopped_execution(alone):
    machine, execution = stopped(alone, WAIT, "WaitStateEntered")

    assert outcome(machine.end_of(execution)) == ("ABORTED", None, None)


def test_moto_alone_fails_an_execution_that_is_stopped_inside_a_map(alone):
    machine, execution = stopped(alone, MAP, "WaitStateEntered")

    assert machine.end_of(execution)["status"] == "FAILED"


def test_moto_alone_cannot_stop_an_execution_that_waits_for_a_task_token(alone):
    machine, execution = stopped(alone, TOKEN, "TaskSubmitted")

    assert machine.describe(execution)["status"] == "RUNNING"


@pytest.fixture
def parsing(monkeypatch) -> Iterator[tuple[threading.Event, Callable[[], None]]]:
    """An event, and a function after whose call executions wait for that event before they parse their definition."""
    # Imported here, because it takes a second, and each worker imports this module.
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    parse, may_parse = AmazonStateLanguageParser.parse, threading.Event()

    def wait_and_parse(definition: str) -> object:
        may_parse.wait()
        return parse(definition)

    yield may_parse, lambda: monkeypatch.setattr(AmazonStateLanguageParser, "parse", staticmethod(wait_and_parse))
    may_parse.set()


def test_an_execution_that_has_just_started_can_be_stopped(patched, parsing):
    may_parse, hold = parsing
    machine = Machine(patched, {"Only": WAIT})
    hold()
    execution = machine.start()

    threading.Timer(0.05, may_parse.set).start()
    machine.stop(execution)

    assert outcome(machine.describe(execution)) == ABORTED


def test_moto_alone_cannot_stop_an_execution_that_has_just_started(alone, parsing):
    _, hold = parsing
    machine = Machine(alone, {"Only": WAIT})
    hold()
    execution = machine.start(name="mr-1")

    with pytest.raises(machine.client.exceptions.ClientError, match="500"):
        machine.stop(execution)


def test_stopping_an_execution_that_has_ended_changes_nothing(patched):
    machine = Machine(patched, {"A": {"Type": "Pass", "End": True}})
    execution = machine.start()
    machine.end_of(execution)

    machine.stop(execution)

    assert outcome(machine.describe(execution)) == ("SUCCEEDED", None, None)


# --- task tokens -----------------------------------------------------------------------------------------------------


def second_completion(aws: Aws) -> str | None:
    """Complete a task token twice, and return the name of the error of the second time."""
    queues = aws.client("sqs")
    queue = queues.create_queue(QueueName="queue")["QueueUrl"]
    machine = Machine(aws, {"Only": {**A_TOKEN, "Next": "Then"}, "Then": WAIT})
    machine.wait_for(machine.start(name="mr-1"), "TaskSubmitted")
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    machine.client.send_task_success(taskToken=message["Body"], output="1")
    try:
        machine.client.send_task_success(taskToken=message["Body"], output="2")
    except machine.client.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_a_task_token_is_accepted_once(patched):
    assert second_completion(patched) == "TaskTimedOut"


def test_moto_alone_accepts_a_task_token_twice(alone):
    assert second_completion(alone) is None


# --- clients ---------------------------------------------------------------------------------------------------------


def clients_of_three_tasks(aws: Aws) -> int:
    """Run three Tasks of the same service and count the clients that were created for them."""
    states = {
        name: {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl": "http://127.0.0.1/123456789012/queue", "MessageBody": name},
            **({"Next": following} if following else {"End": True}),
        }
        for name, following in (("A", "B"), ("B", "C"), ("C", None))
    }
    aws.client("sqs").create_queue(QueueName="queue")
    machine = Machine(aws, states)
    with patch.object(boto3, "client", wraps=boto3.client) as client:
        ended = machine.end_of(machine.start(name="mr-1"))
    assert ended["status"] == "SUCCEEDED"
    return client.call_count


def test_tasks_share_a_client(patched):
    assert clients_of_three_tasks(patched) == 1


def test_moto_alone_makes_a_client_for_each_task(alone):
    assert clients_of_three_tasks(alone) == 3


# --- retries ---------------------------------------------------------------------------------------------------------


def seconds_of_a_retry(aws: Aws, *, after: int) -> float:
    """Measure an execution with one retry, whose definition has a delay of so many seconds."""
    retried = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "http://127.0.0.1/123456789012/nowhere", "MessageBody": "x"},
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": after, "MaxAttempts": 1}],
        "End": True,
    }
    machine = Machine(aws, {"Only": retried})
    started = time.monotonic()
    assert machine.end_of(machine.start(name="mr-1"))["status"] == "FAILED"
    return time.monotonic() - started


def test_the_delay_of_a_retry_can_be_scaled(patched):
    assert seconds_of_a_retry(patched, after=60) < 30


@pytest.mark.full
def test_moto_alone_waits_in_real_time(alone):
    assert seconds_of_a_retry(alone, after=2) >= 2
