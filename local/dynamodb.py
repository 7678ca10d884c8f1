"""A mend of what makes moto's DynamoDB slower with every item that it has.

A transaction backs up each table that it writes to, whole, and once for each of its actions, to put it back if it
fails: with a few thousand items one write takes seconds. Here it backs up the items that it writes.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.dynamodb.models import DynamoDBBackend, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

# moto is typed in part; what is patched here is not.
_moto_transact_write_items: Any = DynamoDBBackend.transact_write_items


@contextmanager
def small_backups() -> Iterator[None]:
    """Let transactions back up items instead of tables, as long as the context lasts."""
    with (
        patch.object(DynamoDBBackend, "transact_write_items", _transact_write_items),
        patch.object(Table, "__deepcopy__", lambda table, _: table, create=True),
    ):
        yield


def _transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    actions = [action for item in transact_items for action in item.items() if action[1]["TableName"] in backend.tables]
    backups = [_Backup(backend, kind, action) for kind, action in actions]
    try:
        _moto_transact_write_items(backend, transact_items)
    except Exception:
        for backup in backups:
            backup.put_back()
        raise


class _Backup:
    """One item as it was, or that there was none."""

    def __init__(self, backend: DynamoDBBackend, kind: str, action: dict[str, Any]) -> None:
        table = backend.get_table(action["TableName"])
        attributes = action["Item" if kind == "Put" else "Key"]
        self._backend, self._table = backend, table.name
        self._key = {name: attributes[name] for name in (table.hash_key_attr, table.range_key_attr) if name}
        item = backend.get_item(self._table, self._key)
        self._attributes = item.to_json()["Attributes"] if item else None

    def put_back(self) -> None:
        if self._attributes is None:
            self._backend.delete_item(self._table, self._key)
        else:
            self._backend.put_item(self._table, self._attributes)
