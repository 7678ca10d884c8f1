"""The one door to DynamoDB: plain dicts in, plain dicts out, three errors.

Numbers are integers on both sides (DynamoDB knows no floats; times are epoch milliseconds). Conditions and updates take
attribute names as they are: every name is aliased, so none can collide with a reserved word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from codegen_runs.aws import AwsError, dynamodb
from codegen_runs.aws.outages import outage

Item = dict[str, Any]
Key = Mapping[str, str]

# DynamoDB's own limits.
BATCH_GET_KEYS = 100
TRANSACTION_ACTIONS = 100


class ConditionFailed(Exception):  # noqa: N818 - named after DynamoDB's ConditionalCheckFailed
    """The item is not what the caller thought it was: somebody else wrote first."""


@dataclass(frozen=True)
class Condition:
    """A condition expression with its values; attribute names are written as `#name`, values as `:name`."""

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
            found = dynamodb().get_item(TableName=self.name, Key=marshal(key), ConsistentRead=True)
        return unmarshal(found["Item"]) if "Item" in found else None

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Read items consistently, in no order, leaving out those that do not exist. Raises `StorageUnavailable`."""
        items: list[Item] = []
        for start in range(0, len(keys), BATCH_GET_KEYS):
            wanted: Any = {
                self.name: {
                    "Keys": [marshal(key) for key in keys[start : start + BATCH_GET_KEYS]],
                    "ConsistentRead": True,
                }
            }
            while wanted:
                with _errors():
                    answer = dynamodb().batch_get_item(RequestItems=wanted)
                items += [unmarshal(item) for item in answer["Responses"].get(self.name, [])]
                wanted = answer.get("UnprocessedKeys")
        return items

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Write a whole item. Raises `ConditionFailed`, `StorageUnavailable`."""
        with _errors(writing=True):
            dynamodb().put_item(**self.put_action(item, condition))

    def update(
        self,
        key: Key,
        changes: Mapping[str, Any],
        condition: Condition | None = None,
    ) -> Item:
        """Set attributes (a None removes one) and return the item as it then is.

        Raises `ConditionFailed`, `StorageUnavailable`.
        """
        with _errors(writing=True):
            answer = dynamodb().update_item(**self.update_action(key, changes, condition), ReturnValues="ALL_NEW")
        return unmarshal(answer["Attributes"])

    def delete(self, key: Key, condition: Condition | None = None) -> None:
        """Delete an item; one that does not exist is deleted too. Raises `ConditionFailed`, `StorageUnavailable`."""
        action: dict[str, Any] = {"TableName": self.name, "Key": marshal(key)}
        if condition:
            action |= _conditional(condition)
        with _errors(writing=True):
            dynamodb().delete_item(**action)

    def take(self, key: Key, condition: Condition) -> Item:
        """Delete an item and return it as it was: of all who ask at once, one gets it.

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
    ) -> tuple[list[Item], Item | None]:
        """Read one page of a query: the items, and where the next page starts (None: there is none).

        Reads a table or a local index consistently; a global index cannot be. Raises `StorageUnavailable`.
        """
        names, values = _placeholders(condition)
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition.expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not newest_first,
        }
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
        """Describe a put, for `put` and for `transact`."""
        action: dict[str, Any] = {"TableName": self.name, "Item": marshal(item)}
        return action | _conditional(condition) if condition else action

    def update_action(self, key: Key, changes: Mapping[str, Any], condition: Condition | None = None) -> dict[str, Any]:
        """Describe an update, for `update` and for `transact`."""
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
    """Do all of the (`"Put"` or `"Update"`, action) pairs or none; at most 100, 4 MB together.

    Raises `ConditionFailed`, `StorageUnavailable`.
    """
    with _errors(writing=True):
        dynamodb().transact_write_items(TransactItems=[{kind: action} for kind, action in actions])  # type: ignore[misc]


def marshal(item: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a plain dict into DynamoDB's attribute values. Raises `TypeError` for what it has no kind for."""
    return {name: _attribute(value) for name, value in item.items()}


def unmarshal(attributes: Mapping[str, Any]) -> Item:
    """Turn DynamoDB's attribute values into a plain dict."""
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
            return {"L": [_attribute(each) for each in value]}
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
            return [_plain(each) for each in value]
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
    """Translate AWS's errors: a lost race is the domain's business, everything else is storage being away."""
    try:
        yield
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in error.reasons:
            raise ConditionFailed from error
        raise outage(error, writing=writing) from error
