"""HEAD is answered as GET without the body, and a method that a path does not have with 405."""

import json

import pytest

from tests.support.backend import template
from tests.support.events import call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire


def test_head_has_the_status_and_headers_of_get_without_the_body() -> None:
    get, head = (call(handler("health/get"), rest(method, "/health", caller=None)) for method in ("GET", "HEAD"))

    assert (get.status, head.status, head.text) == (200, 200, "")
    assert head.headers.pop("content-length").isdecimal()
    assert head.headers == get.headers


def test_head_has_the_length_and_the_etag_of_the_document() -> None:
    get, head = (call(handler("docs/serve"), rest(method, "/openapi.json", caller=None)) for method in ("GET", "HEAD"))

    assert head.text == ""
    assert head.headers.pop("content-length") == str(len(get.text.encode()))
    assert head.headers == get.headers


def test_head_of_a_version_that_the_client_has_is_304() -> None:
    tag = call(handler("docs/serve"), rest("HEAD", "/openapi.json", caller=None)).headers["etag"]

    answer = call(handler("docs/serve"), rest("HEAD", "/openapi.json", caller=None, headers={"If-None-Match": tag}))

    assert (answer.status, answer.text) == (304, "")


@pytest.mark.parametrize("path", ["/v1/organizations/999/agent/run/7", "/v1/organizations/x/agent/run/7"])
def test_head_is_refused_as_get_is_without_the_body(path: str) -> None:
    get, head = (call(handler("agent_runs/get"), rest(method, path)) for method in ("GET", "HEAD"))

    assert head.status == get.status >= 400
    assert head.text == ""
    assert head.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "method", "resource", "allow"),
    [
        ("health/get", "POST", "/health", "GET, HEAD, OPTIONS"),
        ("agent_runs/create", "GET", "/v1/organizations/{org_id}/agent/run", "POST, OPTIONS"),
        ("agent_runs/create", "HEAD", "/v1/organizations/{org_id}/agent/run", "POST, OPTIONS"),
        ("agents/get", "PUT", "/v1/organizations/{org_id}/agents/{agent_id}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("starred_runs/unstar", "GET", "/v1/organizations/{org_id}/starred-runs/{agent_run_id}", "DELETE, OPTIONS"),
        ("run_cards/list", "TRACE", "/v1/organizations/{org_id}/run-cards", "GET, HEAD, POST, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_405_with_those_that_it_has(
    name: str, method: str, resource: str, allow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function in template().functions.values():
        if function.handler == f"{name.partition('/')[2]}.handler" and function.code_dir.name == name.split("/")[0]:
            for variable, value in function.environment.items():
                monkeypatch.setenv(variable, value)
    path = resource.format(org_id=123, agent_run_id=7, agent_id="a")

    answer = call(handler(name), rest(method, path, resource=resource, body={"prompt": "Say hello."}))

    assert answer.status == 405
    assert answer.headers["allow"] == allow
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json["code"] == "method_not_allowed"
        assert method in json.dumps(answer.json)


def test_a_method_that_a_path_does_not_have_is_refused_before_the_role(wire: Wire) -> None:
    """A path that is 405 for an admin is 405 for everybody."""
    answer = call(handler("agent_runs/list"), rest("DELETE", "/v1/organizations/999/agent/runs"))

    assert answer.status == 405
    assert wire.requests == []
