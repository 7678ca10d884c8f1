"""Views of a client with other options, and responses with their status and headers."""

import inspect

import pytest

from codegen_api import AsyncCodegenAPI, CodegenAPI, InvalidArgumentError, RetryPolicy, ServerError


def get(api):
    return api.runs.get(7)


def test_a_view_has_other_options_and_its_client_keeps_its_own(client, wire, run):
    wire.answers(200, run).answers(200, run)

    def script(api):
        view = api.with_options(timeout=3, headers={"x-team": "blue"})
        yield view.runs.get(7)
        yield api.runs.get(7)

    client.play(script, timeout=9, headers={"x-app": "shop"})
    (first, second) = wire.requests
    assert [request.extensions["timeout"].get("read") for request in wire.requests] == [3, 9]
    assert (first.headers["x-app"], first.headers["x-team"]) == ("shop", "blue")
    assert "x-team" not in second.headers


def test_a_view_can_have_another_retry_policy(client, wire):
    wire.answers(503, {})

    with pytest.raises(ServerError):
        client(lambda api: api.with_options(retry=RetryPolicy(max_retries=0)).runs.get(7))
    assert wire.only


def test_every_response_is_handed_over_with_its_request_id(client, wire, run):
    wire.answers(503, {}, headers={"x-request-id": "r-1"}).answers(200, run, headers={"x-request-id": "r-2"})
    seen = []

    client(lambda api: api.with_options(on_response=seen.append).runs.get(7))

    assert [(response.status, response.request_id) for response in seen] == [(503, "r-1"), (200, "r-2")]
    assert repr(seen[0]) == "Response(status=503, request_id='r-1', 2 bytes)"


@pytest.mark.parametrize("headers", [{"x-team": "Zoë"}, {"x team": "blue"}, {"x-team": "a\nb: c"}])
def test_a_header_that_cannot_be_sent_is_refused(client, headers):
    with pytest.raises(InvalidArgumentError, match="header"):
        client(lambda api: api.with_options(headers=headers).runs.get(7))
    with pytest.raises(InvalidArgumentError, match="header"):
        client(get, headers=headers)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "30", True])
def test_a_timeout_that_is_no_time_is_refused(client, timeout):
    with pytest.raises(InvalidArgumentError, match="timeout"):
        client(lambda api: api.with_options(timeout=timeout).runs.get(7))


def test_a_raw_response_has_status_headers_request_id_and_the_result(client, wire, run):
    wire.answers(200, run, headers={"x-request-id": "r-1", "ratelimit-remaining": "9"})

    raw = client(lambda api: api.runs.with_raw_response.get(7))

    assert (raw.status_code, raw.request_id, raw.headers["RateLimit-Remaining"]) == (200, "r-1", "9")
    assert b'"id": 7' in raw.content
    assert raw.parse().id == 7
    assert repr(raw) == "RawResponse(status_code=200, request_id='r-1')"


def test_the_raw_response_of_a_list_is_that_of_its_first_page(client, wire, run):
    page = {"items": [run], "total": 2, "page": 1, "size": 1, "pages": 2}
    wire.answers(200, page, headers={"x-request-id": "r-1"})

    raw = client(lambda api: api.runs.with_raw_response.list(limit=1))

    assert (raw.request_id, raw.parse().total) == ("r-1", 2)


def test_a_raw_response_also_reaches_the_callback_of_a_view(client, wire, run):
    wire.answers(200, run)
    seen = []

    client(lambda api: api.with_options(on_response=seen.append).runs.with_raw_response.get(7))

    assert len(seen) == 1


def test_a_resource_without_a_method_has_no_raw_one(client):
    with pytest.raises(AttributeError, match="fly"):
        client(lambda api: api.runs.with_raw_response.fly())


@pytest.mark.parametrize(("kind", "list_type"), [(CodegenAPI, "PagedList"), (AsyncCodegenAPI, "AsyncPagedList")])
def test_help_shows_what_a_method_returns(kind, list_type):
    api = kind(1, "sk-fake")

    def returned(method):
        return str(inspect.signature(method)).rpartition(" -> ")[2]

    assert returned(api.runs.get) == "AgentRun"
    assert returned(api.multi_runs.wait) == "MultiRun"
    assert returned(api.agents.get) == ("Agent" if kind is CodegenAPI else "AsyncAgent")
    assert returned(api.users.list) == f"{list_type}[User, Page[User]]"
    assert returned(api.runs.stream) == list_type.replace("PagedList", "Stream") + "[Event]"
    assert returned(api.starred_runs.unstar) == "None"


def test_an_unknown_argument_is_refused(client):
    with pytest.raises(TypeError, match="concurency"):
        client(lambda api: api.multi_runs.create("x", concurency=4))


def test_a_client_and_its_views_name_their_server_and_their_organization(client):
    def script(api):
        assert (api.base_url, api.org_id) == ("https://codegen.test", 42)
        assert api.with_options(timeout=5).base_url == "https://codegen.test"
        yield from ()

    client.play(script, base_url="https://codegen.test/")
