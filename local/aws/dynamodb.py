"""Faster ways for what moto's DynamoDB does slowly.

Requests. Between an HTTP request and an operation on items, and on the way back, moto takes about three times as long
as for the operation itself. `answer` calls the operation directly. moto still answers all other operations.

Transactions. moto copies every table that a transaction writes to, once for each of its actions, to restore it if the
transaction fails: with a few thousand items one write takes seconds. Patched, it copies the items that are written.

Queries. moto looks at all items of a table for every query, sorts them, and reads both keys again for each comparison.
Patched, it looks only at those with the partition key or of the index, and reads each key once. moto also copies the
items that it found, and copies and converts each of them again for every attribute that an index or a projection keeps.
Patched, it returns the attributes of the items.

Sizes. moto adds up the size of an item before it adds each attribute, and twice for every query that finds it.
Patched, it adds it up once for each write.

For each patch a test fails once moto no longer needs it.
"""

from __future__ import annotations

import copy
import json
from base64 import b64decode, b64encode
from contextlib import contextmanager
from inspect import signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.exceptions import JsonRESTError
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models import table as tables
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from werkzeug.wrappers import Request, Response

from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIEnvironment

# moto is only partly typed; what is patched here is not.
_moto_transact_write_items: Any = DynamoDBBackend.transact_write_items
_moto_update_item: Any = DynamoDBBackend.update_item
_moto_query: Any = Table.query
_QUERY = signature(_moto_query)
_moto_project: Any = Item.project
_moto_size: Any = Item.size

_TARGET = "DynamoDB_20120810."
_CONTENT_TYPE = "application/x-amz-json-1.0"
_LARGEST_ITEM = 405_000
"""The size in bytes above which moto refuses an item."""
_ON_ITEMS = frozenset(
    {
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
        *("BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"),
    }
)


def respond(environ: WSGIEnvironment) -> Response | None:
    """Answer a request for an operation on items, or return None for any other request."""
    target = environ["HTTP_X_AMZ_TARGET"]
    if not is_on_items(target):
        return None
    status, body = answer(target, Request(environ).get_data())
    return Response(body, status, content_type=_CONTENT_TYPE)


def is_on_items(target: str) -> bool:
    """Return whether the header X-Amz-Target names an operation on items."""
    return target.startswith(_TARGET) and target.removeprefix(_TARGET) in _ON_ITEMS


def answer(target: str, body: bytes) -> tuple[int, str]:
    """Carry out an operation on items, and return the status and the JSON body of the answer.

    Tables are not safe to use from several threads.

    Args:
        target: The header X-Amz-Target of the request.
        body: The body of the request.
    """
    try:
        return 200, json.dumps(run(target.removeprefix(_TARGET), json.loads(body)), default=_base64)
    except JsonRESTError as error:
        return error.code, str(error.description)


def run(operation: str, parameters: dict[str, Any]) -> Any:
    """Carry out any operation, with the parameters that boto3 takes, and return moto's result."""
    return _Handler(parameters).run(operation)


class _Handler(DynamoHandler):
    """moto's handler of one request, with the attributes that it otherwise reads from HTTP."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.body = self.params = parameters
        self.current_account, self.region = ACCOUNT_ID, REGION

    def run(self, operation: str) -> Any:
        return getattr(self, camelcase_to_underscores(operation))().result


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


@contextmanager
def patched() -> Iterator[None]:
    """Apply all patches while the context lasts."""
    with item_backups(), plain_keys(), partitions(), shared_items(), sizes_once():
        yield


@contextmanager
def plain_keys() -> Iterator[None]:
    """Sort the items of a table by plain values while the context lasts."""
    with patch.object(Table, "all_items", _all_items):
        yield


@contextmanager
def partitions() -> Iterator[None]:
    """Look only at the items that a query can find while the context lasts."""
    with patch.object(Table, "query", _query):
        yield


@contextmanager
def shared_items() -> Iterator[None]:
    """Answer queries with parts of the stored items instead of copies while the context lasts.

    An answer is turned into JSON before the next operation changes an item.
    """
    with (
        patch.object(tables, "copy", SimpleNamespace(copy=copy.copy, deepcopy=_copy_unless_items)),
        patch.object(Item, "project", _project),
        patch.object(DynamoType, "to_regular_json", _to_regular_json),
    ):
        yield


@contextmanager
def sizes_once() -> Iterator[None]:
    """Add up the size of an item once for each write while the context lasts."""
    with (
        patch.object(Item, "__init__", _make_item),
        patch.object(Item, "size", _size),
        patch.object(DynamoDBBackend, "update_item", _update_item),
    ):
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


def _query(*arguments: Any, **options: Any) -> Any:
    given = _QUERY.bind(*arguments, **options).arguments
    table, index_name = given["self"], given.get("index_name")
    found = _of_index(table, index_name) if index_name else _of_partition(table, given["hash_key"])
    # moto asks the table for all its items, and looks among them.
    with patch.object(table, "all_items", lambda: found, create=True):
        return _moto_query(*arguments, **options)


def _of_partition(table: Any, hash_key: DynamoType) -> list[Any]:
    found = table.items.get(hash_key)
    if found is None:
        return []
    return list(found.values()) if table.range_key_attr else [found]


def _of_index(table: Any, index_name: str) -> list[Any]:
    """Return the items of an index: those that have its first key. moto looks for the rest."""
    keys = [index.schema[0]["AttributeName"] for index in table.all_indexes() if index.name == index_name]
    of_hashes = table.items.values()
    items = (item for items in of_hashes for item in items.values()) if table.range_key_attr else of_hashes
    return [item for item in items if all(key in item.attrs for key in keys)]


def _size(item: Any) -> int:
    if not hasattr(item, "known_size"):
        item.known_size = _moto_size(item)
    size: int = item.known_size
    return size


def _update_item(backend: Any, table_name: str, key: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """Update an item, which changes the stored one."""
    try:
        return _moto_update_item(backend, table_name, key, *arguments, **options)
    finally:
        if item := backend.get_item(table_name, key):
            vars(item).pop("known_size", None)


def _make_item(item: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    item.hash_key, item.range_key, item.attrs = hash_key, range_key, LimitedSizeDict()
    for name, value in attrs.items():
        dict.__setitem__(item.attrs, name, DynamoType(value))
    if item.size() > _LARGEST_ITEM:
        raise ItemSizeTooLarge


def _copy_unless_items(value: Any) -> Any:
    """Copy a value deeply, unless it is an item or a list of items, which moto copies in queries and scans only."""
    items = value if isinstance(value, list) else [value]
    return value if all(isinstance(each, Item) for each in items) else copy.deepcopy(value)


def _project(item: Item, expressions: list[list[str]]) -> Any:
    """Return an item with these attributes. moto reads paths into an attribute."""
    if any(len(path) > 1 or "[" in path[0] for path in expressions):
        return _moto_project(item, expressions)
    projected = Item(item.hash_key, item.range_key, {})
    for (name,) in expressions:
        if name in item.attrs:
            # The method of `dict`, because that of the attributes adds up the size of the item.
            dict.__setitem__(projected.attrs, name, item.attrs[name])
    return projected


def _to_regular_json(value: DynamoType) -> dict[str, Any]:
    match value.value:
        case dict() as found:
            return {value.type: {name: _plain(each) for name, each in found.items()}}
        case list() as found:
            return {value.type: [_plain(each) for each in found]}
        case str() as found if value.is_binary():
            return {value.type: b64decode(found)}
        case found:
            return {value.type: found}


def _plain(value: Any) -> Any:
    return _to_regular_json(value) if isinstance(value, DynamoType) else value


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
