"""Pages that are too large for Lambda are returned as smaller pages."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import CodegenAPI
from codegen_runs.http.answers import MAX_ANSWER
from codegen_runs.http.edge import endpoint
from tests.support.events import Answer, call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire

ORG = "/v1/organizations/123"
LOGS = "/v1/alpha/organizations/123/agent/run/7/logs"
HUGE = MAX_ANSWER + 1


class Upstream:
    """An upstream with one list, in the form of runs or of a log."""

    def __init__(self, sizes: list[int], name: str = "items") -> None:
        self.name = name
        self.reads = 0
        self.entries = [self._entry(number, size) for number, size in enumerate(sizes)]

    def _entry(self, number: int, size: int) -> dict[str, Any]:
        if self.name == "logs":
            return {"agent_run_id": 7, "thought": "x" * size, "number": number}
        return {"id": number, "organization_id": 123, "result": "x" * size}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.reads += 1
        skip, limit = int(request.url.params.get("skip", 0)), int(request.url.params.get("limit", 100))
        total = len(self.entries)
        place = {"page": skip // limit + 1, "size": limit, "pages": -(-total // limit)}
        run = {"id": 7, "organization_id": 123, "total_logs": total} if self.name == "logs" else {"total": total}
        return httpx.Response(200, json={**run, self.name: self.entries[skip : skip + limit], **place})


def through(route: str, path: str) -> Callable[[httpx.Request], httpx.Response]:
    """Serve the client by a handler."""

    def serve(request: httpx.Request) -> httpx.Response:
        answer = call(handler(route), rest("GET", f"{path}?{request.url.query.decode()}"))
        return httpx.Response(answer.status, content=answer.text.encode(), headers={"content-type": "application/json"})

    return serve


def read(route: str, path: str, query: str) -> Answer:
    return call(handler(route), rest("GET", f"{path}?{query}"))


@pytest.mark.full
@pytest.mark.parametrize(
    "sizes", [[70_000] * 112, [MAX_ANSWER // 2] * 5, [1, 1, MAX_ANSWER - 30_000, 1, MAX_ANSWER - 30_000]]
)
@pytest.mark.parametrize("name", ["items", "logs"])
def test_a_client_that_iterates_gets_every_entry_once_and_in_order(wire: Wire, sizes: list[int], name: str) -> None:
    upstream = Upstream(sizes, name)
    wire.answer(upstream)
    route, path = ("agent_runs/logs", LOGS) if name == "logs" else ("agent_runs/list", f"{ORG}/agent/runs")
    with CodegenAPI(
        123,
        "token-of-a-test",
        "https://here.test",
        http_client=httpx.Client(transport=httpx.MockTransport(through(route, path))),
    ) as api:
        if name == "logs":
            read = [entry.model_dump()["number"] for entry in api.runs.iter_logs(7)]
        else:
            read = [run.id for run in api.runs.list()]

        assert read == list(range(len(sizes)))
        assert api.metrics.as_dict()["requests"] == upstream.reads


def test_the_fields_of_a_smaller_page_are_true(wire: Wire) -> None:
    wire.answer(Upstream([100_000] * 250))

    page = read("agent_runs/list", f"{ORG}/agent/runs", "skip=100&limit=100").json

    assert [run["id"] for run in page["items"]] == list(range(100, 150))
    assert {name: page[name] for name in ("total", "page", "size", "pages")} == {
        "total": 250, "page": 3, "size": 50, "pages": 5
    }  # fmt: skip


def test_a_smaller_page_has_an_etag_of_its_own(wire: Wire) -> None:
    wire.answer(Upstream([100_000] * 100))
    page = read("agent_runs/list", f"{ORG}/agent/runs", "limit=100")
    again = call(
        handler("agent_runs/list"),
        rest(
            "GET",
            f"{ORG}/agent/runs?limit=100",
            headers={"If-None-Match": page.headers["etag"]},
        ),
    )

    assert again.status == 304


@pytest.mark.parametrize(("query", "position"), [("skip=2&limit=1", 2), ("skip=2", 2), ("limit=1", 0)])
def test_one_entry_that_is_too_large_is_a_problem_that_says_how_to_get_it(
    wire: Wire, query: str, position: int
) -> None:
    wire.answer(Upstream([HUGE if number == position else 1 for number in range(5)], "logs"))

    answer = read("agent_runs/logs", LOGS, query)

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, "entry_too_large", False)
    assert answer.json["detail"] == f"The entry at position {position} is larger than a Lambda function can return."
    assert "from the Codegen API" in answer.json["remedy"]
    assert f"from position {position + 1} on" in answer.json["remedy"]
    assert len(wire.requests) == 1


def test_the_client_does_not_retry_an_entry_that_is_too_large(wire: Wire) -> None:
    wire.answer(Upstream([HUGE], "logs"))
    client = httpx.Client(transport=httpx.MockTransport(through("agent_runs/logs", LOGS)))
    with CodegenAPI(123, "token-of-a-test", "https://here.test", http_client=client) as api:
        with pytest.raises(Exception, match="position 0"):
            api.runs.logs(7)

        assert api.metrics.as_dict()["retries"] == 0


def serve(operation: Callable[..., Any], query: str) -> Answer:
    app = APIGatewayRestResolver(enable_validation=True)
    app.get("/operation")(operation)
    return call(endpoint(app, public=True), rest("GET", f"/operation?{query}", resource="/operation"))


@pytest.mark.full
def test_a_page_with_a_cursor_is_read_again_with_a_smaller_limit() -> None:
    def operation(limit: int = 20, cursor: int = 0) -> dict[str, Any]:
        after = cursor + limit
        return {
            "items": [{"number": number, "text": "x" * 1_000_000} for number in range(cursor, min(after, 20))],
            "next_cursor": after if after < 20 else None,
            "has_more": after < 20,
        }

    read: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        page = serve(operation, f"cursor={cursor}").json
        read += [item["number"] for item in page["items"]]
        cursor = page["next_cursor"]

    assert read == list(range(20))


def test_a_slice_by_offset_shrinks_and_a_page_by_number_is_refused() -> None:
    def operation(offset: int = 0, page: int | None = None) -> dict[str, Any]:
        items = [{"text": "x" * 1_000_000}] * 8
        return {"items": items, "total": 8, "has_more": False, "limit": 8, "offset": offset} | (
            {"page": page} if page else {}
        )

    smaller = serve(operation, "offset=0").json
    refused = serve(operation, "page=1")

    assert (len(smaller["items"]), smaller["limit"], smaller["has_more"], smaller["total"]) == (4, 4, True, 8)
    assert (refused.status, refused.json["code"]) == (502, "answer_too_large")


@pytest.mark.parametrize("answer", [{"result": "x" * HUGE}, {"items": "x" * HUGE}, ["x" * HUGE]])
def test_a_large_answer_that_is_no_page_is_refused(answer: Any) -> None:
    def operation() -> Any:
        return answer

    assert serve(operation, "").json["code"] == "answer_too_large"
    assert json.dumps(answer)


@pytest.mark.full
def test_a_page_with_a_summary_of_its_entries_is_read_again() -> None:
    reads: list[int] = []

    def operation(skip: int = 0, limit: int = 20) -> dict[str, Any]:
        reads.append(limit)
        logs = [{"tool_name": str(number), "text": "x" * 1_000_000} for number in range(skip, min(20, skip + limit))]
        return {"logs": logs, "tools": [log["tool_name"] for log in logs], "total_logs": 20, "limit": limit}

    page = serve(operation, "skip=10&limit=20").json

    assert page["tools"] == [log["tool_name"] for log in page["logs"]] == ["10", "11", "12", "13", "14"]
    assert (page["limit"], page["total_logs"]) == (5, 20)
    assert reads == [20, 5]


@pytest.mark.full
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_that_had_its_effect_is_no_error_although_its_answer_is_too_large(method: str) -> None:
    def operation() -> dict[str, Any]:
        return {"id": 7, "status": "ACTIVE", "metadata": {"text": "x" * HUGE}, "result": "y" * HUGE}

    app = APIGatewayRestResolver(enable_validation=True)
    app.route("/operation", method=method)(operation)
    answer = call(endpoint(app, public=True), rest(method, "/operation", body={}, resource="/operation"))

    assert answer.status == 200
    warnings = answer.json["warnings"]
    assert answer.json == {"id": 7, "status": "ACTIVE", "metadata": None, "result": None, "warnings": warnings}
    assert {warning["pointer"] for warning in warnings} == {"/metadata", "/result"}
