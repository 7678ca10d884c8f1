"""Keep the items of the tables and the running executions of state machines in a journal.

moto has both in memory only. Here every request that changes items, a transaction among them, is one record of the
journal, so it is kept as a whole or not at all. An execution is kept as its name and its input. moto cannot continue it
in the middle, so when the stand-in starts again, the execution starts from its first state, under its name. The tasks
of the state machine allow that, because each can be called again with the same input.

| operation in a record                       |                                            |
|---------------------------------------------|--------------------------------------------|
| `["put", table, item]`                      | the item has these attributes              |
| `["delete", table, key]`                    | there is no such item                      |
| `["start", state machine, name, input]`     | the execution is running                   |
| `["end", name]`                             | the execution has ended                    |
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from local.journal import DataError, open_journal
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from local.aws.server import Aws
    from local.template import Template

_log = logging.getLogger(__name__)

_VERSION = 1
# The partition keys of leases. The functions' processes end with the stand-in, so at its start none holds a lease.
_LEASE = "lease#"
# The journal is rewritten when it has this many operations, and twice as many as there are items.
_MOST_OPERATIONS = 20_000

# moto is only partly typed; what is patched here is not.
_moto_put_item: Any = Table.put_item
_moto_delete_item: Any = Table.delete_item
_moto_update_item: Any = DynamoDBBackend.update_item

_Place = tuple[str, DynamoType, DynamoType | None]
"""A table and the key of an item."""


class Persistence:
    """The journal of the tables of a template, which exist in moto and are empty.

    Args:
        path: The journal. If the file exists, its items are put into the tables.
        template: The template of the tables.
        codegen: The Codegen API that the tables are about.
        on_failure: Called once, when the journal cannot be written any more.
        now: Returns the time in epoch seconds. Items that expired before it are not read back.

    Raises:
        DataError: the journal cannot be used, or its items do not fit the tables.
    """

    def __init__(
        self,
        path: Path,
        template: Template,
        *,
        codegen: str,
        on_failure: Callable[[DataError], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        tables = dynamodb_backends[ACCOUNT_ID][REGION].tables
        self._tables: dict[str, Any] = {table.name: tables[table.name] for table in template.tables.values()}
        self._on_failure = on_failure
        self._has_failed = False
        self._changed: dict[_Place, None] = {}
        self._executions: dict[str, tuple[str, str]] = {}
        self._journal, records = open_journal(path, f"the tables of a stack that uses {codegen}", _VERSION)
        self._operations = sum(map(len, records))
        try:
            self._restore(records, {table.name: table.ttl_attribute for table in template.tables.values()}, now())
        except BaseException:
            self._journal.close()
            raise
        self._shorten()

    @contextmanager
    def keeping(self, aws: Aws) -> Iterator[None]:
        """Keep what happens while the context lasts. Executions that are stopped after it start again the next time."""

        def put_item(table: Any, item_attrs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
            item = _moto_put_item(table, item_attrs, *arguments, **options)
            self._note(table, item.hash_key, item.range_key)
            return item

        def delete_item(table: Any, hash_key: DynamoType, range_key: DynamoType | None) -> Any:
            self._note(table, hash_key, range_key)
            return _moto_delete_item(table, hash_key, range_key)

        def update_item(backend: Any, table_name: str, key: dict[str, Any], *arguments: Any, **options: Any) -> Any:
            item = _moto_update_item(backend, table_name, key, *arguments, **options)
            self._note(backend.get_table(table_name), item.hash_key, item.range_key)
            return item

        with (
            patch.object(Table, "put_item", put_item),
            patch.object(Table, "delete_item", delete_item),
            patch.object(DynamoDBBackend, "update_item", update_item),
        ):
            aws.persistence = self
            try:
                yield
            finally:
                aws.persistence = None
                self._journal.close()

    def commit(self) -> None:
        """Keep the items that one request has changed. Call it before the request is answered.

        Raises:
            DataError: the journal cannot be written.
        """
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        self._append([self._operation(*place) for place in changed])
        if self._operations > _MOST_OPERATIONS:
            self._shorten()

    def started(self, state_machine: str, name: str, input_text: str | None) -> None:
        """Keep an execution that has started. Raises `DataError`."""
        self._executions[name] = (state_machine, input_text or "{}")
        self._append([["start", state_machine, name, input_text or "{}"]])

    def ended(self, name: str) -> None:
        """Do not keep an execution any more, because it has ended. Raises `DataError`."""
        if self._executions.pop(name, None):
            self._append([["end", name]])

    def resume(self, aws: Aws) -> None:
        """Start every execution that was running when the journal was written last."""
        step_functions = aws.client("stepfunctions")
        for name, (state_machine, input_text) in list(self._executions.items()):
            try:
                step_functions.start_execution(stateMachineArn=state_machine, name=name, input=input_text)
            except ClientError as error:
                _log.warning("The execution %s was not started again: %s", name, error)
                self.ended(name)

    def _note(self, table: Any, hash_key: DynamoType, range_key: DynamoType | None) -> None:
        if table in self._tables.values():
            self._changed[table.name, hash_key, range_key] = None

    def _operation(self, name: str, hash_key: DynamoType, range_key: DynamoType | None) -> list[Any]:
        table = self._tables[name]
        if item := table.get_item(hash_key, range_key):
            return ["put", name, _attributes(item)]
        key = {table.hash_key_attr: hash_key.to_json()}
        return ["delete", name, key | ({table.range_key_attr: range_key.to_json()} if range_key else {})]

    def _append(self, operations: list[list[Any]]) -> None:
        try:
            self._journal.append(operations)
        except DataError as error:
            if not self._has_failed:
                self._has_failed = True
                self._on_failure(error)
            raise
        self._operations += len(operations)

    def _restore(self, records: list[Any], ttl: Mapping[str, str | None], now: float) -> None:
        items: dict[str, dict[str, Any]] = {}  # by table and key; None for an item that was deleted
        for operation, *arguments in chain.from_iterable(records):
            if operation in ("put", "delete"):
                table_name, attributes = arguments
                key = self._key(table_name, attributes)
                items.setdefault(table_name, {})[key] = attributes if operation == "put" else None
            elif operation == "start":
                state_machine, execution, input_text = arguments
                self._executions[execution] = (state_machine, input_text)
            else:
                self._executions.pop(arguments[0], None)
        for name, of_table in items.items():
            table, expiry = self._tables[name], ttl[name]
            for attributes in of_table.values():
                if attributes and not _is_over(attributes, table.hash_key_attr, expiry, now):
                    table.put_item(attributes)

    def _key(self, name: str, attributes: Mapping[str, Any]) -> str:
        """Return the key of an item as text."""
        table = self._tables.get(name)
        if table is None or not all(attribute in attributes for attribute in table.table_key_attrs):
            raise DataError(
                f"{self._journal.path} was written by another version of Codegen Runs and was not changed: its table "
                f"{name} does not fit the template."
            )
        return json.dumps([attributes[attribute] for attribute in table.table_key_attrs])

    def _shorten(self) -> None:
        """Rewrite the journal with the current state, if it is much longer than that."""
        items = sum(map(len, self._tables.values()))
        if self._operations > 2 * items + _MOST_OPERATIONS // 2:
            self._journal.replace(self._state())
            self._operations = items

    def _state(self) -> Iterator[list[list[Any]]]:
        for name, table in self._tables.items():
            for item in table.all_items():
                yield [["put", name, _attributes(item)]]
        for name, (state_machine, input_text) in list(self._executions.items()):
            yield [["start", state_machine, name, input_text]]


def _attributes(item: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = item.to_json()["Attributes"]
    return attributes


def _is_over(attributes: Mapping[str, Any], hash_key: str, expiry: str | None, now: float) -> bool:
    """Tell whether an item has expired, or is a lease."""
    if str(attributes[hash_key].get("S", "")).startswith(_LEASE):
        return True
    expires_at = attributes.get(expiry or "", {}).get("N")
    return expires_at is not None and float(expires_at) <= now
