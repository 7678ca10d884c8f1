"""What the AWS stand-in keeps in its journal: every change of an item, and the executions that are running."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen_runs.poller.lease import LEASE
from codegen_runs.storage.runs import _lease_key
from local.aws import persistence
from local.aws.persistence import Persistence
from local.aws.server import Aws, serve
from local.journal import DataError
from local.loopback import listen
from local.template import Template, load
from tests.support.processes import wait_until
from tests.support.profiles import examples

NOW = 1_800_000_000
TEMPLATE = """
Resources:
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: N}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
  Others:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: B}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${AWS::StackName}-machine
      DefinitionUri: machine.asl.json
"""
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$.seconds", "End": True}}}


class StandIn:
    """A running AWS stand-in that keeps its state."""

    def __init__(self, aws: Aws, template: Template, failures: list[DataError]) -> None:
        self.failures = failures
        self.machine = template.state_machines["Machine"]
        self.things, self.others = (template.tables[name].name for name in ("Things", "Others"))
        self.dynamodb = aws.client("dynamodb")
        self.step_functions = aws.client("stepfunctions")
        self.url = aws.url

    def items(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.dynamodb.scan(TableName=table)["Items"]
        return sorted(found, key=str)

    def put(self, pk: str, sk: int = 0, **attributes: Any) -> None:
        self.dynamodb.put_item(TableName=self.things, Item=thing(pk, sk, **attributes))

    def execution(self, name: str) -> str:
        return f"{self.machine.arn.replace(':stateMachine:', ':execution:')}:{name}"


def thing(pk: str, sk: int = 0, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}, **attributes}


Start = Callable[..., Any]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "tables.journal"


@pytest.fixture
def start(tmp_path: Path, journal: Path) -> Start:
    """Start a stand-in, always with the same journal."""
    (tmp_path / "machine.asl.json").write_text(json.dumps(WAIT))

    @contextmanager
    def start(template: str = TEMPLATE, codegen: str = "https://api.codegen.test") -> Iterator[StandIn]:
        path = tmp_path / "template.yaml"
        path.write_text(template)
        loaded, failures = load(path, {}), list[DataError]()
        with listen() as listening, serve(listening) as aws:
            aws.create(loaded)
            kept = Persistence(journal, loaded, codegen=codegen, on_failure=failures.append, now=lambda: NOW)
            with kept.keeping(aws):
                kept.resume(aws)
                yield StandIn(aws, loaded, failures)

    return start


def write_in_every_way(stand_in: StandIn) -> None:
    """Change items by every operation that does so."""
    client, things, others = stand_in.dynamodb, stand_in.things, stand_in.others
    for number in range(8):
        stand_in.put("put", number, count={"N": "1"})
    client.update_item(
        TableName=things,
        Key=thing("put", 1),
        UpdateExpression="SET #count = #count + :one",
        ExpressionAttributeNames={"#count": "count"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    set_text = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "ü"}}}
    client.update_item(TableName=things, Key=thing("created by update"), **set_text)
    client.delete_item(TableName=things, Key=thing("put", 2))
    client.batch_write_item(
        RequestItems={
            things: [{"DeleteRequest": {"Key": thing("put", 3)}}, {"PutRequest": {"Item": thing("put by batch")}}],
            others: [{"PutRequest": {"Item": {"id": {"B": b"\x00\xff"}}}}],
        }
    )
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": things, "Item": thing("put by transaction")}},
            {"Delete": {"TableName": things, "Key": thing("put", 4)}},
            {"Update": {"TableName": things, "Key": thing("put", 5), **set_text}},
            {"Update": {"TableName": others, "Key": {"id": {"B": b"created"}}, **set_text}},
        ]
    )
    client.execute_statement(Statement=f"INSERT INTO \"{things}\" value {{'pk': 'put by PartiQL', 'sk': 1}}")


def test_every_way_to_change_an_item_is_kept(start: Start) -> None:
    with start() as stand_in:
        write_in_every_way(stand_in)
        tables = (stand_in.things, stand_in.others)
        before = [stand_in.items(table) for table in tables]
        assert [len(items) for items in before] == [9, 2]

    with start() as stand_in:
        assert [stand_in.items(table) for table in tables] == before


def test_values_of_every_type_are_kept(start: Start) -> None:
    values = {
        "text": {"S": "ü😀"},
        "number": {"N": "-1.5"},
        "large": {"N": "12345678901234567890123456789012345678"},
        "bytes": {"B": b"\x00\xff"},
        "nothing": {"NULL": True},
        "yes": {"BOOL": True},
        "texts": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "list": {"L": [{"S": "a"}, {"L": []}, {"M": {"M": {"S": "not a type"}}}, {"B": b"\x01"}]},
        "map": {"M": {"S": {"N": "1"}, "empty": {"M": {}}}},
    }
    with start() as stand_in:
        stand_in.put("values", **values)

    with start() as stand_in:
        assert stand_in.items(stand_in.things) == [thing("values", **values)]


def test_a_request_that_fails_changes_nothing_that_is_kept(start: Start, journal: Path) -> None:
    with start() as stand_in:
        stand_in.put("first", a={"S": "before"})
        size = journal.stat().st_size
        client, failing = stand_in.dynamodb, {"ConditionExpression": "attribute_not_exists(pk)"}
        with pytest.raises(client.exceptions.ConditionalCheckFailedException):
            client.put_item(TableName=stand_in.things, Item=thing("first"), **failing)
        assert journal.stat().st_size == size
        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": stand_in.things, "Item": thing("second")}},
                    {"Put": {"TableName": stand_in.things, "Item": thing("first"), **failing}},
                ]
            )

    with start() as stand_in:
        assert stand_in.items(stand_in.things) == [thing("first", a={"S": "before"})]


keys = st.integers(0, 3)
writes = st.lists(
    st.tuples(st.sampled_from(["Put", "Delete"]), keys), min_size=1, max_size=3, unique_by=lambda of: of[1]
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=st.lists(writes, min_size=1, max_size=6), data=st.data())
def test_a_journal_that_is_cut_anywhere_has_the_transactions_before_the_cut(
    start: Start, journal: Path, transactions: list[list[tuple[str, int]]], data: st.DataObject
) -> None:
    journal.unlink(missing_ok=True)
    states, ends = [], []
    with start() as stand_in:
        for number, transaction in enumerate([[], *transactions]):
            actions = [_action(stand_in.things, kind, key, number) for kind, key in transaction]
            if actions:
                stand_in.dynamodb.transact_write_items(TransactItems=actions)
            states.append(stand_in.items(stand_in.things))
            ends.append(journal.stat().st_size)
    cut = data.draw(st.integers(ends[0], ends[-1]))
    os.truncate(journal, cut)

    with start() as stand_in:
        assert stand_in.items(stand_in.things) == states[sum(end <= cut for end in ends) - 1]


def _action(table: str, kind: str, key: int, number: int) -> dict[str, Any]:
    if kind == "Delete":
        return {"Delete": {"TableName": table, "Key": thing("a", key)}}
    return {"Put": {"TableName": table, "Item": thing("a", key, number={"N": str(number)})}}


def test_expired_items_and_leases_are_not_read_back(start: Start) -> None:
    with start() as stand_in:
        stand_in.put("expired", expires_at={"N": str(NOW)})
        stand_in.put("expires later", expires_at={"N": str(NOW + 1)})
        stand_in.put("no number", expires_at={"S": "never"})
        stand_in.put("lease#poller", holder={"S": "a process that has ended"})

    with start() as stand_in:
        assert [item["pk"]["S"] for item in stand_in.items(stand_in.things)] == ["expires later", "no number"]


def test_the_lease_of_the_poller_is_a_lease() -> None:
    assert _lease_key(LEASE)["pk"].startswith(persistence._LEASE)


def test_an_execution_that_was_running_runs_again_under_its_name(start: Start) -> None:
    with start() as stand_in:
        client, arn = stand_in.step_functions, stand_in.machine.arn
        for name in ("running", "stopped"):
            client.start_execution(stateMachineArn=arn, name=name, input='{"seconds": 60}')
        client.start_execution(stateMachineArn=arn, name="ended", input='{"seconds": 1}')
        client.stop_execution(executionArn=stand_in.execution("stopped"))
        _wait_for(stand_in, "ended", "SUCCEEDED")

    for _ in range(2):
        with start() as stand_in:
            found = stand_in.step_functions.list_executions(stateMachineArn=arn)["executions"]
            assert [(execution["name"], execution["status"]) for execution in found] == [("running", "RUNNING")]
            described = stand_in.step_functions.describe_execution(executionArn=stand_in.execution("running"))
            assert json.loads(described["input"]) == {"seconds": 60}


def _wait_for(stand_in: StandIn, name: str, status: str) -> None:
    execution = stand_in.execution(name)
    wait_until(lambda: stand_in.step_functions.describe_execution(executionArn=execution)["status"] == status)


def test_an_execution_of_a_state_machine_that_is_gone_is_left_out(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with start() as stand_in:
        client = stand_in.step_functions
        client.start_execution(stateMachineArn=stand_in.machine.arn, name="a", input='{"seconds": 60}')

    with start(TEMPLATE.replace("-machine", "-renamed")) as stand_in:
        assert stand_in.step_functions.list_executions(stateMachineArn=stand_in.machine.arn)["executions"] == []
    assert "The execution a was not started again" in caplog.text


def test_a_long_journal_is_rewritten_without_what_is_over(
    start: Start, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.aws.persistence._MOST_OPERATIONS", 20)
    with start() as stand_in:
        client = stand_in.step_functions
        client.start_execution(stateMachineArn=stand_in.machine.arn, name="running", input='{"seconds": 60}')
        sizes = []
        for number in range(100):
            stand_in.put("a", number % 5, number={"N": str(number)})
            sizes.append(journal.stat().st_size)
        before = stand_in.items(stand_in.things)

    assert max(sizes) < 60 * sizes[0]
    with start() as stand_in:
        assert stand_in.items(stand_in.things) == before
        _wait_for(stand_in, "running", "RUNNING")


def test_a_full_disk_fails_the_request_and_is_reported_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with start() as stand_in:
        stand_in.put("before")

        def refuse(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("local.journal._write", refuse)
        for _ in range(2):
            answer = httpx.post(
                stand_in.url,
                json={"TableName": stand_in.things, "Item": thing("after")},
                headers={"X-Amz-Target": "DynamoDB_20120810.PutItem"},
                trust_env=False,
            )
            assert (answer.status_code, answer.json()["__type"]) == (500, "InternalServerError")
        assert [str(failure).partition(" cannot")[2] for failure in stand_in.failures] == [
            " be written: No space left on device."
        ]
        monkeypatch.undo()

    with start() as stand_in:
        assert [item["pk"]["S"] for item in stand_in.items(stand_in.things)] == ["before"]


def test_a_table_that_the_template_no_longer_has_is_refused(start: Start, journal: Path) -> None:
    with start() as stand_in:
        write_in_every_way(stand_in)
    content = journal.read_bytes()

    with (
        pytest.raises(DataError, match=r"another version of Codegen Runs and was not changed: its table Others"),
        start(TEMPLATE.replace("Others:", "Renamed:")),
    ):
        pytest.fail("It started.")
    assert journal.read_bytes() == content


def test_the_tables_of_another_codegen_are_refused(start: Start, journal: Path) -> None:
    with start() as stand_in:
        stand_in.put("first")
    content = journal.read_bytes()

    message = r"tables of a stack that uses https://api.codegen.test, not the tables .* https://other.test"
    with pytest.raises(DataError, match=message), start(codegen="https://other.test"):
        pytest.fail("It started.")
    assert journal.read_bytes() == content
