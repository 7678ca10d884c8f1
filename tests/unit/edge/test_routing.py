"""The route that API Gateway found decides: about the organization, the path, and the base path of links."""

from typing import cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.http.routing import base_path_of, organization_of, path_of
from codegen_runs.problems import RouteNotFound, Unprocessable
from codegen_runs.storage.runs import RunsTable
from tests.support.events import call, rest, working_with
from tests.support.handlers import handler
from tests.support.memory import MemoryRuns
from tests.support.wire import Wire

RUN = "/v1/organizations/{org_id}/agent/run/{agent_run_id}"
# Base paths of a custom domain, some of which look like paths of the API.
BASE_PATHS = ["", "/codegen", "/a/b", "/v1", "/v1/organizations/123", "/organizations/123/agent/run/7"]
base_paths = st.lists(st.sampled_from(["v1", "organizations", "123", "codegen", "a.b"]), max_size=4).map(
    lambda segments: "".join(f"/{segment}" for segment in segments)
)


@given(base_path=base_paths, stage=st.sampled_from(["", "/v0"]), org_id=st.integers(0, 2**53 - 1), slash=st.booleans())
def test_the_organization_is_that_of_the_route_below_every_base_path(
    base_path: str, stage: str, org_id: int, slash: bool
) -> None:
    path = f"/v1/organizations/{org_id}/agent/run/7" + "/" * slash
    event = rest("GET", path, base_path=base_path, stage_path=stage)

    assert event["resource"] == RUN
    assert (organization_of(event), path_of(event), base_path_of(event)) == (org_id, path, stage + base_path)


@pytest.mark.parametrize("parameters", [{}, {"org_id": ""}, {"org_id": "123/"}, {"org_id": "\u0661"}, {"id": "123"}])
def test_a_route_with_an_organization_refuses_a_request_that_names_none(parameters: dict[str, str]) -> None:
    """The path names one, but the path is not what decides."""
    with pytest.raises(Unprocessable):
        organization_of(rest("GET", "/v1/organizations/123/agent/run/7", path_parameters=parameters))


def test_a_route_without_an_organization_has_none_whatever_its_base_path_looks_like() -> None:
    event = rest("GET", "/v1/users/me", base_path="/v1/organizations/123")

    assert (event["resource"], organization_of(event)) == ("/v1/users/me", None)


@pytest.mark.parametrize("base_path", BASE_PATHS)
@pytest.mark.parametrize("path", ["/v1/tools", "/v1/v1/tools", "/v1/organizations/123/caf%C3%A9/a%20b"])
def test_the_path_of_a_catch_all_begins_where_its_parameter_does(path: str, base_path: str) -> None:
    event = rest("GET", path, resource="/v1/{proxy+}", base_path=base_path)
    encoded = event | {"pathParameters": {"proxy": path.removeprefix("/v1/")}}

    assert path_of(event) == path_of(encoded) == path
    assert base_path_of(event) == base_path


@pytest.mark.parametrize("in_context", [{"path": RUN}, {}])
def test_without_the_path_of_the_url_there_is_no_base_path(in_context: dict[str, str], wire: Wire) -> None:
    """`sam local` has the route in the place of the path."""
    event = rest("GET", "/v1/organizations/9/agent/run/7")
    context = {name: value for name, value in event["requestContext"].items() if name != "path"}
    event |= {"requestContext": context | in_context}

    assert base_path_of(event) == ""
    assert call(handler("agent_runs/get"), event).json["instance"] == "/v1/organizations/9/agent/run/7"


def test_a_path_that_is_not_that_of_the_route_is_not_found() -> None:
    with pytest.raises(RouteNotFound):
        path_of(rest("GET", "/health", resource=RUN))
    with pytest.raises(RouteNotFound):
        path_of(rest("GET", "/v1/tools", resource="/v1/{proxy+}", path_parameters={"proxy": "other"}))


@pytest.mark.parametrize("base_path", BASE_PATHS)
def test_another_organization_is_refused_below_a_base_path(base_path: str, wire: Wire) -> None:
    answer = call(handler("agent_runs/get"), rest("GET", "/v1/organizations/9/agent/run/7", base_path=base_path))

    assert (answer.status, answer.json["code"]) == (403, "not_a_member")
    assert answer.json["instance"] == f"{base_path}/v1/organizations/9/agent/run/7"
    assert wire.requests == []


@pytest.mark.parametrize("base_path", BASE_PATHS)
def test_an_operation_works_below_a_base_path(base_path: str, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={"id": 7, "organization_id": 123, "status": "ACTIVE"}))

    answer = call(handler("agent_runs/get"), rest("GET", "/v1/organizations/123/agent/run/7", base_path=base_path))

    assert (answer.status, answer.json["id"]) == (200, 7)
    assert wire.requests[0].url.path == "/v1/organizations/123/agent/run/7"


def test_a_function_serves_its_own_routes_only(wire: Wire) -> None:
    """Otherwise a route that names no organization could reach an operation that needs one."""
    event = rest("GET", "/v1/organizations/9/agent/run/7", resource="/v1/{proxy+}")

    answer = call(handler("agent_runs/get"), event)

    assert (answer.status, answer.json["code"]) == (404, "route_not_found")
    assert wire.requests == []


@pytest.mark.parametrize("base_path", BASE_PATHS)
def test_an_unknown_operation_of_codegen_is_passed_on_without_the_base_path(base_path: str, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))

    event = rest("GET", "/v1/organizations/123/tools", resource="/v1/{proxy+}", base_path=base_path)
    with working_with(Backend(runs=cast(RunsTable, MemoryRuns()))):
        answer = call(handler("passthrough/pass_on"), event)

    assert (answer.status, wire.requests[0].url.path) == (200, "/v1/organizations/123/tools")


@pytest.mark.parametrize("base_path", BASE_PATHS)
def test_a_path_outside_of_v1_is_never_passed_on(base_path: str, wire: Wire) -> None:
    event = rest("GET", "/x/v1/tools", resource="/{proxy+}", base_path=base_path, caller=None)

    assert call(handler("passthrough/pass_on"), event).status == 404
    assert wire.requests == []


@pytest.mark.parametrize("name", ["abc", "123x", "%31%32x", "-1"])
def test_a_request_that_is_passed_on_names_its_organization_as_a_number(name: str, wire: Wire) -> None:
    event = rest("GET", f"/v1/organizations/{name}/tools", resource="/v1/{proxy+}")

    assert call(handler("passthrough/pass_on"), event).status in (404, 422)
    assert wire.requests == []


def test_the_line_of_a_request_has_no_organization_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    call(handler("agent_runs/get"), rest("GET", "/v1/organizations/hush/agent/run/7"))

    assert "hush" not in capsys.readouterr().out


def test_a_caller_outside_of_the_organization_gets_no_answer_by_its_key_below_a_base_path(wire: Wire) -> None:
    elsewhere = Caller(id="user:1", user_id=1, organizations=frozenset({9}), token="another-token")
    event = rest(
        "POST",
        "/v1/organizations/123/agent/run",
        body={"prompt": "Say hello."},
        headers={"Idempotency-Key": "key"},
        caller=elsewhere,
        base_path="/codegen",
    )

    assert call(handler("agent_runs/create"), event).status == 403
    assert wire.requests == []
