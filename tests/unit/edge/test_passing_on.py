"""Requests that no other function serves: what is passed on to the Codegen API, what comes back, what is refused."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.http.admission import MAX_BODY
from codegen_runs.http.answers import MAX_ANSWER
from codegen_runs.roles import Role
from codegen_runs.storage.runs import RunsTable
from tests.support.events import CALLER, TOKEN, Answer, call, rest, working_with
from tests.support.handlers import handler
from tests.support.memory import MemoryRuns
from tests.support.wire import Wire

ORG = "/v1/organizations/123"


@pytest.fixture(autouse=True)
def runs() -> Iterator[MemoryRuns]:
    runs = MemoryRuns()
    with working_with(Backend(runs=cast(RunsTable, runs))):
        yield runs


def send(method: str, path: str, *, resource: str = "/v1/{proxy+}", **more: Any) -> Answer:
    return call(handler("passthrough/pass_on"), rest(method, path, resource=resource, **more))


def with_role(role: Role) -> Caller:
    return replace(CALLER, roles={123: role})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ORG}/claude_code/session", {"session_id": "a"}),
        ("POST", f"{ORG}/claude_code/session/0b1c-2d/status", {"status": "COMPLETE"}),
        ("POST", f"{ORG}/claude_code/session/0b1c-2d/log", {"log": {"deep": [None]}}),
        ("GET", f"{ORG}/tools", None),
        ("POST", f"{ORG}/tools/execute", {"tool_name": "echo", "arguments": {}}),
        ("GET", f"{ORG}/repositories", None),
        ("DELETE", f"{ORG}/tomorrow/caf%C3%A9:1", None),
        ("PUT", "/v1/beta/organizations/123/x", [1]),
        ("PATCH", "/v1/tomorrow", "text"),
    ],
)
def test_a_request_is_passed_on_as_the_caller_and_its_answer_comes_back(
    method: str, path: str, body: Any, wire: Wire
) -> None:
    wire.answer(httpx.Response(201, json={"new": [1.5, None]}))

    answer = send(method, f"{path}?a=1&a=2&b=", body=json.dumps(body) if body is not None else None)

    assert (answer.status, answer.json) == (201, {"new": [1.5, None]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["ratelimit"].startswith('"standard";')
    (request,) = wire.requests
    assert request.method == method
    assert str(request.url) == f"https://api.codegen.com{path}?a=1&a=2&b="
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.content == (json.dumps(body).encode() if body is not None else b"")


def test_only_the_media_type_of_a_requests_headers_is_passed_on(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))
    headers = {
        "Content-Type": "text/x-odd; charset=utf-8",
        "Cookie": "a=b",
        "X-Forwarded-Host": "evil.test",
        "X-API-Key": "another",
        "X-HTTP-Method-Override": "DELETE",
        "Idempotency-Key": "8e03978e",
        "If-None-Match": '"x"',
        "User-Agent": "browser",
    }

    send("POST", f"{ORG}/tools", body="odd", headers=headers)

    passed = wire.requests[0].headers
    assert passed["content-type"] == "text/x-odd; charset=utf-8"
    assert passed["host"] == "api.codegen.com"
    assert passed["user-agent"].startswith("codegen-api-python/")
    assert set(passed) <= {
        *("accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"),
        "x-request-id",
    }


def test_bytes_are_passed_on_as_they_came(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))
    event = rest("POST", f"{ORG}/images", resource="/v1/{proxy+}", headers={"Content-Type": "image/png"})
    event |= {"body": base64.b64encode(b"\x89PNG\xff").decode(), "isBase64Encoded": True}

    call(handler("passthrough/pass_on"), event)

    assert wire.requests[0].content == b"\x89PNG\xff"
    assert wire.requests[0].headers["content-type"] == "image/png"


def test_an_answer_without_a_body_has_no_media_type(wire: Wire) -> None:
    wire.answer(httpx.Response(204))

    answer = send("DELETE", f"{ORG}/tools")

    assert (answer.status, answer.text) == (204, "")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("reply", ["<p>Maintenance</p>", "not JSON"])
def test_a_text_comes_back_as_it_is(reply: str, wire: Wire) -> None:
    wire.answer(httpx.Response(200, text=reply))

    answer = send("GET", f"{ORG}/tools")

    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, reply, "text/plain; charset=utf-8")


def test_a_head_request_reads_and_has_no_body(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={"a": 1}))

    answer = send("HEAD", f"{ORG}/tools", caller=with_role(Role.VIEWER))

    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "", "application/json")
    assert wire.requests[0].method == "GET"


def test_an_answer_that_the_client_has_is_not_sent_again(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={"a": 1}))
    tag = send("GET", f"{ORG}/tools").headers["etag"]

    answer = send("GET", f"{ORG}/tools", headers={"If-None-Match": tag})

    assert (answer.status, answer.text) == (304, "")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/",
        "/V1/organizations/123/tools",
        "/v2/organizations/123/tools",
        "/organizations/123/tools",
        "/favicon.ico",
        "/admin/v1/x",
        f"{ORG}/tools/",
        f"{ORG}//tools",
        "//evil.test/v1/tools",
        "https://evil.test/v1/tools",
        "@evil.test/v1/tools",
        "/v1/../admin",
        f"{ORG}/../999/tools",
        f"{ORG}/./tools",
        f"{ORG}/..",
        f"{ORG}/..;/tools",
        f"{ORG}/%2e%2e/999/tools",
        f"{ORG}/%2E%2E%2F999/tools",
        f"{ORG}/tools%2F..%2F..%2F999",
        f"{ORG}/tools%5c..%5c999",
        f"{ORG}/tools\\..\\999",
        f"{ORG}/%252e%252e/999",
        f"{ORG}/agent/%72un",
        "/v1/%6frganizations/999/tools",
        f"{ORG}/caf%C3%A9%",
        f"{ORG}/caf\u00e9",
        f"{ORG}/a%00",
        f"{ORG}/a%0d%0aHost:%20evil.test",
        f"{ORG}/a;b=1",
        f"{ORG}/a%3Fb=1",
        f"{ORG}/a%23b",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_is_not_codegens_or_can_be_read_in_two_ways_is_not_found(
    path: str, method: str, wire: Wire
) -> None:
    event = rest(method, "/", resource="/{proxy+}") | {"path": path}

    answer = call(handler("passthrough/pass_on"), event)

    assert (answer.status, answer.json["code"], wire.requests) == (404, "route_not_found", [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_path_that_does_not_exist_needs_no_token(wire: Wire) -> None:
    answer = send("GET", "/nothing/here", resource="/{proxy+}", caller=None)

    assert (answer.status, answer.json["code"], answer.json["instance"]) == (404, "route_not_found", "/nothing/here")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "get", "PROPFIND"])
def test_other_methods_are_not_passed_on(method: str, wire: Wire) -> None:
    assert (send(method, f"{ORG}/tools").status, wire.requests) == (404, [])


def test_a_request_without_a_caller_is_unauthorized(wire: Wire) -> None:
    answer = send("GET", f"{ORG}/tools", caller=None)

    assert (answer.status, answer.json["code"], wire.requests) == (401, "unauthorized", [])


@pytest.mark.parametrize(
    "caller",
    [
        replace(CALLER, kind=DEPLOYMENT, token="", roles={123: Role.ADMIN}),
        replace(CALLER, kind=DEPLOYMENT, token="cgr_secret", roles={123: Role.ADMIN}),
        replace(CALLER, token=""),
    ],
    ids=["API token", "API token in the headers", "ticket"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_deployments_token_is_never_used(caller: Caller, method: str, wire: Wire) -> None:
    headers = {} if caller.token else {"Authorization": ""}

    answer = send(method, f"{ORG}/tools", caller=caller, headers=headers)

    assert (answer.status, answer.json["code"], wire.requests) == (403, "codegen_token_required", [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/organizations/999/tools", None),
        ("/v1/alpha/organizations/999/tools", None),
        ("/v1/beta/organizations/999/tools", None),
        ("/v1/organizations/123/organizations/999", None),
        ("/v1/tools?org_id=999", None),
        ("/v1/tools?org_id=123&org_id=999", None),
        ("/v1/tools?organization_id=%20999", None),
        (f"{ORG}/tools", {"org_id": 999}),
        (f"{ORG}/tools", {"organization_id": "999"}),
        ("/v1/tools", {"org_id": 999.0}),
        ("/v1/tools", '{"org_id": 123, "org_id": 999}'),
    ],
)
def test_another_organization_is_refused_wherever_the_request_names_it(path: str, body: Any, wire: Wire) -> None:
    answer = send("POST", path, body=body)

    assert (answer.status, answer.json["code"], wire.requests) == (403, "not_a_member", [])


def test_another_organization_in_utf_16_is_refused(wire: Wire) -> None:
    event = rest("POST", "/v1/tools", resource="/v1/{proxy+}", headers={"Content-Type": "application/json"})
    event |= {"body": base64.b64encode('{"org_id": 999}'.encode("utf-16")).decode(), "isBase64Encoded": True}

    answer = call(handler("passthrough/pass_on"), event)

    assert (answer.status, answer.json["code"], wire.requests) == (403, "not_a_member", [])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ORG}/tools", None),
        ("PUT", "/v1/beta/organizations/123/tools", None),
        ("DELETE", "/v1/tools?org_id=123", None),
        ("PATCH", "/v1/tools", {"org_id": 123}),
        ("POST", "/v1/tools", None),
    ],
)
def test_a_viewer_may_only_read(method: str, path: str, body: Any, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))
    viewer = with_role(Role.VIEWER)

    refused, read = send(method, path, body=body, caller=viewer), send("GET", path, caller=viewer)

    assert (refused.status, refused.json["code"]) == (403, "role_required")
    assert (read.status, [request.method for request in wire.requests]) == (200, ["GET"])


@pytest.mark.parametrize("role", [Role.MEMBER, Role.ADMIN])
def test_a_member_may_act(role: Role, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))

    for path in (f"{ORG}/tools", "/v1/tools"):
        assert send("POST", path, caller=with_role(role)).status == 200


def test_an_organization_that_is_not_a_number_is_invalid(wire: Wire) -> None:
    answer = send("GET", "/v1/organizations/mine/tools")

    assert (answer.status, answer.json["code"], wire.requests) == (422, "validation_failed", [])


@pytest.mark.parametrize("excess", [0, 1])
def test_a_request_body_has_a_limit(excess: int, wire: Wire) -> None:
    wire.answer(httpx.Response(200, json={}))

    answer = send("POST", f"{ORG}/tools", body="x" * (MAX_BODY + excess))

    assert answer.status == (413 if excess else 200)
    assert len(wire.requests) == 1 - excess


def test_a_compressed_body_is_refused_because_its_encoding_is_not_passed_on(wire: Wire) -> None:
    answer = send("POST", f"{ORG}/tools", body="x", headers={"Content-Encoding": "gzip"})

    assert (answer.status, answer.json["code"], wire.requests) == (415, "unsupported_media_type", [])


def test_an_answer_over_the_limit_is_not_read_to_its_end(wire: Wire) -> None:
    class Long(httpx.SyncByteStream):
        sent = 0

        def __iter__(self) -> Iterator[bytes]:
            while self.sent < 4 * MAX_ANSWER:
                self.sent += 2**20
                yield b"x" * 2**20

    stream = Long()
    wire.answer(lambda _: httpx.Response(200, stream=stream))

    answer = send("GET", f"{ORG}/tools")

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, "answer_too_large", False)
    assert stream.sent <= MAX_ANSWER + 2**20
    assert len(wire.requests) == 1


def test_an_answer_that_is_not_text_is_refused(wire: Wire) -> None:
    wire.answer(httpx.Response(200, content=b"\x89PNG\xff"))

    answer = send("GET", f"{ORG}/image")

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, "upstream_failed", False)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_not_followed(method: str, wire: Wire) -> None:
    wire.answer(httpx.Response(307, headers={"Location": "https://evil.test/v1/tools"}))

    answer = send(method, f"{ORG}/tools")

    assert (answer.status, len(wire.requests)) == (502, 1)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((400, "bad_request"), (401, "unauthorized"), (402, "quota_exceeded"), (403, "forbidden"), (404, "not_found")),
        *((405, "upstream_refused"), (409, "upstream_refused"), (422, "validation_failed"), (499, "upstream_refused")),
    ],
)
def test_a_refusal_keeps_its_status_and_its_message(status: int, code: str, wire: Wire) -> None:
    wire.answer(httpx.Response(status, json={"detail": "No."}))

    answer = send("POST", f"{ORG}/tools")

    assert (answer.status, answer.json["code"], answer.json["message"]) == (status, code, "No.")
    assert (answer.json["status_code"], answer.json["upstream"]["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "retryable"), [("GET", True), ("POST", False), ("PUT", False)])
def test_after_a_failure_only_a_request_that_reads_may_be_sent_again(method: str, retryable: bool, wire: Wire) -> None:
    wire.answer(httpx.Response(500, text="oops"))

    answer = send(method, f"{ORG}/tools")

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, "upstream_failed", retryable)
    assert len(wire.requests) == 1


def test_a_timeout_is_a_gateway_timeout(wire: Wire) -> None:
    wire.answer(httpx.ReadTimeout("slow"))

    answer = send("POST", f"{ORG}/tools")

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (504, "upstream_timeout", False)


def test_after_a_429_no_request_is_passed_on_for_a_while(wire: Wire) -> None:
    wire.answer(httpx.Response(429, json={"message": "Slow down.", "status_code": 429}, headers={"Retry-After": "30"}))

    first, second = send("POST", f"{ORG}/tools"), send("POST", f"{ORG}/tools")

    assert (first.status, first.json["code"], first.headers["retry-after"]) == (429, "rate_limited", "30")
    assert (second.status, second.json["code"]) == (429, "limit_used_up")


def test_the_line_of_a_request_has_neither_its_path_nor_its_body(
    wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.answer(httpx.Response(200, json={"answer": "hush"}))

    send("POST", f"{ORG}/secrets-hush?key=hush", body={"secret": "hush"})

    (line,) = capsys.readouterr().out.splitlines()
    assert "hush" not in line
    assert json.loads(line).items() >= {"route": "POST /v1/{proxy+}", "status": 200}.items()
