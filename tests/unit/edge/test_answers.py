"""What every answer has, what is logged about it, and what neither may contain."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import httpx
import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import aws
from codegen_runs.http.answers import within_limit
from codegen_runs.http.edge import endpoint
from codegen_runs.problems import AnswerTooLarge
from codegen_runs.storage.table import Table
from local.template import Template
from tests.support.events import CALLER, REQUEST_ID, TOKEN, Answer, call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire

PATH = "/v1/organizations/123/agent/run/7"
ROUTE = "/v1/organizations/{org_id}/agent/run/{agent_run_id}"
RUN = {"id": 7, "organization_id": 123}


def serve(operation: Callable[..., Any]) -> Answer:
    app = APIGatewayRestResolver(enable_validation=True)
    app.get("/operation")(operation)
    return call(endpoint(app), rest("GET", "/operation"))


def get(**headers: str) -> Answer:
    return call(handler("agent_runs/get"), rest("GET", PATH, resource=ROUTE, headers=headers))


def test_an_answer_has_the_gateways_request_id_and_the_allowed_origin(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_ORIGIN", "https://app.example")
    wire.answer(httpx.Response(200, json=RUN))

    answer = get()

    assert answer.headers["x-request-id"] == REQUEST_ID
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["content-type"] == "application/json"
    assert not {"ratelimit", "ratelimit-policy"} & answer.headers.keys()


def test_a_request_keeps_the_id_that_the_caller_sent(wire: Wire) -> None:
    wire.answer(httpx.Response(404, json={"message": "No.", "status_code": 404}))

    answer = get(**{"x-request-id": "trace-1.2_3"})

    assert answer.headers["x-request-id"] == "trace-1.2_3"
    assert answer.json["request_id"] == "trace-1.2_3"


@pytest.mark.parametrize("unfit", ["", "a b", "a\nb", "x" * 129, "<script>", "\u00e9"])
def test_an_id_that_is_unsafe_to_log_is_replaced(wire: Wire, unfit: str) -> None:
    wire.answer(httpx.Response(200, json=RUN))

    assert get(**{"X-Request-Id": unfit}).headers["x-request-id"] == REQUEST_ID


@pytest.mark.parametrize(
    "secret",
    [TOKEN, "sk-ant-made-up-0123456789abcdef", "ghp_madeup0123456789abcdefABCDEF", "AKIA" + "MADEUP0123456789"],
)
def test_a_secret_is_never_the_id_of_a_request(wire: Wire, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A caller can choose both ids: `X-Request-Id`, and API Gateway's own by `x-amzn-RequestId`."""
    wire.answer(httpx.Response(200, json=RUN))
    event = rest("GET", PATH, headers={"X-Request-Id": secret})
    chosen = event | {"requestContext": event["requestContext"] | {"requestId": secret, "extendedRequestId": "abc="}}

    with_header, with_both = call(handler("agent_runs/get"), event), call(handler("agent_runs/get"), chosen)

    assert with_header.headers["x-request-id"] == REQUEST_ID
    assert with_both.headers["x-request-id"] == "abc="
    assert secret not in capsys.readouterr().out


