"""The surroundings of handlers in a test: AWS in this process, the fake Codegen, and a clock that tests move."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from codegen_api import CodegenAPI, RetryPolicy
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import RunsTable, Watch
from local import cloudformation
from local.aws import dynamodb
from local.cloudformation import Document
from local.fake_codegen import DEMO_TOKEN, ManualClock
from local.template import ANY_SECRET, Function, Table, Template, load
from tests.support import aws

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
# moto makes up the last six characters of an ARN. It finds a secret by a partial ARN, which ends with the name.
SECRET_NAME = ANY_SECRET.rpartition(":")[2]


@cache
def template(**parameters: str) -> Template:
    """Read the project's template as it would be deployed for the fake's demo organization."""
    return load(TEMPLATE, {"CodegenOrgId": "123", "CodegenTokenSecret": ANY_SECRET, **parameters})


@cache
def every_function() -> dict[str, Function]:
    """Read the functions of both deployments, with LiveStreaming and without."""
    return {**template().functions, **template(LiveStreaming="true").functions}


@cache
def environment() -> dict[str, str]:
    """Return the variables that the template gives all of its functions together."""
    functions = template().functions.values()
    return {name: value for function in functions for name, value in function.environment.items()}


@cache
def document(*, live: bool = False) -> Document:
    """Read the template with all properties, also those that the local stack ignores."""
    deployed = template(LiveStreaming="true") if live else template()
    return cloudformation.read(deployed.path, deployed.parameters)


def document_with(function: str) -> Document:
    """Read the template of the deployment that has this function."""
    return document(live=function not in template().functions)


class TestClock:
    """The clock of the fake, with the interface of `Clock`: sleeping moves it."""

    __test__ = False

    def __init__(self, manual: ManualClock) -> None:
        self.manual = manual

    def now(self) -> float:
        return self.manual.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.manual.advance(seconds)


class Kicks:
    """Counts how often the poller was kicked, and records for which changed runs."""

    def __init__(self) -> None:
        self.count = 0
        self.changed: list[str] = []

    def __call__(self, *changed: Watch | MultiRun) -> None:
        self.count += 1
        self.changed += [each.key for each in changed]


@dataclass
class Tokens:
    """Records how the task tokens of a state machine were completed."""

    answers: dict[str, Any] = field(default_factory=dict)

    def succeed(self, token: str, output: Any) -> None:
        self.answers[token] = dict(output)

    def fail(self, token: str, error: str, cause: str) -> None:
        self.answers[token] = (error, cause)


@contextmanager
def tables() -> Iterator[Template]:
    """Serve the template's tables from memory."""
    found = template()
    with aws.in_memory():
        create_tables(found)
        yield found


def create_tables(found: Template) -> None:
    """Create a template's tables, empty."""
    for table in found.tables.values():
        _create(table)


def create_state_machine(found: Template) -> None:
    """Create the state machine of multi-runs. It can be started, and does nothing."""
    machine = found.state_machines["MultiRunStateMachine"]
    aws.client("stepfunctions").create_state_machine(
        name=machine.name, definition=machine.definition, roleArn="arn:aws:iam::123456789012:role/any"
    )


def create_queues(found: Template) -> None:
    """Create a template's queues, empty."""
    client = aws.client("sqs")
    for queue in sorted(found.queues.values(), key=lambda each: "RedrivePolicy" in each.attributes):
        client.create_queue(QueueName=queue.name, Attributes=dict(queue.attributes))


def empty(table: Table) -> None:
    """Remove all items of a table. moto sorts all of them for each query."""
    dynamodb.run("DeleteTable", {"TableName": table.name})
    _create(table)


def _create(table: Table) -> None:
    # Not by boto3, which takes 2 ms: almost every test creates all tables.
    dynamodb.run("CreateTable", deepcopy(table.create))


def codegen(transport: httpx.BaseTransport) -> CodegenAPI:
    """Return a client of the fake that never retries."""
    return CodegenAPI(
        token=DEMO_TOKEN,
        base_url="http://codegen.test",
        http_client=httpx.Client(transport=transport),
        retry=RetryPolicy(max_retries=0),
        pacing=False,
    )


def runs_table(found: Template) -> RunsTable:
    """Open the runs table."""
    return RunsTable(found.tables["RunsTable"].name)
