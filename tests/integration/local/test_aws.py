"""The AWS stand-in as its clients use it: boto3 over HTTP, all services at one endpoint."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import moto.dynamodb.models
import pytest
from moto.sqs.models import SQSBackend

from local.aws.server import Aws, serve
from local.functions.client import FunctionError, FunctionsClient, InvocationError
from local.loopback import listen
from local.template import ACCOUNT_ID, REGION, load
from tests.support.processes import is_running, wait_until

LAYER = Path(__file__).parents[3] / "layers" / "codegen"
TEMPLATE = """
Globals:
  Function: {Runtime: python3.13}
Resources:
  Runs:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: due, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - {IndexName: due, KeySchema: [{AttributeName: due, KeyType: HASH}], Projection: {ProjectionType: KEYS_ONLY}}
  Function:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: code.handler}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${AWS::StackName}-machine
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {Function: !GetAtt Function.Arn}
"""
DEFINITION = {
    "StartAt": "Call",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "${Function}", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "Catch": [{"ErrorEquals": ["ValueError"], "Next": "Caught"}],
            "End": True,
        },
        "Caught": {"Type": "Pass", "End": True},
    },
}


@pytest.fixture
def running() -> Iterator[Aws]:
    with listen() as listening, serve(listening) as aws:
        yield aws


@pytest.fixture
def lambda_(running, deploy):
    """A client for a function that answers its event, or raises an error if the event says so."""
    deployed = deploy(
        """
        import pathlib
        def handler(event, context):
            if "raise" in event: raise ValueError(event["raise"])
            if "touch" in event: pathlib.Path(event["touch"]).touch()
            return {"got": event}
        """
    )
    running.functions = deployed.functions
    return running.client("lambda")


@pytest.mark.parametrize(
    "name",
    [
        "Function",
        "arn:aws:lambda:us-east-1:123456789012:function:Function",
        "arn:aws:lambda:us-east-1:123456789012:function:Function:$LATEST",
    ],
)
def test_a_function_is_invoked_by_name_or_arn(lambda_, name):
    answer = lambda_.invoke(FunctionName=name, Payload=b'{"a": 1}')

    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.load(answer["Payload"]) == {"got": {"a": 1}}
    assert "FunctionError" not in answer


def test_the_answer_of_a_function_that_fails_is_marked_as_an_error(lambda_):
    answer = lambda_.invoke(FunctionName="Function", Payload=b'{"raise": "no"}')

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.load(answer["Payload"])["errorType"] == "ValueError"


def test_an_asynchronous_event_is_accepted_before_it_is_handled(lambda_, tmp_path):
    touched = tmp_path / "touched"

    answer = lambda_.invoke(
        FunctionName="Function", InvocationType="Event", Payload=json.dumps({"touch": str(touched)})
    )

    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    wait_until(touched.exists)


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "Event"])
def test_an_unknown_function_is_not_found(lambda_, invocation_type):
    with pytest.raises(lambda_.exceptions.ResourceNotFoundException, match=r"Function not found: arn:.*:Other"):
        lambda_.invoke(FunctionName="Other", InvocationType=invocation_type)


def test_an_event_that_is_not_json_is_refused(lambda_):
    with pytest.raises(lambda_.exceptions.InvalidRequestContentException):
        lambda_.invoke(FunctionName="Function", Payload=b"{")


@pytest.mark.parametrize(("invocation_type", "megabytes"), [("RequestResponse", 6), ("Event", 1)])
def test_an_event_over_lambdas_limit_is_refused(running, lambda_, invocation_type, megabytes):
    answer = httpx.post(
        f"{running.url}/2015-03-31/functions/Function/invocations",
        content=json.dumps("x" * megabytes * 1024 * 1024),
        headers={"X-Amz-Invocation-Type": invocation_type},
    )

    assert answer.status_code == 413
    assert answer.headers["X-Amzn-ErrorType"] == "RequestEntityTooLargeException"


STREAMING = """
import asyncio, os, pathlib
from mangum import Mangum

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    if scope["path"] == "/raise": raise ValueError("half way")
    if scope["path"] == "/endless":
        pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await asyncio.sleep(0.001)
    await send({"type": "http.response.body", "body": b"two", "more_body": False})

