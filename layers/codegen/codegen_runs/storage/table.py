"""The DynamoDB client of all tables: items are plain dicts, and errors are `ConditionFailed` or `StorageUnavailable`.

Numbers must be integers, because DynamoDB has no floats; times are epoch milliseconds. Conditions and updates use the
names of attributes: each name is replaced by an alias, so it may be a reserved word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from codegen_runs.aws import AwsError, dynamodb, pause
from codegen_runs.aws.outages import outage

Item = dict[str, Any]
Key = Mapping[str, str]

# DynamoDB's limits.
BATCH_GET_KEYS = 100
TRANSACTION_ACTIONS = 100

_FRUITLESS_READS = 5  # After so many reads of a batch in a row without an item, the table is overloaded.


class ConditionFailed(Exception):  # noqa: N818 - named after DynamoDB's ConditionalCheckFailed
    """A condition does not hold, because another request wrote the item first."""


@dataclass(frozen=True)
class Condition:
    """A condition expression and its values. Write the name of an attribute as `#name`, a value as `:name`."""

    expression: str
    values: Mapping[str, Any] = field(default_factory=dict)


ABSENT = Condition("attribute_not_exists(#pk)")
PRESENT = Condition("attribute_exists(#pk)")


@dataclass(frozen=True)
class Table:
    """One DynamoDB table by name."""

    name: str

    def get(self, key: Key) -> Item | None:
        """Read one item, consistently. Raises `StorageUnavailable`."""
        with _errors():
            answer = dynamodb().get_item(TableName=self.name, Key=marshal(key), ConsistentRead=True)
        return unmarshal(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Read the items that exist, consistently and in any order, each once. Raises `StorageUnavailable`."""
        # DynamoDB refuses a batch in which a key appears twice.
        keys = list({tuple(sorted(key.items())): key for key in keys}.values())
        items: list[Item] = []
        for start in range(0, len(keys), BATCH_GET_KEYS):
            wanted: Any = {
                self.name: {
                    "Keys": [marshal(key) for key in keys[start : start + BATCH_GET_KEYS]],
                    "ConsistentRead": True,
                }
            }
            items += self._get_batch(wanted)
        return items

    def _get_batch(self, wanted: Any) -> list[Item]:
        """Read a batch of keys. DynamoDB may return a part of it, if it has too many calls or the items are large."""
        items: list[Item] = []
        fruitless = 0
        while wanted:
            with _errors():
                answer = dynamodb().batch_get_item(RequestItems=wanted)
                found, wanted = answer["Responses"].get(self.name, []), answer.get("UnprocessedKeys")
                fruitless = 0 if found else fruitless + 1
                if wanted and fruitless == _FRUITLESS_READS:
                    raise AwsError("ProvisionedThroughputExceededException", "No key of a batch was processed.")
            items += map(unmarshal, found)
            if wanted:
                pause(fruitless + 1)
        return items

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Write an item, replacing an existing one. Raises `ConditionFailed`, `StorageUnavailable`."""
        with _errors(writing=True):
            dynamodb().put_item(**self.put_action(item, condition))

    def update(
        self,
        key: Key,
        changes: Mapping[str, Any],
        condition: Condition | None = None,
    ) -> Item:
        """Set attributes and return the changed item. None removes an attribute.

        Raises `ConditionFailed`, `StorageUnavailable`.
        """
        with _errors(writing=True):
            answer = dynamodb().update_item(**self.update_action(key, changes, condition), ReturnValues="ALL_NEW")
        return unmarshal(answer["Attributes"])

    def delete(self, key: Key, condition: Condition | None = None) -> None:
        """Delete an item, if it exists. Raises `ConditionFailed`, `StorageUnavailable`."""
        action: dict[str, Any] = {"TableName": self.name, "Key": marshal(key)}
        if condition:
            action |= _conditional(condition)
        with _errors(writing=True):
            dynamodb().delete_item(**action)

    def take(self, key: Key, condition: Condition) -> Item:
        """Delete an item and return it. Of several calls at the same time, only one gets it.

        Raises `ConditionFailed`, `StorageUnavailable`.
        """
        action = {"TableName": self.name, "Key": marshal(key), "ReturnValues": "ALL_OLD"} | _conditional(condition)
        with _errors(writing=True):
            taken = dynamodb().delete_item(**action)
        return unmarshal(taken["Attributes"])

    def query(
        self,
        condition: Condition,
        *,
        index: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
        start: Item | None = None,
        only: str | None = None,
    ) -> tuple[list[Item], Item | None]:
        """Read one page of a query: the items, and the start of the next page, or None.

        With `only`, the items have no other attribute than this one, and not all of them have it.

        The read is consistent for a table. An index may lag a moment behind. Raises `StorageUnavailable`.
        """
        names, values = _placeholders(condition)
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition.expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not newest_first,
        }
        if only:
            request["ProjectionExpression"] = f"#{only}"
            names[f"#{only}"] = only
        if index:
            request["IndexName"] = index
        else:
            request["ConsistentRead"] = True
        if limit:
            request["Limit"] = limit
        if start:
            request["ExclusiveStartKey"] = marshal(start)
        with _errors():
            answer = dynamodb().query(**request)
        following = answer.get("LastEvaluatedKey")
        return [unmarshal(item) for item in answer["Items"]], unmarshal(following) if following else None

    def put_action(self, item: Item, condition: Condition | None = None) -> dict[str, Any]:
        """Return the parameters of a put, for `put` and `transact`."""
        action: dict[str, Any] = {"TableName": self.name, "Item": marshal(item)}
        return action | _conditional(condition) if condition else action

    def update_action(self, key: Key, changes: Mapping[str, Any], condition: Condition | None = None) -> dict[str, Any]:
        """Return the parameters of an update, for `update` and `transact`."""
        kept = {name: value for name, value in changes.items() if value is not None}
        gone = [name for name, value in changes.items() if value is None]
        clauses = []
        if kept:
            clauses.append("SET " + ", ".join(f"#{name} = :new_{name}" for name in kept))
        if gone:
            clauses.append("REMOVE " + ", ".join(f"#{name}" for name in gone))
        names = {f"#{name}": name for name in changes}
        values = marshal({f":new_{name}": value for name, value in kept.items()})
        action: dict[str, Any] = {
            "TableName": self.name,
            "Key": marshal(key),
            "UpdateExpression": " ".join(clauses),
        }
        if condition:
            condition_names, condition_values = _placeholders(condition)
            names |= condition_names
            values |= condition_values
            action["ConditionExpression"] = condition.expression
        action["ExpressionAttributeNames"] = names
        if values:
            action["ExpressionAttributeValues"] = values
        return action


def transact(actions: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Execute all (`"Put"` or `"Update"`, action) pairs or none; at most 100 pairs and 4 MB.

    Raises `ConditionFailed`, `StorageUnavailable`.
    """
    with _errors(writing=True):
        dynamodb().transact_write_items(TransactItems=[{kind: action} for kind, action in actions])  # type: ignore[misc]


