"""The OpenAPI document: true, whole, and made the same way every time."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.openapi.models import OpenAPI

from local import openapi
from local.template import Route

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(openapi.DOCUMENT.read_text("utf-8"))


@pytest.fixture(scope="module")
def built() -> openapi.Json:
    """The document as the handlers say it is, which takes seconds to find out."""
    return openapi.build()


@pytest.fixture(scope="module")
def served() -> dict[tuple[str, str], Route]:
    return {(route.path, route.method.lower()): route for route in openapi.routes()}


def test_the_written_document_is_what_the_handlers_say(document: Any, built: openapi.Json) -> None:
    assert built == document


def test_the_document_does_not_depend_on_the_order_of_hashes() -> None:
    check = [sys.executable, "-m", "local.openapi", "--check"]

    subprocess.run(check, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, check=True)


def test_a_document_that_is_out_of_date_is_told_with_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], built: openapi.Json
) -> None:
    written = openapi.DOCUMENT.read_text("utf-8")
    outdated = tmp_path / "openapi.json"
    outdated.write_text(written.replace("Start an agent run", "Begin an agent run"), "utf-8")
    monkeypatch.setattr(openapi, "DOCUMENT", outdated)
    monkeypatch.setattr(openapi, "build", lambda: built)

    assert openapi.main(["--check"]) == 1
    assert '+        "summary": "Start an agent run",' in capsys.readouterr().err

    assert openapi.main([]) == 0
    assert outdated.read_text("utf-8") == written


def test_the_root_shows_the_document_that_the_docs_function_ships() -> None:
    link = ROOT / "openapi.json"

    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == openapi.DOCUMENT


def test_the_document_is_openapi(document: Any) -> None:
    OpenAPI.model_validate(document)

    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "."}]


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Any) -> None:
    assert set(openapi.references(document)) == set(document["components"]["schemas"])


def test_every_route_is_an_operation_or_another_spelling_of_one(
    document: Any, served: dict[tuple[str, str], Route]
) -> None:
    known = {(path, method) for path, method, _ in openapi.operations(document)}
    aliases = {
        (alias.split()[1], alias.split()[0].lower())
        for _, _, operation in openapi.operations(document)
        for alias in operation.get("x-aliases", [])
    }
    undeclared = {route for route in served if "logs/stream" in route[0]} - known - aliases

    assert known | aliases | undeclared == served.keys()
    assert not known & aliases


def test_every_operation_tells_how_it_fails_and_has_a_name_of_its_own(document: Any) -> None:
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


def test_operations_ask_for_a_token_where_the_template_does(
    document: Any, served: dict[tuple[str, str], Route]
) -> None:
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    for path, method, operation in openapi.operations(document):
        public = served[path, method].authorizer is None
        assert (operation.get("security") == []) == public


def test_the_upstreams_shapes_are_documented(document: Any) -> None:
    run = document["components"]["schemas"]["AgentRun"]
    assert run["required"] == ["id", "organization_id"]
    created = document["paths"]["/v1/organizations/{org_id}/agent/run"]["post"]
    assert created["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/AgentRun")
    limits = document["paths"]["/v1/organizations/{org_id}/agent/runs"]["get"]["parameters"]
    assert {"minimum": 1, "maximum": 100}.items() <= next(p for p in limits if p["name"] == "limit")["schema"].items()


def test_two_shapes_of_one_name_are_refused() -> None:
    one = {"components": {"schemas": {"Run": {"type": "object"}}}}
    other = copy.deepcopy(one)
    openapi.check_names({Path("a"): one, Path("b"): other})

    other["components"]["schemas"]["Run"]["type"] = "string"

    with pytest.raises(openapi.DisagreementError, match="a and b mean different things by the name Run"):
        openapi.check_names({Path("a"): one, Path("b"): other})


def test_a_documented_route_that_the_template_does_not_have_is_refused() -> None:
    file = openapi.FUNCTIONS / "health" / "get.py"
    made_up: Any = {"paths": {"/wealth": {"get": {}}}}

    with pytest.raises(openapi.DisagreementError, match="/wealth"):
        openapi.add_what_the_template_knows(made_up, {file: made_up})


def test_a_path_is_another_spelling_of_the_same_path_or_of_the_only_operation_that_takes_the_same() -> None:
    documented = {("/v1/a/{id}/stop", "post"), ("/v1/a/stop", "post"), ("/v1/a", "get")}

    assert openapi.meant_by("/a/{id}/stop", "post", documented) == "/v1/a/{id}/stop"
    assert openapi.meant_by("/b", "get", documented) == "/v1/a"
    assert openapi.meant_by("/c/{id}/halt", "post", documented) == "/v1/a/{id}/stop"
    with pytest.raises(openapi.DisagreementError, match="POST /c"):
        openapi.meant_by("/c", "post", documented)
    with pytest.raises(openapi.DisagreementError, match="DELETE /a"):
        openapi.meant_by("/a", "delete", documented)
