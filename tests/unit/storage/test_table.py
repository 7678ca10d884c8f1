"""Reads of many items, which DynamoDB may answer in part."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from codegen_runs import aws
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.table import Table
from tests.support.aws import ENVIRONMENT

TABLE = Table("RunsTable")
KEYS = [{"pk": "p", "sk": str(number)} for number in range(100)]


class Batches(httpx.BaseTransport):
    """A table in which every item exists, and which processes the next number of keys of each request."""

    def __init__(self) -> None:
        self.processes: list[int] = []
        self.asked: list[int] = []
        self.waits: list[float] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        wanted: dict[str, Any] = json.loads(request.content)["RequestItems"]["RunsTable"]
        keys = wanted["Keys"]
        self.asked.append(len(keys))
        count = self.processes.pop(0) if self.processes else len(keys)
        rest = {"RunsTable": wanted | {"Keys": keys[count:]}} if keys[count:] else {}
        return httpx.Response(200, json={"Responses": {"RunsTable": keys[:count]}, "UnprocessedKeys": rest})


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Batches]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    batches = Batches()
    with aws.wire.over(batches), aws.pause.over(batches.waits.append):
        yield batches


def test_unprocessed_keys_are_read_on_after_pauses(batches: Batches) -> None:
    batches.processes = [40, 0, 0, 30, 30]
    items = TABLE.get_many(KEYS)

    assert items == KEYS
    assert batches.asked == [100, 60, 60, 60, 30]
    assert len(batches.waits) == 4


def test_a_key_that_is_asked_for_twice_is_read_once(batches: Batches) -> None:
    batches.processes = [100, 100]

    assert TABLE.get_many([*KEYS[:3], *KEYS[:3]]) == KEYS[:3]
    assert batches.asked == [3]


def test_a_table_that_processes_no_key_is_unavailable(batches: Batches) -> None:
    batches.processes = [10, *[0] * 3000]
    with pytest.raises(StorageUnavailable, match="overloaded"):
        TABLE.get_many(KEYS)

    assert len(batches.asked) == 6
    assert len(batches.waits) == 5


def test_a_table_that_processes_one_key_at_a_time_is_read_to_the_end(batches: Batches) -> None:
    batches.processes = [1] * 100

    assert TABLE.get_many(KEYS) == KEYS


def test_each_hundred_keys_are_one_request(batches: Batches) -> None:
    assert len(TABLE.get_many([{"pk": "p", "sk": str(number)} for number in range(201)])) == 201
    assert batches.asked == [100, 100, 1]
    assert not batches.waits
