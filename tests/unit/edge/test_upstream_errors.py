"""The answers to callers when the Codegen API fails or refuses a request."""

from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.problems import CredentialsRefused
from codegen_runs.storage.budgets import BudgetsTable
from codegen_runs.storage.runs import RunsTable
from tests.support.events import CALLER, REQUEST_ID, Answer, Context, call, rest, working_with
from tests.support.handlers import handler
from tests.support.memory import MemoryBudgets, MemoryRuns
from tests.support.wire import Reply, Wire


@pytest.fixture(autouse=True)
def _permits() -> Iterator[None]:
    """Keep the token buckets in memory."""
    with working_with(Backend(runs=cast(RunsTable, MemoryRuns()), budgets=cast(BudgetsTable, MemoryBudgets()))):
        yield


LOOK_FIRST = "Check whether it took effect, for example in the list of runs, before you send it again."


def get(caller: Caller = CALLER, **more: Any) -> Answer:
    return call(handler("agent_runs/get"), rest("GET", "/v1/organizations/123/agent/run/7", caller=caller), **more)


def create() -> Answer:
    return call(handler("agent_runs/create"), rest("POST", "/v1/organizations/123/agent/run", body={"prompt": "x"}))


def refusal(status: int, message: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"message": message, "status_code": status}, headers=headers)


def test_an_unknown_run_is_not_found_with_the_upstreams_message(wire: Wire) -> None:
    wire.answer(refusal(404, "Agent run not found.", **{"X-Request-Id": "upstream-1"}))

    answer = get()

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "Agent run not found.",
        "instance": "/v1/organizations/123/agent/run/7",
        "code": "not_found",
        "request_id": REQUEST_ID,
        "retryable": False,
        "remedy": "Check the id.",
        "message": "Agent run not found.",
        "status_code": 404,
        "upstream": {"status": 404, "message": "Agent run not found.", "request_id": "upstream-1"},
    }


@pytest.mark.parametrize(
    ("reply", "status", "code", "message", "retryable"),
    [
        (refusal(400, "Invalid input"), 400, "bad_request", "Invalid input", False),
        (httpx.Response(401, json={"detail": "Invalid token."}), 401, "unauthorized", "Invalid token.", False),
        (refusal(402, "Please upgrade your plan."), 402, "quota_exceeded", "Please upgrade your plan.", False),
        (refusal(403, "You do not have access."), 403, "forbidden", "You do not have access.", False),
        (refusal(404, "No repos found."), 404, "not_found", "No repos found.", False),
        (refusal(429, "Rate limit exceeded."), 429, "rate_limited", "Rate limit exceeded.", True),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
@pytest.mark.parametrize("operation", [get, create])
def test_a_refusal_keeps_its_status_and_its_message(
    wire: Wire, reply: httpx.Response, operation: Any, status: int, code: str, message: str, retryable: bool
) -> None:
    wire.answer(reply)

    answer = operation()

    assert answer.status == status
    assert (answer.json["code"], answer.json["message"], answer.json["detail"]) == (code, message, message)
    assert answer.json["status_code"] == status
    assert answer.json["retryable"] is retryable
    assert answer.json["upstream"] == {"status": status, "message": message, "request_id": None}


def test_the_upstreams_validation_errors_are_passed_on(wire: Wire) -> None:
    fault = {"loc": ["body", "repo_id"], "msg": "No such repository", "type": "value_error", "input": "secret"}
    wire.answer(httpx.Response(422, json={"detail": [fault]}))

    answer = create()

    assert answer.status == 422
    assert answer.json["detail"] == [fault]
    assert answer.json["errors"] == [{"pointer": "/body/repo_id", "detail": "No such repository"}]


@pytest.mark.parametrize("body", [{"detail": "No."}, {"detail": [{"oops": 1}, "x"]}, "No."])
def test_a_422_in_another_form_is_still_a_422(wire: Wire, body: Any) -> None:
    wire.answer(httpx.Response(422, json=body))

    answer = create()

    assert answer.status == 422
    assert isinstance(answer.json["detail"], str)


@pytest.mark.parametrize("status", [429, 503])
def test_the_upstreams_retry_after_is_passed_on(wire: Wire, status: int) -> None:
    wire.answer(refusal(status, "Later.", **{"Retry-After": "17"}))

    answer = get()

    assert answer.status == status
    assert answer.headers["retry-after"] == "17"
    assert answer.json["retryable"] is True


@pytest.mark.parametrize(
    ("reply", "status", "code", "message"),
    [
        (refusal(500, "Oops."), 502, "upstream_failed", "The Codegen API failed with status 500."),
        (refusal(503, "Down."), 502, "upstream_failed", "The Codegen API failed with status 503."),
        (httpx.ReadTimeout("slow"), 504, "upstream_timeout", "The Codegen API did not respond in time."),
        (httpx.ReadError("broken"), 502, "upstream_failed", "Could not reach the Codegen API."),
        (
            httpx.Response(200, text="<html>Welcome</html>"),
            502,
            "upstream_failed",
            "The Codegen API returned an answer that cannot be used.",
        ),
        (
            httpx.Response(200, json={"id": "seven"}),
            502,
            "upstream_failed",
            "The Codegen API returned an answer that cannot be used.",
        ),
        (
            httpx.Response(200, text='{"id": 7, "organi'),
            502,
            "upstream_failed",
            "The Codegen API returned an answer that cannot be used.",
        ),
    ],
    ids=["500", "503", "timeout", "cut", "page", "other shape", "half"],
)
def test_a_failure_is_retryable_only_if_a_retry_is_safe(
    wire: Wire, reply: Reply, status: int, code: str, message: str
) -> None:
    wire.answer(reply)

    read, started = get(), create()

    for answer in (read, started):
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json["code"], answer.json["message"]) == (code, message)
        assert answer.json["status_code"] == status
    assert read.json["retryable"] is True
    assert (started.json["retryable"], started.json["remedy"]) == (False, LOOK_FIRST)


def test_a_run_that_was_certainly_not_started_can_be_retried(wire: Wire) -> None:
    wire.answer(httpx.ConnectError("refused"))

    answer = create()

    assert (answer.status, answer.json["retryable"]) == (502, True)


def test_an_html_answer_of_a_proxy_is_a_bad_gateway(wire: Wire) -> None:
    wire.answer(httpx.Response(502, html="<html><h1>502 Bad Gateway</h1></html>"))

    assert (get().status, get().json["upstream"]["status"]) == (502, 502)


@pytest.mark.parametrize("status", [405, 410, 418])
def test_an_unexpected_refusal_is_a_bad_gateway(wire: Wire, status: int) -> None:
    wire.answer(refusal(status, "What?"))

    assert (get().status, get().json["upstream"]["status"]) == (502, status)


def test_nothing_is_sent_if_no_time_is_left(wire: Wire) -> None:
    answer = get(context=Context(milliseconds_left=900))

    assert answer.status == 504
    assert answer.json["code"] == "upstream_timeout"
    assert wire.requests == []


def test_a_refusal_of_the_deployments_own_token_is_never_a_401(wire: Wire) -> None:
    wire.answer(CredentialsRefused("The Codegen API refused the deployment's credentials."))

    answer = get()

    assert answer.status == 502
    assert answer.json["code"] == "upstream_refused_deployment"
    assert answer.json["retryable"] is False


def test_a_missing_setting_is_an_internal_error(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEGEN_BASE_URL")

    answer = get()

    assert answer.status == 500
    assert "CODEGEN" not in answer.text
