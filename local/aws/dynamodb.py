"""Patches for what moto's DynamoDB does slowly.

Transactions. moto copies every table that a transaction writes to, once for each of its actions, to restore it if the
transaction fails: with a few thousand items one write takes seconds. Patched, it copies the items that are written.

Answers. moto looks for each value of an item under the name of every type, which takes half a millisecond per item.
Patched, it reads the type that the value has.

Queries. moto sorts all items of a table for every query, and reads both keys again for each comparison. Patched, it
reads each key once.

For each patch a test fails once moto no longer needs it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.serialize import JSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

# moto is only partly typed; what is patched here is not.
_moto_transact_write_items: Any = DynamoDBBackend.transact_write_items
_moto_serialize_type_structure: Any = JSONSerializer._serialize_type_structure


@contextmanager
def patched() -> Iterator[None]:
    """Apply all patches while the context lasts."""
    with item_backups(), direct_values(), plain_keys():
        yield


@contextmanager
def plain_keys() -> Iterator[None]:
    """Sort the items of a table by plain values while the context lasts."""
    with patch.object(Table, "all_items", _all_items):
        yield


@contextmanager
def direct_values() -> Iterator[None]:
    """Write the values of items into answers without a search while the context lasts."""
    with patch.object(JSONSerializer, "_serialize_type_structure", _serialize_type_structure):
        yield


@contextmanager
def item_backups() -> Iterator[None]:
    """Back up items instead of tables in transactions while the context lasts."""
    with (
        patch.object(DynamoDBBackend, "transact_write_items", _transact_write_items),
        patch.object(Table, "__deepcopy__", lambda table, _: table, create=True),
    ):
        yield


def _all_items(table: Any) -> list[Any]:
    if not table.range_key_attr:
        return sorted(table.items.values(), key=lambda item: item.hash_key.cast_value)
    return [
        item
        for _, items in sorted(table.items.items(), key=lambda of_hash: of_hash[0].cast_value)
        for item in sorted(items.values(), key=lambda item: item.range_key.cast_value)
    ]


def _serialize_type_structure(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    if shape.name == "AttributeValue" and isinstance(value, dict):
        found: dict[str, Any] = {}
        serialized[key] = found
        for member, content in value.items():
            serializer._serialize(found, content, shape.members[member], member)
    else:
        _moto_serialize_type_structure(serializer, serialized, value, shape, key)


def _transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    actions = [action for item in transact_items for action in item.items() if action[1]["TableName"] in backend.tables]
    backups = [_Backup(backend, kind, action) for kind, action in actions]
    try:
        _moto_transact_write_items(backend, transact_items)
    except Exception:
        for backup in backups:
            backup.restore()
        raise


class _Backup:
    """One item before a transaction, or the fact that it did not exist."""

    def __init__(self, backend: DynamoDBBackend, kind: str, action: dict[str, Any]) -> None:
        table = backend.get_table(action["TableName"])
        attributes = action["Item" if kind == "Put" else "Key"]
        self._backend, self._table = backend, table.name
        self._key = {name: attributes[name] for name in (table.hash_key_attr, table.range_key_attr) if name}
        item = backend.get_item(self._table, self._key)
        self._attributes = item.to_json()["Attributes"] if item else None

    def restore(self) -> None:
        if self._attributes is None:
            self._backend.delete_item(self._table, self._key)
        else:
            self._backend.put_item(self._table, self._attributes)
