"""docs/api.md and the OpenAPI document agree: operations, routes, parameters, bodies and answers."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from local import openapi
from tests.support import exchanges
from tests.support.exchanges import Exchange
from tests.support.schemas import Validator
from tests.support.sources import ROOT

PAGE = ROOT / "docs" / "api.md"
TEXT = PAGE.read_text("utf-8")
EXCHANGES = list(exchanges.read(PAGE))
DOCUMENT = json.loads(openapi.DOCUMENT.read_text("utf-8"))
ROUTES = Counter(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", TEXT))
OPERATIONS = {f"{method.upper()} {path}": operation for path, method, operation in openapi.operations(DOCUMENT)}
NAMES = [exchange.name for exchange in EXCHANGES]


def spellings(route: str) -> list[str]:
    """Name every path of an operation, its own first."""
    return [route, *OPERATIONS[route].get("x-aliases", [])]


def operation_of(exchange: Exchange) -> tuple[str, Any]:
    """Find the operation that an exchange calls: a fixed path before one with parameters."""
    every = [(spelling, route) for route in OPERATIONS for spelling in spellings(route)]
    for spelling, route in sorted(every, key=lambda pair: pair[0].count("{")):
        method, path = spelling.split()
        if method == exchange.method and re.fullmatch(re.sub(r"{\w+}", r"[^/]+", path), exchange.path):
            return route, OPERATIONS[route]
    raise AssertionError(f"{exchange.name} is no operation of the document")


def test_the_page_has_every_route_of_the_document_once_and_no_other() -> None:
    documented = Counter(spelling for route in OPERATIONS for spelling in spellings(route))

    assert documented == ROUTES


def test_an_operation_is_listed_with_its_other_paths() -> None:
    sections = re.split(r"(?m)^#{2,3} ", TEXT)

    for route in OPERATIONS:
        (section,) = [section for section in sections if f"`{route}`" in section]
        for spelling in spellings(route):
            assert f"`{spelling}`" in section, spelling


def test_every_operation_has_an_exchange() -> None:
    assert {operation_of(exchange)[0] for exchange in EXCHANGES} == OPERATIONS.keys()


@pytest.mark.parametrize("exchange", EXCHANGES, ids=NAMES)
def test_the_operation_accepts_the_request(exchange: Exchange) -> None:
    _, operation = operation_of(exchange)
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", []) if each.get("in") == "query"}
    validator = Validator(DOCUMENT)

    assert exchange.query.keys() <= parameters.keys()
    if exchange.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert list(validator.faults(exchange.body, schema)) == []


@pytest.mark.parametrize("exchange", EXCHANGES, ids=NAMES)
def test_an_answer_has_the_status_and_the_fields_of_the_operation(exchange: Exchange) -> None:
    _, operation = operation_of(exchange)
    responses = operation["responses"]
    if exchange.status >= 400:
        response = openapi.PROBLEM_RESPONSE
        assert f"{exchange.status // 100}XX" in responses
    else:
        response = responses[str(exchange.status)]
    content = response.get("content", {})

    if exchange.shown is None:
        assert exchange.status == 204 or exchange.headers["Content-Type"].partition(";")[0] in content
    else:
        (schema,) = [content[kind].get("schema", {}) for kind in content if kind.endswith("json")]
        faults = Validator(DOCUMENT, partial=True).faults(exchange.shown, schema)
        # An extension of a problem is its own class's; no schema names them.
        assert [fault for fault in faults if exchange.status < 400 or "is no property of Problem" not in fault] == []


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"prompt": 1}, "/prompt: 1 is no string"),
        ({"prompt": "a", "concurrency": 21}, "/concurrency: 21 is against maximum 20.0"),
        ({"prompt": "a", "strategy": "guess"}, "/strategy: 'guess' is none of ['synthesize', 'select', 'none']"),
        ({"prompt": "a", "quota": 1}, ": quota is no property of CreateMultiRun"),
        ({"prompt": "a", "variants": [{"model": 3}]}, "/variants/0/model: 3 is no string"),
        ({}, ": prompt is missing"),
    ],
)
def test_an_example_that_breaks_the_schema_is_found(value: Any, fault: str) -> None:
    schema = {"$ref": "#/components/schemas/CreateMultiRun"}

    assert list(Validator(DOCUMENT).faults(value, schema)) == [fault]
