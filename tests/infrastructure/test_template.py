"""What every resource of the template has to be."""

import json
import re

import pytest

from codegen_runs import problems
from codegen_runs.problems import Forbidden, InternalError, RouteNotFound, TooLarge, Unauthorized
from local.cloudformation import Document
from local.template import Template
from tests.support import backend
from tests.support.sources import LAYER

FUNCTIONS = sorted(backend.template().functions)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_traced_logs_to_the_groups_that_expire_and_runs_on_the_layer(
    document: Document, name: str
) -> None:
    properties = document.resources[name].properties

    assert properties["Tracing"] == "Active"
    assert properties["LoggingConfig"]["LogFormat"] == "JSON"
    assert properties["LoggingConfig"]["LogGroup"] == document.resources["FunctionLogs"].name
    assert properties["Layers"] == [document.resources["CodegenLayer"].arn]
    assert properties["Description"].endswith(".")


def test_the_layer_is_built_for_the_runtime_of_the_functions(document: Document) -> None:
    layer = document.resources["CodegenLayer"].properties
    builder = (LAYER / "build.py").read_text("utf-8")
    (built_for,) = re.findall(r'^RUNTIME = "(.+)"$', builder, re.MULTILINE)

    for function in document.of("AWS::Serverless::Function"):
        assert [function.properties["Runtime"]] == layer["CompatibleRuntimes"] == [f"python{built_for}"]
        assert function.properties["Architectures"] == layer["CompatibleArchitectures"]
        assert all(f"_{architecture}" in builder for architecture in function.properties["Architectures"])


def test_a_table_is_paid_by_request_encrypted_and_restorable(document: Document) -> None:
    tables = document.of("AWS::DynamoDB::Table")

    assert tables
    for table in tables:
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
        assert table.properties["SSESpecification"]["SSEEnabled"] is True
        assert table.properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_every_log_group_expires(document: Document) -> None:
    groups = document.of("AWS::Logs::LogGroup")

    assert groups
    assert all(group.properties["RetentionInDays"] == document.parameters["LogRetentionDays"] for group in groups)


def test_the_gateway_waits_for_every_function_that_it_calls(template: Template) -> None:
    """It gives up after 29 seconds, and a function that goes on then works for nobody."""
    assert template.api

    assert {route.function.timeout for route in template.api.routes} == {29}


def test_the_state_machine_calls_every_function_it_is_given(template: Template, document: Document) -> None:
    machine = template.state_machines["MultiRunStateMachine"]
    given = set(machine.substitutions.values())
    statement = document.resources["MultiRunStateMachine"].properties["Policies"][0]["Statement"][0]

    assert set(re.findall(r"arn:aws:lambda:[^\"]+", machine.definition)) == given
    assert given == set(statement["Resource"])


def test_no_error_of_the_gateway_itself_is_without_cors_or_the_form_of_our_own(template: Template) -> None:
    assert template.api
    assert template.api.cors

    for kind, response in template.api.gateway_responses.items():
        assert response.headers["Access-Control-Allow-Origin"] == template.api.cors.allow_origin, kind
        assert response.headers["Content-Type"] == "application/problem+json", kind
        body = json.loads(response.templates["application/json"])
        assert body.keys() == problems.render(InternalError(), "/", "1").keys(), kind
        assert (body["status"], body["status_code"]) == (response.status, response.status), kind
        assert (body["instance"], body["request_id"]) == ("$context.path", "$context.requestId"), kind
        assert body["message"] == body["detail"], kind
        assert body["remedy"], kind


def test_the_gateway_refuses_in_the_words_of_the_edge(template: Template) -> None:
    assert template.api
    told = {
        kind: json.loads(response.templates["application/json"])
        for kind, response in template.api.gateway_responses.items()
    }

    for kind, same in {
        "UNAUTHORIZED": Unauthorized,
        "ACCESS_DENIED": Forbidden,
        "MISSING_AUTHENTICATION_TOKEN": RouteNotFound,
        "REQUEST_TOO_LARGE": TooLarge,
    }.items():
        expected = (same.code, same.status, same.title, same.remedy, same.retryable)
        assert tuple(told[kind][name] for name in ("code", "status", "title", "remedy", "retryable")) == expected
