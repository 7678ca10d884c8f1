"""The faster ways of moto's DynamoDB: that they change no answer, and that moto still needs them.

If a test of moto alone fails, moto has improved: remove the patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.models import Table
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from local.aws.dynamodb import is_on_items, partitions, patched, plain_keys, shared_items, sizes_once
from local.aws.server import serve
from local.loopback import listen

ATTRIBUTES: Any = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
KEYS: Any = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


class Copied(Exception):  # noqa: N818 - it names an event
    """moto tried to copy a whole table."""


def refuse(*_: Any) -> None:
    raise Copied


@contextmanager
def moto_alone() -> Iterator[Any]:
    """A client of moto in this process."""
    with mock_aws():
        yield boto3.client("dynamodb", "us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")


@contextmanager
def moto_patched() -> Iterator[Any]:
    """The same with the patches."""
    with moto_alone() as client, patched():
        yield client


@contextmanager
def served() -> Iterator[Any]:
    """A client of the AWS stand-in, which answers operations on items without moto's own HTTP layer."""
    with listen() as listening, serve(listening) as aws:
        yield aws.client("dynamodb")


@pytest.fixture(params=[moto_alone, moto_patched, served], ids=["alone", "patched", "served"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of a DynamoDB that has a table with some items."""
    with request.param() as client:
        client.create_table(
            TableName="things",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=ATTRIBUTES,
            KeySchema=KEYS,
        )
        for name in ("first", "second"):
            client.put_item(TableName="things", Item=thing(name, {"N": "1"}, {"L": [{"M": {"a": {"BOOL": True}}}]}))
        yield client


def thing(name: str, count: Any = None, parts: Any = None) -> dict[str, Any]:
    found = {"pk": {"S": name}, "sk": {"S": "thing"}, "count": count, "parts": parts}
    return {name: value for name, value in found.items() if value}


def actions(*, wanted: int) -> list[dict[str, Any]]:
    """Put a new thing, replace another, and increase the count of a third one if it equals `wanted`."""
    return [
        {"Put": {"TableName": "things", "Item": thing("third")}},
        {"Put": {"TableName": "things", "Item": thing("first")}},
        {
            "Update": {
                "TableName": "things",
                "Key": thing("second"),
                "UpdateExpression": "SET #count = :more REMOVE parts",
                "ConditionExpression": "#count = :wanted",
                "ExpressionAttributeNames": {"#count": "count"},
                "ExpressionAttributeValues": {":more": {"N": "2"}, ":wanted": {"N": str(wanted)}},
            }
        },
    ]


def items(client: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.scan(TableName="things")["Items"]
    return sorted(found, key=lambda item: item["pk"]["S"])


def test_a_failed_transaction_leaves_every_item_unchanged(client: Any) -> None:
    before = items(client)
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(TransactItems=actions(wanted=7))

    reasons = [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "ConditionalCheckFailed"]
    assert items(client) == before


def test_a_successful_transaction_applies_all_of_its_actions(client: Any) -> None:
    client.transact_write_items(TransactItems=actions(wanted=1))

    assert items(client) == [thing("first"), thing("second", {"N": "2"}), thing("third")]


def test_a_transaction_on_an_unknown_table_is_refused(client: Any) -> None:
    missing = {"Put": {"TableName": "nothings", "Item": thing("first")}}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.transact_write_items(TransactItems=[missing])


def test_values_of_every_type_are_read_as_they_were_written(client: Any) -> None:
    values = {
        "text": {"S": "ü"},
        "number": {"N": "-1.5"},
        "bytes": {"B": b"\x00\xff"},
        "nothing": {"NULL": True},
        "yes": {"BOOL": True},
        "texts": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "list": {"L": [{"S": "a"}, {"L": []}, {"M": {"M": {"S": "not a type"}}}]},
        "map": {"M": {"S": {"N": "1"}, "empty": {"M": {}}}},
    }
    item = {"pk": {"S": "first"}, "sk": {"S": "value"}} | values
    client.put_item(TableName="things", Item=item)
    key = {"TableName": "things", "Key": {name: item[name] for name in ("pk", "sk")}}

    assert client.get_item(**key)["Item"] == item
    assert client.delete_item(**key, ReturnValues="ALL_OLD")["Attributes"] == item


@pytest.fixture
def indexed(client: Any) -> Any:
    """A client of a table with an index of keys and one item with values of several types."""
    client.create_table(
        TableName="indexed",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[*ATTRIBUTES, {"AttributeName": "due", "AttributeType": "N"}],
        KeySchema=KEYS,
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_due",
                "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    client.put_item(TableName="indexed", Item=thing("first", {"N": "1.5"}, PARTS) | DUE | {"bytes": {"B": b"\x00\xff"}})
    return client


DUE: Any = {"due": {"N": "7"}}
PARTS: Any = {"L": [{"M": {"a": {"SS": ["x"]}, "b": {"NULL": True}}}, {"B": b"\x01"}]}
ASK_FOR_DUE: Any = {
    "IndexName": "by_due",
    "KeyConditionExpression": "due = :v",
    "ExpressionAttributeValues": {":v": DUE["due"]},
}
ASK_FOR_FIRST: Any = {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "first"}}}
ASK_FOR_LARGE: Any = {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "large"}}}
COUNT: Any = {"ExpressionAttributeNames": {"#count": "count"}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ASK_FOR_DUE, thing("first") | DUE),
        (ASK_FOR_FIRST, thing("first", {"N": "1.5"}, PARTS) | DUE | {"bytes": {"B": b"\x00\xff"}}),
        (
            {**ASK_FOR_FIRST, **COUNT, "ProjectionExpression": "#count, bytes, nothing"},
            {"count": {"N": "1.5"}, "bytes": {"B": b"\x00\xff"}},
        ),
        ({**ASK_FOR_FIRST, "ProjectionExpression": "parts"}, {"parts": PARTS}),
        ({**ASK_FOR_FIRST, "ProjectionExpression": "parts[0].a"}, {"parts": {"L": [{"M": {"a": {"SS": ["x"]}}}]}}),
    ],
    ids=["index", "whole", "attributes", "attribute", "path"],
)
def test_a_query_returns_what_an_index_or_a_projection_keeps(indexed: Any, asked: Any, expected: Any) -> None:
    assert indexed.query(TableName="indexed", **asked)["Items"] == [expected]


def test_an_item_that_is_too_large_is_refused(client: Any) -> None:
    half: Any = {"L": [{"S": "x" * 100_000}] * 2}
    larger = {**thing("larger", parts=half), "other": half, "more": {"S": "x" * 9_000}}
    client.put_item(TableName="things", Item=thing("large", parts=half))

    with pytest.raises(client.exceptions.ClientError, match="Item size has exceeded the maximum allowed size"):
        client.put_item(TableName="things", Item=larger)


def test_an_item_that_was_found_does_not_change_with_the_stored_one(indexed: Any) -> None:
    found = indexed.query(TableName="indexed", **ASK_FOR_FIRST)["Items"]
    indexed.delete_item(TableName="indexed", Key=thing("first"))

    assert found[0]["parts"] == PARTS
    assert indexed.query(TableName="indexed", **ASK_FOR_FIRST)["Items"] == []


@pytest.mark.parametrize("target", ["DynamoDB_20120810.ListTables", "DynamoDB_20111205.GetItem", "GetItem"])
def test_only_operations_on_items_take_the_short_way(target: str) -> None:
    assert is_on_items("DynamoDB_20120810.GetItem")
    assert not is_on_items(target)


def test_moto_alone_copies_the_table() -> None:
    with mock_aws(), patch.object(Table, "__deepcopy__", refuse, create=True):
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
        client.create_table(
            TableName="things",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        with pytest.raises(Copied):
            client.transact_write_items(TransactItems=[{"Put": {"TableName": "things", "Item": {"pk": {"S": "a"}}}}])


def test_items_are_returned_in_the_order_of_their_keys(client: Any) -> None:
    for pk, sk in [("b", "10"), ("a", "2"), ("b", "9"), ("a", "10")]:
        client.put_item(TableName="things", Item={"pk": {"S": pk}, "sk": {"S": sk}})

    scanned = [(item["pk"]["S"], item["sk"]["S"]) for item in client.scan(TableName="things")["Items"]]
    asked = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "b"}}}
    queried = [item["sk"]["S"] for item in client.query(TableName="things", **asked)["Items"]]

    assert scanned == [*[("a", "10"), ("a", "2"), ("b", "10"), ("b", "9")], *[("first", "thing"), ("second", "thing")]]
    assert queried == ["10", "9"]


@pytest.mark.parametrize(("patches", "most"), [(nullcontext, 10_000), (plain_keys, 200)], ids=["alone", "patched"])
def test_moto_alone_reads_keys_for_each_comparison(patches: Any, most: int) -> None:
    table = Table("things", "123456789012", "us-east-1", schema=KEYS, attr=ATTRIBUTES)
    for number in range(100):
        table.put_item({"pk": {"S": "one"}, "sk": {"S": f"{number * 37 % 100:02}"}})
    read, real = [], DynamoType.cast_value.fget

    def note(value: DynamoType) -> Any:
        read.append(value)
        return real(value)

    with patches(), patch.object(DynamoType, "cast_value", property(note)):
        found = table.all_items()

    assert [item.range_key.value for item in found] == [f"{number:02}" for number in range(100)]
    assert most / 10 < len(read) <= most


@pytest.mark.parametrize(
    ("patches", "copied", "converted"), [(nullcontext, 1, 2), (shared_items, 0, 0)], ids=["alone", "patched"]
)
def test_moto_alone_copies_an_item_that_it_found_and_converts_it_for_each_attribute(
    patches: Any, copied: int, converted: int
) -> None:
    table = Table("things", "123456789012", "us-east-1", schema=KEYS, attr=ATTRIBUTES)
    table.put_item(thing("first", {"N": "1"}))
    copies, conversions = Item.__deepcopy__, Item.to_regular_json
    names: list[str] = []

    def note(name: str, real: Any) -> Any:
        return lambda *arguments: names.append(name) or real(*arguments)

    with (
        patches(),
        patch.object(Item, "__deepcopy__", note("copied", copies)),
        patch.object(Item, "to_regular_json", note("converted", conversions)),
    ):
        found = _found(table, "first", [["pk"], ["count"]])

    assert found.to_json()["Attributes"] == {"pk": {"S": "first"}, "count": {"N": "1"}}
    assert (names.count("copied"), names.count("converted")) == (copied, converted)


@pytest.mark.parametrize(("patches", "most"), [(nullcontext, 1_000), (sizes_once, 50)], ids=["alone", "patched"])
def test_moto_alone_adds_up_the_size_of_an_item_for_each_attribute(patches: Any, most: int) -> None:
    sizes, real = [], DynamoType.size

    def note(value: DynamoType) -> int:
        sizes.append(value)
        return real(value)

    with patches(), patch.object(DynamoType, "size", note):
        Item(DynamoType({"S": "a"}), None, {f"attribute {number}": {"S": "x"} for number in range(40)})

    assert most / 2 < len(sizes) <= most


def test_the_size_of_an_item_that_was_updated_counts_for_the_page(client: Any) -> None:
    for number in range(4):
        key: Any = {"pk": {"S": "large"}, "sk": {"S": str(number)}}
        client.put_item(TableName="things", Item=key)
        client.query(TableName="things", **ASK_FOR_LARGE)
        client.update_item(
            TableName="things",
            Key=key,
            UpdateExpression="SET content = :content",
            ExpressionAttributeValues={":content": {"S": "x" * 390_000}},
        )

    first = client.query(TableName="things", **ASK_FOR_LARGE)
    second = client.query(TableName="things", **ASK_FOR_LARGE, ExclusiveStartKey=first["LastEvaluatedKey"])

    assert [item["sk"]["S"] for page in (first, second) for item in page["Items"]] == ["0", "1", "2", "3"]
    assert len(first["Items"]) == 2


def test_a_query_for_a_key_that_no_item_has_finds_nothing(client: Any) -> None:
    assert client.query(TableName="things", **ASK_FOR_LARGE)["Items"] == []


def test_an_index_has_only_items_with_its_key_in_the_order_of_their_keys(indexed: Any) -> None:
    for name, due in [("second", {"N": "8"}), ("third", {"N": "7"}), ("zero", {"N": "7"}), ("fourth", None)]:
        indexed.put_item(TableName="indexed", Item=thing(name) | ({"due": due} if due else {}))

    found = indexed.query(TableName="indexed", **ASK_FOR_DUE)["Items"]

    assert [item["pk"]["S"] for item in found] == ["first", "third", "zero"]


@pytest.mark.parametrize(("patches", "most"), [(nullcontext, 500), (partitions, 5)], ids=["alone", "patched"])
def test_moto_alone_looks_at_all_items_for_a_query(patches: Any, most: int) -> None:
    table = Table("things", "123456789012", "us-east-1", schema=KEYS, attr=ATTRIBUTES)
    for number in range(50):
        table.put_item(thing(str(number)))
    keys, real = [], DynamoType.__eq__

    def note(key: DynamoType, other: Any) -> bool:
        keys.append(key)
        return real(key, other)

    with patches(), patch.object(DynamoType, "__eq__", note):
        found = _found(table, "7")

    assert found.hash_key.value == "7"
    assert most / 10 <= len(keys) <= most


@pytest.mark.parametrize(("patches", "most"), [(nullcontext, 1_000), (sizes_once, 40)], ids=["alone", "patched"])
def test_moto_alone_adds_up_the_size_of_an_item_for_each_query(patches: Any, most: int) -> None:
    sizes, real = [], DynamoType.size

    def note(value: DynamoType) -> int:
        sizes.append(value)
        return real(value)

    with patches():
        table = Table("things", "123456789012", "us-east-1", schema=KEYS, attr=ATTRIBUTES)
        table.put_item(thing("first") | {f"attribute {number}": {"S": "x"} for number in range(30)})
        with patch.object(DynamoType, "size", note):
            for _ in range(10):
                _found(table, "first")

    assert len(sizes) <= most
    assert (len(sizes) > most / 2) == (patches is nullcontext)


def _found(table: Table, name: str, projections: list[list[str]] | None = None) -> Item:
    """Query for the only item with a partition key."""
    rest: Any = {"range_comparison": None, "range_objs": [], "exclusive_start_key": None}
    ((found,), _, _) = table.query(
        DynamoType({"S": name}), limit=9, scan_index_forward=True, projection_expressions=projections, **rest
    )
    return found
