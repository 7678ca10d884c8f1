"""The template, the handlers and the OpenAPI document agree about the routes."""

import ast
import json

import pytest

from codegen_runs.http.admission import identify
from codegen_runs.http.methods import allowed
from codegen_runs.http.routing import organization_of, path_of
from codegen_runs.problems import NotAMember, Unprocessable
from local import openapi
from local.template import Route, Template
from tests.support import backend, sources
from tests.support.events import rest
from tests.support.sources import FUNCTIONS, ROOT

DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
CONSOLE = {"/", "/console", "/console/markdown", "/console/{version}/{file}"}
VERBS = {"get", "post", "put", "patch", "delete"}
API = backend.template().api
assert API
# The catch-all of every other path is no operation of this deployment, so it is in no document.
ROUTES = [route for route in openapi.routes() if route.method != "ANY"]
SERVED = {f"{route.method} {route.path}" for route in ROUTES}


def registered(name: str) -> set[str]:
    """Return the routes that the module of a function registers with its resolver."""
    calls = [node for node in ast.walk(sources.tree(FUNCTIONS / f"{name}.py")) if isinstance(node, ast.Call)]
    return {
        f"{call.func.attr.upper()} {call.args[0].value}".replace("<", "{").replace(">", "}")
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in VERBS
        and ast.unparse(call.func.value) == "app"
        and isinstance(call.args[0], ast.Constant)
    }


@pytest.mark.parametrize("name", sorted({route.function.logical_id for route in API.routes}))
def test_a_handler_registers_the_routes_that_the_template_sends_to_it(template: Template, name: str) -> None:
    function = template.functions[name]
    served = {f"{route.method} {route.path}" for route in ROUTES if route.function.logical_id == name}
    file = function.code_dir / f"{function.handler.removesuffix('.handler')}.py"
    routes = registered(str(file.relative_to(FUNCTIONS).with_suffix("")))

    # These have no resolver, so they register no routes.
    assert routes in (served, set())
    assert routes or name in ("StreamAgentRunLogs", "PassOnToCodegen")


def test_the_document_has_the_routes_of_the_template() -> None:
    documented: list[str] = []
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            documented += [f"{method.upper()} {path}", *operation.get("x-aliases", [])]

    assert sorted(documented) == sorted(SERVED)


def test_only_health_documentation_and_the_console_have_no_version_in_their_path() -> None:
    unversioned = {path for path in DOCUMENT["paths"] if not path.startswith("/v1/")}

    assert unversioned - CONSOLE == {"/health", "/openapi.json", "/docs", "/redoc"}
    assert unversioned >= CONSOLE


def test_only_health_documentation_the_console_the_doorbell_and_unknown_paths_are_public(template: Template) -> None:
    assert template.api

    assert {route.path for route in template.api.routes if route.authorizer is None} == {
        "/health",
        "/api/health",
        "/openapi.json",
        "/docs",
        "/redoc",
        "/v1/doorbell/{doorbell}",
        "/{proxy+}",
        *(CONSOLE - {"/console/markdown"}),
    }


@pytest.mark.parametrize("route", sorted(route for route in SERVED if "{org_id}" in route))
@pytest.mark.parametrize("base_path", ["", "/codegen", "/organizations/123"])
def test_a_route_of_an_organization_refuses_callers_from_elsewhere(route: str, base_path: str) -> None:
    method, path = route.split(" ")
    sent = path.replace("{org_id}", "999").replace("{", "").replace("}", "")
    elsewhere = rest(method, sent, resource=path, base_path=base_path)

    assert path_of(elsewhere) == sent
    with pytest.raises(NotAMember):
        identify(elsewhere, organization_of(elsewhere))


@pytest.mark.parametrize("route", sorted(route for route in SERVED if "{org_id}" in route))
@pytest.mark.parametrize("parameters", [{}, {"org_id": ""}, {"org_id": "123/"}, {"organization_id": "123"}])
def test_a_route_of_an_organization_refuses_a_request_that_names_none(route: str, parameters: dict[str, str]) -> None:
    method, path = route.split(" ")
    sent = path.replace("{org_id}", "123").replace("{", "").replace("}", "")

    with pytest.raises(Unprocessable):
        organization_of(rest(method, sent, resource=path, path_parameters=parameters))


def test_the_path_parameter_at_one_place_has_one_name() -> None:
    """API Gateway refuses two routes with different names for the same parameter."""
    names: dict[str, str] = {}
    for route in SERVED:
        prefix = ""
        for segment in route.split(" ")[1].split("/"):
            if segment.startswith("{"):
                assert names.setdefault(prefix, segment) == segment, route
                segment = "{}"
            prefix += f"/{segment}"


def test_every_post_is_idempotent_unless_it_changes_nothing_or_its_response_is_a_secret() -> None:
    posts = [route.function for route in ROUTES if route.method == "POST"]

    assert {function.logical_id for function in posts if "IDEMPOTENCY_TABLE" not in function.environment} == {
        "CreateApiToken",
        "CreateStreamTicket",
        "CreateWebhookEndpoint",
        "GenerateSlackToken",
        "RotateWebhookSecret",
        "RenderMarkdown",
        "RingDoorbell",
        "SetWebhook",
        "TestWebhook",
    }


def test_a_browser_may_use_every_method_of_the_api() -> None:
    assert API.cors
    methods = {route.split()[0] for route in SERVED}

    assert set(API.cors.allow_methods.split(",")) == methods | {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("live", ["false", "true"])
def test_on_each_path_the_function_for_get_or_else_the_first_gets_every_other_method(live: str) -> None:
    api = backend.template(LiveStreaming=live).api
    assert api
    by_path: dict[str, list[Route]] = {}
    for route in api.routes:
        by_path.setdefault(route.path, []).append(route)

    for path, routes in by_path.items():
        # The function that streams has one method, and the one with the same handler that returns pages has the others.
        streamed = [route for route in routes if route.streams]
        routes = [route for route in routes if not route.streams]
        assert {openapi.source(route) for route in streamed} <= {openapi.source(route) for route in routes}
        (other,) = [route for route in routes if route.method == "ANY"]
        served = [(method, route) for route in routes for method in openapi.methods(openapi.source(route))]
        methods = dict(served)
        assert len(methods) == len(served), path
        assert other == methods.get("GET", other), path


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_methods_of_a_path_are_those_of_the_template(route: Route) -> None:
    methods = {other.method for other in ROUTES if other.path == route.path}
    listed = allowed(route.path, openapi.methods(openapi.source(route)))

    assert len(listed) == len(set(listed))
    assert set(listed) == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