def test_an_unexpected_error_is_logged_and_not_described_in_the_answer(
    logs: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    def operation() -> dict[str, str]:
        raise LookupError(f"the entry of {TOKEN} is missing")

    answer = serve(operation)

    assert answer.status == 500
    assert answer.json["detail"] == "Internal server error."
    assert answer.json["request_id"] == REQUEST_ID
    assert "entry" not in answer.text
    fault, request = map(json.loads, (logs.getvalue() + capsys.readouterr().out).splitlines())
    assert (fault["level"], fault["exception_name"], fault["request_id"]) == ("ERROR", "LookupError", REQUEST_ID)
    assert "the entry of [token] is missing" in fault["exception"]
    assert "raise LookupError" in fault["exception"]
    assert (request["status"], request["code"]) == (500, "internal_error")


def test_a_refusal_of_storage_is_logged_with_its_reason_which_is_not_in_the_answer(
    deployed: Template, logs: StringIO
) -> None:
    class NoAccess(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(400, json={"__type": "com.amazonaws#AccessDeniedException"})

    def operation() -> Any:
        return Table("StarredRunsTable").get({"pk": "p", "sk": "s"})

    with aws.wire.over(NoAccess()):
        answer = serve(operation)

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (500, "storage_refused", False)
    assert "AccessDenied" not in answer.text
    assert "AccessDeniedException" in logs.getvalue()


def test_an_answer_that_the_operation_does_not_declare_is_an_internal_error(logs: StringIO) -> None:
    def operation() -> int:
        return "many"  # type: ignore[return-value]

    assert serve(operation).status == 500
    assert "RequestValidationError" in logs.getvalue()


def test_an_answer_that_cannot_be_serialized_is_an_internal_error() -> None:
    def operation() -> Any:
        return {"it": object()}

    assert serve(operation).status == 500


def test_an_answer_that_is_too_large_for_lambda_is_an_error(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=RUN | {"result": "x" * 7_000_000}))

    answer = get()

    assert answer.status == 502
    assert answer.json["code"] == "answer_too_large"
    assert "limit" in answer.json["remedy"]


def test_an_answer_may_have_six_mebibytes_as_json() -> None:
    answer: dict[str, Any] = {"statusCode": 200, "multiValueHeaders": {}, "isBase64Encoded": False, "body": ""}
    room = 6_291_456 - len(json.dumps(answer))

    assert within_limit(answer | {"body": "x" * room})
    assert within_limit(answer | {"body": '"' * (room // 2)})
    for body in ("x" * (room + 1), '"' * (room // 2 + 1)):
        with pytest.raises(AnswerTooLarge):
            within_limit(answer | {"body": body})


def test_a_large_answer_that_fits_is_sent(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=RUN | {"result": "x" * 5_000_000}))

    assert get().status == 200


def test_a_request_is_one_line_in_the_log(wire: Wire, logs: StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    wire.answer(httpx.Response(429, json={"message": "No.", "status_code": 429}))

    get()

    (line,) = map(json.loads, (logs.getvalue() + capsys.readouterr().out).splitlines())
    assert line["message"] == "request"
    assert {name: line[name] for name in ("request_id", "caller", "organization", "route", "status", "code")} == {
        "request_id": REQUEST_ID,
        "caller": CALLER.id,
        "organization": "123",
        "route": f"GET {ROUTE}",
        "status": 429,
        "code": "rate_limited",
    }


def test_no_log_contains_a_token_or_a_body(wire: Wire, logs: StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    wire.answer(httpx.Response(500, json={"message": "an answer", "result": "an answer"}))
    body = {"prompt": "a prompt", "images": ["data:image"], "metadata": {"a": "a secret"}}

    call(handler("agent_runs/create"), rest("POST", "/v1/organizations/123/agent/run", body=body))
    call(handler("agent_runs/create"), rest("POST", "/v1/organizations/123/agent/run", body=body | {"repo_id": "x"}))

    written = logs.getvalue() + capsys.readouterr().out
    for secret in (TOKEN, "a prompt", "data:image", "a secret", "an answer"):
        assert secret not in written


def test_a_request_counts_in_the_metrics(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    wire.answer(httpx.Response(500))

    get()

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["route"], line["message"]) == (f"GET {ROUTE}", "request")
    assert (line["Requests"], line["ServerErrors"], "ClientErrors" in line) == ([1], [1], False)
    assert line["Latency"][0] >= line["UpstreamLatency"][0] > 0
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_only_the_first_request_of_a_process_is_a_cold_start(capsys: pytest.CaptureFixture[str]) -> None:
    app = APIGatewayRestResolver()
    app.get("/operation")(dict)
    handle = endpoint(app)

    for _ in range(3):
        call(handle, rest("GET", "/operation"))

    assert [json.loads(line)["cold_start"] for line in capsys.readouterr().out.splitlines()] == [True, False, False]


def test_a_request_has_no_effect_on_the_log_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    app = APIGatewayRestResolver()
    app.get("/organizations/<org_id>/operation")(lambda org_id: {})
    app.get("/operation")(lambda: {"caller": "caller" in app.context})
    handle = endpoint(app, public=True)

    call(endpoint(app), rest("GET", "/organizations/123/operation"))

    assert call(handle, rest("GET", "/operation", caller=None)).json == {"caller": False}
    assert "organization" not in json.loads(capsys.readouterr().out.splitlines()[-1])


def test_an_error_is_logged_once(logs: StringIO, caplog: pytest.LogCaptureFixture) -> None:
    serve(lambda: 1 / 0)

    assert logs.getvalue().count("ZeroDivisionError: division by zero") == 1
    assert [record.name for record in caplog.records if "aws_lambda_powertools" in record.name] == []
