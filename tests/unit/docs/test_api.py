"""docs/api.md and the OpenAPI document agree: operations, routes, parameters, bodies and answers."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from codegen_runs.http.idempotency import InvalidIdempotencyKey, Keyed
from local import exchanges, openapi, openapi_examples
from local.exchanges import Exchange
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
    """Find the operation that an exchange calls."""
    _, found = openapi_examples.operation_of(exchange, DOCUMENT)
    return next((route, operation) for route, operation in OPERATIONS.items() if operation is found)


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


@pytest.mark.parametrize("route", OPERATIONS)
def test_a_body_and_an_answer_have_examples_of_the_page(route: str) -> None:
    operation = OPERATIONS[route]
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
    answers = [
        content
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for media_type, content in answer.get("content", {}).items()
        if media_type != "text/html"
    ]
    advice = f"Show the body and the answer of {route} in docs/api.md, and run `make openapi`."

    assert sent is None or "example" in sent, advice
    assert not answers or any("example" in content for content in answers), advice


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_parameter_of_a_path_has_an_example(route: str) -> None:
    without = [
        parameter["name"]
        for parameter in OPERATIONS[route].get("parameters", ())
        if parameter.get("in") == "path" and "example" not in parameter
    ]

    assert not without


def test_every_tag_is_described_and_used() -> None:
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}

    assert {tag["name"] for tag in DOCUMENT["tags"]} == used


@pytest.mark.parametrize("key", ["", " ", "a ", " a", "a", "a b", "\u00e9", "a\n", "~" * 255, "~" * 256, "a\x7f"])
def test_the_pattern_of_an_idempotency_key_is_the_one_that_is_enforced(key: str) -> None:
    schema = DOCUMENT["components"]["parameters"]["IdempotencyKey"]["schema"]
    try:
        Keyed.read(key, scope=(), asked=())
    except InvalidIdempotencyKey:
        accepted = False
    else:
        accepted = True

    assert bool(re.fullmatch(schema["pattern"], key)) is accepted