def marshal(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a plain dict to DynamoDB's attribute values. Raises `TypeError` for other types, such as floats."""
    return {name: _attribute(value) for name, value in item.items()}


def unmarshal(attributes: Mapping[str, Any]) -> Item:
    """Convert DynamoDB's attribute values to a plain dict."""
    return {name: _plain(attribute) for name, attribute in attributes.items()}


def _attribute(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case list() | tuple():
            return {"L": [_attribute(element) for element in value]}
        case dict():
            return {"M": marshal(value)}
    raise TypeError(f"DynamoDB has no kind of attribute for {type(value).__name__}.")


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return int(value)
        case "NULL":
            return None
        case "L":
            return [_plain(element) for element in value]
        case "M":
            return unmarshal(value)
    return value


def _conditional(condition: Condition) -> dict[str, Any]:
    names, values = _placeholders(condition)
    action: dict[str, Any] = {"ConditionExpression": condition.expression, "ExpressionAttributeNames": names}
    if values:
        action["ExpressionAttributeValues"] = values
    return action


def _placeholders(condition: Condition) -> tuple[dict[str, str], dict[str, Any]]:
    import re

    names = {f"#{name}": name for name in re.findall(r"#(\w+)", condition.expression)}
    return names, marshal({f":{name}": value for name, value in condition.values.items()})


@contextmanager
def _errors(*, writing: bool = False) -> Iterator[None]:
    """Translate AWS's errors: a failed condition to `ConditionFailed`, all others to `StorageUnavailable`."""
    try:
        yield
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in error.reasons:
            raise ConditionFailed from error
        raise outage(error, writing=writing) from error
