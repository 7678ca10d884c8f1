"""A task token that is completed twice, by the poller's own client and a state machine that really runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs.poller.task_tokens import StepFunctionsTokens
from local.aws.server import Aws, serve
from local.loopback import listen
from tests.support.processes import wait_until

WAITING = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {
        "QueueUrl": "http://127.0.0.1/123456789012/tokens",
        "MessageBody": {"token.$": "$$.Task.Token", "candidate.$": "$"},
    },
    "TimeoutSeconds": 300,
    "End": True,
}
CANDIDATES = {
    "StartAt": "Candidates",
    "States": {
        "Candidates": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Launch", "States": {"Launch": WAITING}},
            "End": True,
        }
    },
}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with listen() as listening, serve(listening) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        for name, value in (("ACCESS_KEY_ID", "local"), ("SECRET_ACCESS_KEY", "local"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield aws


class Execution:
    """An execution with two candidates, each of which waits for its token."""

    def __init__(self, stand_in: Aws) -> None:
        self._client, self._queues = stand_in.client("stepfunctions"), stand_in.client("sqs")
        self._queue = self._queues.create_queue(QueueName="tokens")["QueueUrl"]
        machine = self._client.create_state_machine(
            name="machine", definition=json.dumps(CANDIDATES), roleArn="arn:aws:iam::123456789012:role/r"
        )
        self._arn = self._client.start_execution(stateMachineArn=machine["stateMachineArn"], input="[0, 1]")[
            "executionArn"
        ]
        self.tokens: dict[int, str] = {}
        wait_until(self._have_come)

    def _have_come(self) -> bool:
        for message in self._queues.receive_message(QueueUrl=self._queue).get("Messages", []):
            body = json.loads(message["Body"])
            self.tokens[body["candidate"]] = body["token"]
        return self.tokens.keys() == {0, 1}

    def status(self) -> str:
        return str(self._client.describe_execution(executionArn=self._arn)["status"])

    def output(self) -> Any:
        """Wait for the end, and return what the candidates gave."""
        wait_until(lambda: self.status() != "RUNNING")
        return json.loads(self._client.describe_execution(executionArn=self._arn)["output"])

    def ended_tasks(self) -> int:
        history = self._client.get_execution_history(executionArn=self._arn)["events"]
        return sum(event["type"] in ("TaskSucceeded", "TaskFailed") for event in history)


@pytest.fixture
def execution(stand_in: Aws) -> Execution:
    return Execution(stand_in)


def test_of_two_completions_of_a_token_the_first_one_counts(execution: Execution) -> None:
    tokens = StepFunctionsTokens()

    tokens.succeed(execution.tokens[0], {"by": "the first poller"})
    tokens.succeed(execution.tokens[0], {"by": "the second poller"})
    tokens.fail(execution.tokens[0], "Late", "A third one.")

    assert execution.status() == "RUNNING"  # the other candidate is still waited for
    tokens.succeed(execution.tokens[1], {"by": "the first poller"})
    assert execution.output() == [{"by": "the first poller"}] * 2
    assert execution.ended_tasks() == 2


def test_a_completion_after_the_end_of_the_execution_is_no_error(execution: Execution) -> None:
    tokens = StepFunctionsTokens()
    for token in execution.tokens.values():
        tokens.succeed(token, {"by": "the first poller"})
    ended = execution.output()

    for token in execution.tokens.values():
        tokens.succeed(token, {"by": "the second poller"})

    assert execution.output() == ended
