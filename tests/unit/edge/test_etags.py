"""Conditional requests: answers that the client already has."""

from typing import Any

import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.http.edge import endpoint
from codegen_runs.problems import NotFound
from tests.support.events import Answer, call, rest


@pytest.fixture
def state() -> dict[str, Any]:
    return {"runs": 1}


@pytest.fixture
def app(state: dict[str, Any]) -> APIGatewayRestResolver:
    app = APIGatewayRestResolver(enable_validation=True)

    @app.get("/runs")
    def runs() -> dict[str, Any]:
        if not state:
            raise NotFound
        return state

    @app.post("/runs")
    def start() -> dict[str, Any]:
        return state

    @app.get("/page")
    def page() -> Response[str]:
        return Response(200, "text/html", "<p>", headers={})

    @app.get("/versioned")
    def versioned() -> Response[dict[str, Any]]:
        return Response(200, "application/json", state, headers={"ETag": '"v7"'})

    @app.get("/kept")
    def kept() -> Response[str]:
        return Response(200, "application/json", "{}", headers={"Cache-Control": "public, max-age=60"})

    @app.get("/secret")
    def secret() -> Response[str]:
        return Response(200, "application/json", "{}", headers={"Cache-Control": "no-store"})

    @app.get("/accepted")
    def accepted() -> Response[str]:
        return Response(202, "application/json", "{}", headers={})

    return app


def send(app: APIGatewayRestResolver, method: str = "GET", path: str = "/runs", **headers: str) -> Answer:
    return call(endpoint(app), rest(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}))


def test_a_client_that_has_the_answer_gets_no_body(app: APIGatewayRestResolver) -> None:
    first = send(app)
    again = send(app, If_None_Match=first.headers["etag"])

    assert (first.status, first.json) == (200, {"runs": 1})
    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status, again.text) == (304, "")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == "private, no-cache"
    assert "content-type" not in again.headers  # See test_an_answer_without_content_has_no_type.
    assert again.headers["x-request-id"]


def test_a_changed_answer_is_sent_with_another_etag(app: APIGatewayRestResolver, state: dict[str, Any]) -> None:
    first = send(app)
    state["runs"] = 2
    again = send(app, If_None_Match=first.headers["etag"])

    assert (again.status, again.json) == (200, {"runs": 2})
    assert again.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("held", ['"other", {}', "W/{}", '{},"other"', "*"])
def test_one_matching_etag_of_several_is_enough(app: APIGatewayRestResolver, held: str) -> None:
    tag = send(app).headers["etag"]

    assert send(app, If_None_Match=held.format(tag)).status == 304


@pytest.mark.parametrize("held", ["", '"other"', "nonsense", '"*"'])
def test_another_etag_does_not_match(app: APIGatewayRestResolver, held: str) -> None:
    assert send(app, If_None_Match=held).status == 200


def test_the_etag_of_the_operation_stays(app: APIGatewayRestResolver) -> None:
    assert send(app, path="/versioned").headers["etag"] == '"v7"'
    assert send(app, path="/versioned", If_None_Match='"v7"').status == 304
    assert send(app, path="/versioned", If_None_Match='"v8"').status == 200


def test_the_cache_control_of_the_operation_stays(app: APIGatewayRestResolver) -> None:
    first = send(app, path="/kept")
    again = send(app, path="/kept", If_None_Match=first.headers["etag"])

    assert again.status == 304
    assert first.headers["cache-control"] == again.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(("path", "status"), [("/secret", 200), ("/accepted", 202)])
def test_an_answer_that_may_not_be_stored_and_one_with_another_status_have_no_etag(
    app: APIGatewayRestResolver, path: str, status: int
) -> None:
    answer = send(app, path=path, If_None_Match="*")

    assert (answer.status, answer.text) == (status, "{}")
    assert "etag" not in answer.headers
    assert answer.headers.get("cache-control") == ("no-store" if path == "/secret" else None)


def test_an_error_has_no_etag(app: APIGatewayRestResolver, state: dict[str, Any]) -> None:
    state.clear()
    answer = send(app, If_None_Match="*")

    assert answer.status == 404
    assert "etag" not in answer.headers


@pytest.mark.parametrize(("method", "path"), [("POST", "/runs"), ("GET", "/page")])
def test_only_json_answers_to_get_have_an_etag(app: APIGatewayRestResolver, method: str, path: str) -> None:
    answer = send(app, method, path, If_None_Match="*")

    assert answer.status == 200
    assert "etag" not in answer.headers
