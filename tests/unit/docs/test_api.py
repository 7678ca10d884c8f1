"""docs/api.md and the OpenAPI document agree: operations, routes, parameters, bodies and answers."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from codegen_api import AgentRun, Page
from codegen_runs.http.idempotency import InvalidIdempotencyKey, Keyed
from local import openapi, openapi_examples
from local.exchanges import Exchange
from tests.support.api_examples import EXCHANGES
from tests.support.schemas import faults, shown_in_part
from tests.support.sources import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")
DOCUMENT = json.loads(openapi.DOCUMENT.read_text("utf-8"))
SHOWN = shown_in_part(DOCUMENT)
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

    assert exchange.query.keys() <= parameters.keys()
    if exchange.body is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert list(faults(exchange.body, schema, DOCUMENT)) == []
        assert list(faults(exchange.body, shown_in_part(schema), SHOWN)) == []


@pytest.mark.parametrize("exchange", EXCHANGES, ids=NAMES)
def test_an_answer_has_the_status_and_the_fields_of_the_operation(exchange: Exchange) -> None:
    _, operation = operation_of(exchange)
    responses = operation["responses"]
    if exchange.status >= 400:
        # A problem may have further fields of its kind.
        assert f"{exchange.status // 100}XX" in responses
        schema = SHOWN["components"]["schemas"]["Problem"] | {"additionalProperties": True}
        assert list(faults(exchange.shown, schema, SHOWN)) == []
    elif exchange.shown is None:
        content = responses[str(exchange.status)].get("content", {})
        assert exchange.status == 204 or exchange.headers["Content-Type"].partition(";")[0] in content
    else:
        schema = responses[str(exchange.status)]["content"]["application/json"].get("schema", {})
        assert list(faults(exchange.shown, shown_in_part(schema), SHOWN)) == []


@pytest.mark.parametrize(
    "value",
    [
        {"items": [{"id": "1"}]},
        {"items": [{"id": 1, "state": "running"}]},
        {"items": [{"id": 1, "github_pull_requests": [{"number": 1}]}]},
        {"items": {}},
        {"total": None},
    ],
)
def test_an_answer_shown_in_part_that_breaks_the_schema_is_found(value: Any) -> None:
    schema = {"$ref": "#/components/schemas/Page_AgentRun_"}

    assert list(faults({"items": [{"id": 1, "github_pull_requests": [{"id": 1}]}]}, schema, SHOWN)) == []
    assert list(faults(value, schema, SHOWN)) != []


@pytest.mark.parametrize(
    "item", [42, None, {"id": 1, "organization_id": 123, "result": {"a": 1}}, {"organization_id": 123}, {"id": "7a"}]
)
def test_an_item_that_cannot_be_read_is_passed_on_as_its_schema_says(item: Any) -> None:
    schema = {"$ref": "#/components/schemas/Page_AgentRun_"}
    page = {"items": [item], "total": 1, "page": 1, "size": 100, "pages": 1}

    passed_on = Page[AgentRun].read(json.dumps(page).encode()).model_dump(mode="json")

    assert passed_on["items"][0]["unreadable"]
    assert list(faults(passed_on, schema, DOCUMENT)) == []
    assert list(faults(page, schema, DOCUMENT)) != []


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_body_and_every_answer_has_an_example_of_the_page(route: str) -> None:
    operation = OPERATIONS[route]
    messages = {"body": operation.get("requestBody", {})} | operation["responses"]
    without = [
        (name, media_type)
        for name, message in messages.items()
        if name == "body" or name.startswith("2")
        for media_type, content in message.get("content", {}).items()
        if "example" not in content
    ]

    assert without == [], f"Show the body and each answer of {route} in docs/api.md, and run `make openapi`."


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
