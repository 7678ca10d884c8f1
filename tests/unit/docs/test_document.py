"""The OpenAPI document: correct, complete, and the same in every build."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import openapi
from local.template import Route

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(openapi.DOCUMENT.read_text("utf-8"))


@pytest.fixture(scope="module")
def built() -> openapi.Json:
    """The document that the handlers describe. Building it takes seconds."""
    return openapi.build()


@pytest.fixture(scope="module")
def served() -> dict[tuple[str, str], Route]:
    return {(route.path, route.method.lower()): route for route in openapi.routes()}


@pytest.mark.full
def test_the_written_document_is_what_the_handlers_describe(document: Any, built: openapi.Json) -> None:
    assert built == document


@pytest.mark.full
def test_the_document_does_not_depend_on_the_hash_seed() -> None:
    check = [sys.executable, "-m", "local.openapi", "--check"]

    subprocess.run(check, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True)


def test_check_shows_how_an_outdated_document_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: openapi.Json
) -> None:
    written = openapi.DOCUMENT.read_text("utf-8")
    outdated = tmp_path / "openapi.json"
    outdated.write_text(written.replace("Start an agent run", "Begin an agent run"), "utf-8")

    assert openapi.main(["--check"], target=outdated, describe=lambda: document) == 1
    assert '+        "summary": "Start an agent run",' in capsys.readouterr().err

    assert openapi.main([], target=outdated, describe=lambda: document) == 0
    assert outdated.read_text("utf-8") == written


def test_compare_ignores_texts_and_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], document: openapi.Json
) -> None:
    other = copy.deepcopy(document)
    other["info"]["description"] = "Another text."
    other["paths"] = dict(reversed(other["paths"].items()))
    for _, _, operation in openapi.operations(other):
        operation["summary"] = operation["description"] = "Another text."
        operation.get("parameters", []).reverse()
    for schema in other["components"]["schemas"].values():
        schema.pop("description", None)
    file = tmp_path / "other.json"
    file.write_text(json.dumps(other), "utf-8")

    assert openapi.main(["--compare", str(file)], describe=lambda: document) == 0
    assert capsys.readouterr().out == ""


def test_compare_prints_each_value_that_only_one_document_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before: Any = {
        "paths": {
            "/runs": {
                "get": {
                    "summary": "List runs",
                    "parameters": [
                        {"in": "query", "name": "limit", "schema": {"maximum": 50}},
                        {"$ref": "#/components/parameters/IfNoneMatch"},
                    ],
                    "responses": {"200": {"description": "The runs."}, "404": {"description": "No runs."}},
                }
            }
        },
        "components": {
            "schemas": {"Run": {"properties": {"id": {}, "description": {"type": "string"}}, "required": ["id"]}}
        },
    }
    after = copy.deepcopy(before)
    operation = after["paths"]["/runs"]["get"]
    operation["parameters"][0]["schema"]["maximum"] = 100
    operation["parameters"].pop()
    del operation["responses"]["404"]
    operation["responses"]["410"] = {}
    del after["components"]["schemas"]["Run"]["properties"]["description"]
    after["components"]["schemas"]["Run"]["required"] = ["id", "status"]
    file = tmp_path / "before.json"
    file.write_text(json.dumps(before), "utf-8")

    assert openapi.main(["--compare", str(file)], describe=lambda: after) == 1

    reference = "#/components/parameters/IfNoneMatch"
    assert capsys.readouterr().out.splitlines() == [
        '- components > schemas > Run > properties > description > type: "string"',
        '+ components > schemas > Run > required > 1: "status"',
        f'- paths > /runs > get > parameters > {reference} > $ref: "{reference}"',
        "- paths > /runs > get > parameters > query limit > schema > maximum: 50",
        "+ paths > /runs > get > parameters > query limit > schema > maximum: 100",
        "- paths > /runs > get > responses > 404: {}",
        "+ paths > /runs > get > responses > 410: {}",
    ]


HANDLER = """
import warnings
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

app = APIGatewayRestResolver(enable_validation=True)

@app.get("/runs")
def list_runs() -> list[int]:
    \"\"\"List the runs.\"\"\"
    return []

