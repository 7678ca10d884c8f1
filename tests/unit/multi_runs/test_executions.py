"""Executions of the state machine: a name starts one execution, ever."""

import json

import boto3
import pytest

from codegen_runs import aws
from codegen_runs.multi_runs import executions
from codegen_runs.problems import StorageUnavailable
from local.template import Template
from tests.support.aws import Aws
from tests.unit.multi_runs.records import multi_run

pytestmark = pytest.mark.usefixtures("state_machine")

FIRST = multi_run(id="mr-1", request_id="first")
SECOND = multi_run(id="mr-1", request_id="second")
"""The same multi-run, started by a repeated request: the input of its execution is another one."""


def started(deployed: Template) -> list[tuple[str, str]]:
    """Return the name of each execution, and the request that started it."""
    client = boto3.client("stepfunctions")
    machine = deployed.state_machines["MultiRunStateMachine"].arn
    found = client.list_executions(stateMachineArn=machine)["executions"]
    inputs = [client.describe_execution(executionArn=each["executionArn"])["input"] for each in found]
    return [(each["name"], json.loads(given)["request_id"]) for each, given in zip(found, inputs, strict=True)]


def test_a_name_that_is_used_again_starts_nothing(deployed: Template) -> None:
    executions.start(FIRST)
    executions.start(FIRST)
    executions.start(SECOND)

    assert started(deployed) == [("mr-1", "first")]


def test_a_name_of_an_execution_that_has_ended_starts_nothing(deployed: Template) -> None:
    executions.start(FIRST)
    executions.stop(FIRST)

    executions.start(SECOND)

    assert started(deployed) == [("mr-1", "first")]
    assert executions.ended(FIRST) == "ABORTED"


def test_each_repair_has_a_name_of_its_own(deployed: Template) -> None:
    for number in (0, 1, 1, 2):
        executions.start(multi_run(id="mr-1", request_id="first", execution=number))

    assert sorted(name for name, _ in started(deployed)) == ["mr-1", "mr-1-1", "mr-1-2"]


@pytest.mark.parametrize("code", ["ExecutionLimitExceeded", "StateMachineDeleting", "InvalidName"])
def test_another_refusal_is_no_start(code: str, deployed: Template) -> None:
    services = Aws()
    services.refuse("StartExecution", code)

    with aws.wire.over(services), pytest.raises(StorageUnavailable, match="Could not start the multi-run"):
        executions.start(FIRST)

    assert started(deployed) == []
