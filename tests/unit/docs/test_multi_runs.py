"""docs/multi-runs.md describes every field of a multi-run, and its example is what the operations accept and answer."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local import openapi, openapi_examples
from local.exchanges import Exchange, read
from tests.support.schemas import faults, shown_in_part
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "multi-runs.md"
DOCUMENT = json.loads(openapi.DOCUMENT.read_text("utf-8"))
SHOWN = shown_in_part(DOCUMENT)
EXCHANGES = list(read(PAGE))
NAMED = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", PAGE.read_text("utf-8")))))


def schemas_of(value: Any, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas that a part of the document refers to, by their names."""
    if isinstance(value, dict):
        name = str(value.get("$ref", "")).rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            yield name, DOCUMENT["components"]["schemas"][name]
            yield from schemas_of(DOCUMENT["components"]["schemas"][name], seen)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from schemas_of(each, seen)


def fields() -> set[tuple[str, str]]:
    """Return each field of the request and of the multi-run, with its schema."""
    path = DOCUMENT["paths"]["/v1/organizations/{org_id}/multi-runs"]["post"]
    parts = [path["requestBody"], path["responses"]["202"]]
    return {(name, field) for name, schema in schemas_of(parts, set()) for field in schema.get("properties", {})}


def test_every_field_of_the_request_and_of_the_multi_run_is_described() -> None:
    assert {(schema, field) for schema, field in fields() if field not in NAMED} == set()


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_the_example_has_the_fields_of_its_operations(exchange: Exchange) -> None:
    _, operation = openapi_examples.operation_of(exchange, DOCUMENT)

    if exchange.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert list(faults(exchange.body, schema, DOCUMENT)) == []
    if exchange.status < 400:
        answer = operation["responses"][str(exchange.status)]["content"]["application/json"]["schema"]
        assert list(faults(exchange.shown, shown_in_part(answer), SHOWN)) == []