"""


@pytest.mark.filterwarnings("default")
def test_a_handler_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(HANDLER + "import no_such_module", "utf-8")

    with pytest.raises(UserWarning, match="no_such_module"):
        openapi.description(file)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_warning_about_something_else_does_not_stop_the_description(tmp_path: Path) -> None:
    file = tmp_path / "warning.py"
    file.write_text(HANDLER + "warnings.warn('unclosed event loop', ResourceWarning)", "utf-8")

    assert list(openapi.description(file)["paths"]) == ["/runs"]


def test_openapi_json_at_the_root_links_to_the_document_of_the_docs_function() -> None:
    link = ROOT / "openapi.json"

    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == openapi.DOCUMENT


@pytest.mark.full
def test_the_document_is_openapi(document: Any) -> None:
    # Imported here, because only this test needs it.
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_server_of_the_document_is_relative_to_it(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "."}]


def test_every_reference_has_a_schema_and_every_schema_is_used(document: Any) -> None:
    assert set(openapi.references(document)) == set(document["components"]["schemas"])


def test_every_route_is_an_operation_or_a_further_path_of_one(
    document: Any, served: dict[tuple[str, str], Route]
) -> None:
    known = {(path, method) for path, method, _ in openapi.operations(document)}
    aliases = {
        (alias.split()[1], alias.split()[0].lower())
        for _, _, operation in openapi.operations(document)
        for alias in operation.get("x-aliases", [])
    }
    undeclared = {route for route in served if "logs/stream" in route[0] or "{proxy+}" in route[0]} - known - aliases

    assert known | aliases | undeclared == served.keys()
    assert not known & aliases


def test_every_operation_has_a_unique_name_texts_and_documented_errors(document: Any) -> None:
    names = []
    for _, _, operation in openapi.operations(document):
        names.append(operation["operationId"])
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert {"4XX", "5XX"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]
    assert len(set(names)) == len(names)
    assert all("__" not in name for name in names)


def test_an_operation_requires_a_token_if_the_template_has_an_authorizer(
    document: Any, served: dict[tuple[str, str], Route]
) -> None:
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    for path, method, operation in openapi.operations(document):
        public = served[path, method].authorizer is None
        assert (operation.get("security") == []) == public


def test_the_document_has_the_shapes_of_the_codegen_api(document: Any) -> None:
    run = document["components"]["schemas"]["AgentRun"]
    assert run["required"] == ["id", "organization_id"]
    created = document["paths"]["/v1/organizations/{org_id}/agent/run"]["post"]
    assert created["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/AgentRun")
    limits = document["paths"]["/v1/organizations/{org_id}/agent/runs"]["get"]["parameters"]
    assert {"minimum": 1, "maximum": 100}.items() <= next(p for p in limits if p["name"] == "limit")["schema"].items()


def test_two_schemas_of_one_name_are_refused() -> None:
    one = {"components": {"schemas": {"Run": {"type": "object"}}}}
    other = copy.deepcopy(one)
    openapi.check_names({Path("a"): one, Path("b"): other})

    other["components"]["schemas"]["Run"]["type"] = "string"

    with pytest.raises(openapi.DisagreementError, match="a and b have different schemas named Run"):
        openapi.check_names({Path("a"): one, Path("b"): other})


def test_a_documented_route_that_the_template_does_not_have_is_refused() -> None:
    file = openapi.FUNCTIONS / "health" / "get.py"
    unknown: Any = {"paths": {"/wealth": {"get": {}}}}

    with pytest.raises(openapi.DisagreementError, match="/wealth"):
        openapi.add_from_template(unknown, {file: unknown})


def test_a_further_path_leads_to_the_same_path_under_v1_or_to_the_only_operation_that_fits() -> None:
    documented = {("/v1/a/{id}/stop", "post"), ("/v1/a/stop", "post"), ("/v1/a", "get")}

    assert openapi.canonical("/a/{id}/stop", "post", documented) == "/v1/a/{id}/stop"
    assert openapi.canonical("/b", "get", documented) == "/v1/a"
    assert openapi.canonical("/c/{id}/halt", "post", documented) == "/v1/a/{id}/stop"
    with pytest.raises(openapi.DisagreementError, match="POST /c"):
        openapi.canonical("/c", "post", documented)
    with pytest.raises(openapi.DisagreementError, match="DELETE /a"):
        openapi.canonical("/a", "delete", documented)
