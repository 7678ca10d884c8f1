"""Faults of the AWS stand-in: each does what it says, follows from its seed, and is off until it is turned on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from botocore.exceptions import ClientError

from local.aws.faults import PATH, Faults
from local.aws.server import Aws, serve
from local.functions.pool import Functions
from local.loopback import listen
from tests.integration.local.conftest import a_function
from tests.support.processes import wait_until

KEYS: Any = [{"AttributeName": "pk", "KeyType": "HASH"}]
ATTRIBUTES: Any = [{"AttributeName": "pk", "AttributeType": "S"}]

Start = Callable[..., Aws]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with ExitStack() as stack:

        def start(*, seed: int = 1, **rates: float) -> Aws:
            listening = stack.enter_context(listen())
            aws = stack.enter_context(serve(listening, faults=Faults(seed, rates)))
            aws.client("dynamodb").create_table(
                TableName="things", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=ATTRIBUTES, KeySchema=KEYS
            )
            return aws

        yield start


def turn(aws: Aws, *, on: bool) -> list[str]:
    answer = httpx.put(aws.url + PATH, json={"on": on}, trust_env=False).json()
    return [fault["kind"] for fault in answer["injected"]]


def put(aws: Aws, name: str, **options: Any) -> None:
    aws.client("dynamodb").put_item(TableName="things", Item={"pk": {"S": name}}, **options)


def names(aws: Aws) -> set[str]:
    return {item["pk"]["S"] for item in aws.client("dynamodb").scan(TableName="things")["Items"]}


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_faults_are_off_until_they_are_turned_on_and_after_they_are_turned_off(start: Start) -> None:
    aws = start(throttled=1.0)
    put(aws, "before")

    assert turn(aws, on=True) == []
    with pytest.raises(ClientError):
        put(aws, "now")
    assert turn(aws, on=False) == ["throttled"]

    put(aws, "after")
    assert names(aws) == {"before", "after"}


def test_the_same_calls_meet_the_same_faults() -> None:
    def met(seed: int) -> list[bool]:
        faults = Faults(seed, {"throttled": 0.5, "throttled PutItem": 0.1})
        return [bool(faults.drawn("throttled", "GetItem", number)) for number in range(100)]

    assert met(1) == met(1) != met(2)
    assert 30 < sum(met(1)) < 70


def test_a_fault_can_have_a_rate_for_one_target() -> None:
    faults = Faults(1, {"killed": 1.0, "killed PollRuns": 0.0})

    assert faults.drawn("killed", "ListRuns", 1)
    assert not faults.drawn("killed", "PollRuns", 1)


def test_a_throttled_call_has_no_effect(start: Start) -> None:
    aws = start(**{"throttled PutItem": 1.0})
    turn(aws, on=True)

    with pytest.raises(ClientError) as error:
        put(aws, "first")

    assert code(error) == "ProvisionedThroughputExceededException"
    assert names(aws) == set()


def test_a_write_whose_answer_is_lost_has_taken_effect_so_that_its_repetition_fails_its_condition(start: Start) -> None:
    aws = start(lost_answer=1.0)
    turn(aws, on=True)

    with pytest.raises(ClientError) as error:
        put(aws, "first", ConditionExpression="attribute_not_exists(pk)")
    turn(aws, on=False)
    with pytest.raises(ClientError) as repeated:
        put(aws, "first", ConditionExpression="attribute_not_exists(pk)")

    assert code(error) == "InternalServerError"
    assert code(repeated) == "ConditionalCheckFailedException"
    assert names(aws) == {"first"}


def transact(aws: Aws, token: str) -> None:
    new = {"TableName": "things", "Item": {"pk": {"S": "first"}}, "ConditionExpression": "attribute_not_exists(pk)"}
    aws.client("dynamodb").transact_write_items(TransactItems=[{"Put": new}], ClientRequestToken=token)


def test_a_transaction_whose_answer_is_lost_succeeds_when_it_is_sent_again_with_its_token(start: Start) -> None:
    aws = start(lost_answer=1.0)
    turn(aws, on=True)

    with pytest.raises(ClientError):
        transact(aws, "same")
    transact(aws, "same")
    turn(aws, on=False)
    with pytest.raises(ClientError) as error:
        transact(aws, "another")

    assert code(error) == "TransactionCanceledException"


def test_a_conflicting_transaction_names_its_reason(start: Start) -> None:
    aws = start(conflicting=1.0)
    turn(aws, on=True)

    with pytest.raises(ClientError) as error:
        transact(aws, "one")

    assert error.value.response["CancellationReasons"] == [{"Code": "TransactionConflict"}]
    assert names(aws) == set()


def test_a_partial_batch_returns_what_it_left_out(start: Start) -> None:
    aws = start(partial=1.0)
    turn(aws, on=True)
    puts: Any = [{"PutRequest": {"Item": {"pk": {"S": name}}}} for name in "abc"]
    keys: Any = [{"pk": {"S": name}} for name in "abc"]

    written = aws.client("dynamodb").batch_write_item(RequestItems={"things": puts})
    read = aws.client("dynamodb").batch_get_item(RequestItems={"things": {"Keys": keys}})

    assert names(aws) == {"a", "b"}
    assert written["UnprocessedItems"] == {"things": puts[2:]}
    assert [item["pk"]["S"] for item in read["Responses"]["things"]] == ["a", "b"]
    assert read["UnprocessedKeys"]["things"]["Keys"] == keys[2:]


def test_a_repeated_message_is_in_the_queue_twice(start: Start) -> None:
    aws = start(repeated=1.0)
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    turn(aws, on=True)

    sqs.send_message(QueueUrl=url, MessageBody="hello")

    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in messages] == ["hello", "hello"]


def test_a_redelivered_message_is_received_again_while_its_receiver_still_works(start: Start) -> None:
    aws = start(redelivered=1.0)
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="queue", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")

    def receive(seconds: int = 0) -> Any:
        return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=seconds).get("Messages", [])

    turn(aws, on=True)
    (first,) = receive()
    assert turn(aws, on=False) == ["redelivered"]
    (again,) = receive(5)

    assert again["MessageId"] == first["MessageId"]
    assert receive() == []
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])


@pytest.fixture
def count(tmp_path: Path, portal: BlockingPortal) -> Iterator[Callable[[Aws], Path]]:
    """Deploy a function that adds a line to a file for each event, and waits if the event says so; return the file."""
    lines = tmp_path / "lines"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text(
        "import threading\n"
        "def handler(event, context):\n"
        f"    with open({str(lines)!r}, 'a') as file: file.write('event\\n')\n"
        "    if event.get('waits'): threading.Event().wait()\n"
        "    return {}\n"
    )
    started: list[Functions] = []

    def deploy(aws: Aws) -> Path:
        async def start() -> Functions:
            return Functions([a_function(tmp_path)])

        aws.functions = portal.call(start)
        started.append(aws.functions)
        return lines

    yield deploy
    for functions in started:
        portal.call(functions.close)


def events(lines: Path) -> int:
    return len(lines.read_text().splitlines()) if lines.exists() else 0


@pytest.mark.full
@pytest.mark.parametrize(("fault", "expected"), [("repeated", 2), ("late", 1)])
def test_an_asynchronous_event_comes_twice_or_late(
    fault: str, expected: int, start: Start, count: Callable[[Aws], Path]
) -> None:
    aws = start(**{fault: 1.0})
    lines = count(aws)
    turn(aws, on=True)

    aws.client("lambda").invoke(FunctionName="Function", InvocationType="Event", Payload=b"{}")

    wait_until(lambda: events(lines) == expected)
    assert turn(aws, on=False) == [fault]


@pytest.mark.full
def test_an_unanswered_event_was_handled_or_is_still_being_handled(start: Start, count: Callable[[Aws], Path]) -> None:
    aws = start(seed=4, unanswered=1.0)  # By this seed, the first error comes after the end, the second one before.
    lines = count(aws)
    turn(aws, on=True)
    for waits in (False, True):
        with pytest.raises(ClientError) as error:
            aws.client("lambda").invoke(FunctionName="Function", Payload=json.dumps({"waits": waits}).encode())

        assert code(error) == "ServiceException"
        assert error.value.response["ResponseMetadata"]["RequestId"]
        if not waits:
            assert events(lines) == 1
    wait_until(lambda: events(lines) == 2)
    assert turn(aws, on=False) == ["unanswered", "unanswered"]


@pytest.mark.full
def test_a_function_is_killed_while_it_handles_an_event(start: Start, count: Callable[[Aws], Path]) -> None:
    aws = start(killed=1.0)
    count(aws)
    turn(aws, on=True)

    answer = aws.client("lambda").invoke(FunctionName="Function", Payload=json.dumps({"waits": True}).encode())

    assert json.loads(answer["Payload"].read())["errorType"] == "Runtime.ExitError"
    assert turn(aws, on=False) == ["killed"]


WRITER = """
import json, os, urllib.request

def handler(event, context):
    body = {"TableName": "things", "Item": {"pk": {"S": event["name"]}}}
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/dynamodb/aws4_request",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
        "X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"],
    }
    urllib.request.urlopen(urllib.request.Request("%s", json.dumps(body).encode(), headers)).read()
"""


@pytest.mark.full
def test_a_function_is_killed_at_its_call_before_or_after_the_effect(
    start: Start, tmp_path: Path, portal: BlockingPortal
) -> None:
    aws = start(crashed=1.0)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text(WRITER % aws.url)

    async def deploy() -> Functions:
        return Functions([a_function(tmp_path)])

    functions = aws.functions = portal.call(deploy)
    turn(aws, on=True)
    try:
        answers = [
            functions.run(functions.invoke("Function", json.dumps({"name": name}).encode())) for name in "abcdef"
        ]
    finally:
        portal.call(functions.close)

    assert {json.loads(answer.payload)["errorType"] for answer in answers} == {"Runtime.ExitError"}
    assert turn(aws, on=False) == ["crashed"] * 6
    assert 0 < len(names(aws)) < 6