handler = Mangum(app, lifespan="off")
"""


@pytest.fixture
def streaming(running, deploy, tmp_path) -> Callable[..., bytes]:
    """Invoke a function that streams and return its answer, or only what has arrived after a number of bytes."""
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/stream", "PID_FILE": str(tmp_path / "pid")}
    running.functions = deploy(STREAMING, layers=(LAYER,), environment=environment, timeout=60).functions

    def invoke(mode: str = "", *, name: str = "Function", enough: int = 1_000_000) -> bytes:
        event = {
            "resource": "/{mode}",
            "path": f"/{mode}",
            "httpMethod": "GET",
            "headers": {"Accept": "*/*"},
            "multiValueHeaders": None,
            "queryStringParameters": None,
            "requestContext": {"requestId": "1", "identity": {}},
            "body": None,
            "isBase64Encoded": False,
        }

        async def collect() -> bytes:
            arrived = b""
            async with (
                httpx.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as http,
                aclosing(FunctionsClient(http).stream(name, event)) as parts,
            ):
                async for part in parts:
                    arrived += part
                    if len(arrived) >= enough:
                        break
            return arrived

        return asyncio.run(collect())

    return invoke


def test_a_streamed_answer_arrives_whole(streaming):
    assert streaming().endswith(b"\0" * 8 + b"onetwo")


def test_the_answer_of_a_function_that_does_not_stream_is_one_part(running, lambda_):
    async def parts() -> list[bytes]:
        async with httpx.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as http:
            return [part async for part in FunctionsClient(http).stream("Function", {"a": 1})]

    assert [json.loads(part) for part in asyncio.run(parts())] == [{"got": {"a": 1}}]


def test_an_error_after_some_parts_of_a_streamed_answer_is_reported(streaming):
    with pytest.raises(FunctionError, match="Function: ValueError: half way"):
        streaming("raise")


def test_a_streaming_invocation_of_an_unknown_function_is_not_found(streaming):
    with pytest.raises(InvocationError, match=r"Function not found: arn:.*:Other") as refused:
        streaming(name="Other")

    assert refused.value.status == 404


def test_a_function_that_streams_ends_when_its_client_disconnects(streaming, tmp_path):
    streaming("endless", enough=1000)

    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid))


@pytest.fixture
def created(running, tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "machine.asl.json").write_text(json.dumps(DEFINITION))
    template = load(tmp_path / "template.yaml")
    running.create(template)
    return template


def test_the_templates_tables_exist(running, created):
    dynamodb = running.client("dynamodb")

    dynamodb.put_item(TableName="Runs", Item={"pk": {"S": "run#1"}, "due": {"S": "now"}})
    found = dynamodb.query(
        TableName="Runs",
        IndexName="due",
        KeyConditionExpression="due = :due",
        ExpressionAttributeValues={":due": {"S": "now"}},
    )

    assert found["Items"] == [{"pk": {"S": "run#1"}, "due": {"S": "now"}}]
    ttl = dynamodb.describe_time_to_live(TableName="Runs")["TimeToLiveDescription"]
    assert ttl == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}


def test_a_failed_transaction_does_not_undo_other_writes(running, created, monkeypatch):
    dynamodb = running.client("dynamodb")
    nobody = {"TableName": "Runs", "Key": {"pk": {"S": "nobody"}}, "ConditionExpression": "attribute_exists(pk)"}
    copied, written = threading.Event(), threading.Event()

    def slow_copy(table: object) -> object:
        # moto copies the table to restore it if the transaction fails. For a large table that takes time.
        copy_of_table = copy.deepcopy(table)
        copied.set()
        written.wait(timeout=0.2)
        return copy_of_table

    monkeypatch.setattr(moto.dynamodb.models, "copy", SimpleNamespace(deepcopy=slow_copy, copy=copy.copy))

    with ThreadPoolExecutor() as threads:
        failing = threads.submit(dynamodb.transact_write_items, TransactItems=[{"ConditionCheck": nobody}])
        copied.wait()
        dynamodb.put_item(TableName="Runs", Item={"pk": {"S": "somebody"}})
        written.set()

    assert isinstance(failing.exception(), dynamodb.exceptions.TransactionCanceledException)
    assert dynamodb.scan(TableName="Runs")["Items"] == [{"pk": {"S": "somebody"}}]


@pytest.mark.parametrize(
    ("event", "output"), [({"a": 1}, {"got": {"a": 1}}), ({"raise": "no"}, {"Error": "ValueError"})]
)
def test_the_templates_state_machine_calls_the_functions(running, created, lambda_, event, output):
    step_functions = running.client("stepfunctions")
    execution = step_functions.start_execution(
        stateMachineArn=created.state_machines["Machine"].arn, input=json.dumps(event)
    )["executionArn"]

    def described() -> Any:
        return step_functions.describe_execution(executionArn=execution)

    wait_until(lambda: described()["status"] != "RUNNING")

    assert described()["status"] == "SUCCEEDED"
    assert json.loads(described()["output"]).items() >= output.items()


def test_executions_that_still_run_at_the_end_are_aborted():
    # Imported here, because it takes a second, and each worker imports this module.
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
    with listen() as listening, serve(listening) as aws:
        client = aws.client("stepfunctions")
        role = "arn:aws:iam::123456789012:role/r"
        machine = client.create_state_machine(name="machine", definition=json.dumps(waiting), roleArn=role)
        client.start_execution(stateMachineArn=machine["stateMachineArn"])

    (machine,) = stepfunctions_parser_backends[ACCOUNT_ID][REGION].state_machines
    assert [execution.status for execution in machine.executions] == ["ABORTED"]


def test_a_secret_can_be_read(running):
    arn = running.create_secret("codegen-token", "fake-token")

    assert running.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] == "fake-token"


def test_a_process_serves_only_one_at_a_time(running):
    with listen() as listening, pytest.raises(RuntimeError, match="one state per process"):
        serve(listening).__enter__()


def test_the_next_one_starts_empty():
    for _ in range(2):
        with listen() as listening, serve(listening) as aws:
            aws.create_secret("codegen-token", "fake-token")


def test_requests_to_queues_come_one_after_the_other() -> None:
    # moto's queues are not safe to use from several threads.
    inside, most, second = 0, 0, threading.Event()
    receive = SQSBackend.receive_message

    def counting(backend: SQSBackend, *arguments: Any, **options: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside > 1:
            second.set()
        second.wait(0.3)
        inside -= 1
        return receive(backend, *arguments, **options)

    with listen() as listening, serve(listening) as aws, patch.object(SQSBackend, "receive_message", counting):
        url = aws.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
        clients = [aws.client("sqs") for _ in range(2)]
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda client: client.receive_message(QueueUrl=url), clients))

    assert most == 1
