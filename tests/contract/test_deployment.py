"""The deployment against the upstream's OpenAPI documents, where a checkout has them beside it.

Each operation of a document is sent to the handler that the template names for its path, with every parameter and field
of the document. The upstream answers with values that are made up from the document's schemas.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from codegen_runs import upstream
from local.template import Route, Template
from tests.support import backend
from tests.support.documents import NEWEST, OFFICIAL, Json, example, operation_of, read, resolve
from tests.support.events import Answer, call, rest
from tests.support.handlers import FUNCTIONS, handler
from tests.support.wire import Wire

ORG = 123

# 4xx that are about a resource, which a message explains; their bodies are not documented.
BARE = {"message": "Why.", "status_code": None}


@pytest.fixture(scope="module", params=[OFFICIAL, NEWEST])
def document(request: pytest.FixtureRequest) -> Json:
    return read(request.param)


@pytest.fixture
def template(deployed: Template, monkeypatch: pytest.MonkeyPatch) -> Template:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    return deployed


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def route_of(template: Template, method: str, path: str) -> Route:
    """Return the route of an operation: at exactly its path, whatever the names of its parameters."""
    assert template.api
    plain = re.sub(r"{\w+}", "{}", path)
    routes = {route.method: route for route in template.api.routes if re.sub(r"{\w+}", "{}", route.path) == plain}
    return routes.get(method) or routes["ANY"]


def send(template: Template, document: Json, method: str, path: str, operation: Json, *, full: bool = True) -> Answer:
    """Send an operation with everything that the document has, or with as little as it requires."""
    route = route_of(template, method, path)
    query = {
        parameter["name"]: ORG if parameter["name"] == "org_id" else example(document, parameter["schema"], full=True)
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and (full or parameter["required"])
    }
    body = None
    if "requestBody" in operation:
        body = example(document, operation["requestBody"]["content"]["application/json"]["schema"], full)
        body |= {"org_id": ORG} if "org_id" in body else {}
    place = re.sub(r"{\w+}", "7", path.replace("{org_id}", str(ORG)))
    text = {name: json.dumps(value).strip('"') for name, value in query.items()}
    event = rest(method, f"{place}?{urlencode(text)}" if text else place, body=body, resource=route.path)
    module = f"{route.function.code_dir.relative_to(FUNCTIONS)}/{route.function.handler.removesuffix('.handler')}"
    backend.empty(template.tables["RunsTable"])  # So no bucket is blocked, and no run is followed.
    return call(handler(module), event)


@pytest.mark.parametrize("full", [True, False], ids=["everything", "what is required"])
def test_every_operation_is_served_with_the_documented_answer(
    document: Json, template: Template, full: bool, subtests: pytest.Subtests
) -> None:
    answered: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        _, operation = operation_of(document, request)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        answered.append(example(document, schema, full))
        return httpx.Response(200, json=answered[-1])

    for method, path, operation in operations(document):
        with subtests.test(f"{method} {path}"):
            wire = Wire([reply])
            with upstream.over(wire):
                answer = send(template, document, method, path, operation, full=full)

            assert answer.status == 200, answer.text
            assert answer.json == answered[-1]
            last = wire.requests[-1]
            assert operation_of(document, last) == (path, operation)
            sent = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
            assert {name for place, name in sent if place == "query" and full} <= set(last.url.params)
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                keys = (
                    resolve(document, schema)["properties"] if full else resolve(document, schema).get("required", ())
                )
                assert set(keys) <= json.loads(last.content).keys()


def test_every_documented_refusal_keeps_its_status_and_its_body(
    document: Json, template: Template, subtests: pytest.Subtests
) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if not 400 <= int(status) < 500:
                continue
            with subtests.test(f"{method} {path}: {status}"):
                schema = response.get("content", {}).get("application/json", {}).get("schema")
                body = BARE | {"status_code": int(status)}
                if schema:
                    properties = resolve(document, schema)["properties"]
                    body = {
                        name: each.get("default") or example(document, each, True) for name, each in properties.items()
                    }
                with upstream.over(Wire([httpx.Response(int(status), json=body)])):
                    answer = send(template, document, method, path, operation)

                assert answer.status == int(status), answer.text
                assert {name: answer.json[name] for name in body} == body
