"""Requests that are refused before the operation gets them, with the exact answers."""

import base64
import json
from typing import Any

import pytest

from codegen_runs.http.admission import MAX_BODY
from tests.support.events import CALLER, REQUEST_ID, Answer, call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire

CREATE = "/v1/organizations/123/agent/run"


def create(**event: Any) -> Answer:
    return call(handler("agent_runs/create"), rest("POST", CREATE, **event))


def get(path: str, **event: Any) -> Answer:
    return call(handler("agent_runs/get"), rest("GET", path, **event))


def faults(answer: Answer) -> list[tuple[list[str], str]]:
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    return [(fault["loc"], fault["type"]) for fault in answer.json["detail"]]


def test_an_organization_without_the_caller_is_refused_with_the_upstreams_message(wire: Wire) -> None:
    answer = get("/v1/organizations/9/agent/run/7")

    assert answer.status == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "You do not have access to this organization.",
        "instance": "/v1/organizations/9/agent/run/7",
        "code": "not_a_member",
        "request_id": REQUEST_ID,
        "retryable": False,
        "remedy": "Ask for access, or use another token.",
        "message": "You do not have access to this organization.",
        "status_code": 403,
    }
    assert wire.requests == []


def test_the_organization_is_checked_before_the_body() -> None:
    malformed = rest("POST", "/v1/organizations/9/agent/run", body="{", headers={"Content-Type": "text/plain"})

    assert call(handler("agent_runs/create"), malformed).status == 403


@pytest.mark.parametrize("name", ["abc", "1.0", "-1", "+123", "%2B1", " 123", "123 ", "\u0661\u0662\u0663", "9" * 30])
def test_an_organization_that_is_not_a_number_is_an_error_in_the_path(name: str) -> None:
    answer = get(f"/v1/organizations/{name}/agent/run/7")

    assert faults(answer) == [(["path", "org_id"], "int_parsing")]


def test_a_request_without_the_authorizers_context_is_unauthorized() -> None:
    answer = get("/v1/organizations/123/agent/run/7", caller=None, headers={"Authorization": "Bearer abc"})

    assert answer.status == 401
    assert answer.json["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_path_without_an_operation_is_not_found() -> None:
    answer = get("/v1/organizations/123/agent/walk/7")

    assert answer.status == 404
    assert answer.json["code"] == "route_not_found"
    assert answer.json["message"] == "No such route."


def test_malformed_json_is_refused_with_the_position_of_the_error() -> None:
    answer = create(body='{"prompt": "x",}')

    assert answer.status == 422
    assert answer.json["detail"] == [
        {"loc": ["body"], "msg": "JSON decode error: trailing comma at line 1 column 16", "type": "json_invalid"}
    ]
    assert answer.json["status_code"] == 422
    assert answer.json["message"] == "body: JSON decode error: trailing comma at line 1 column 16"


@pytest.mark.parametrize(
    "body",
    [
        '{"prompt": "x", "metadata": {"a": NaN}}',
        '{"prompt": "\\ud800"}',
        '{"prompt": "x", "metadata": ' + "[" * 100_000,
        '{"repo_id": ' + "9" * 5_000 + "}",
        "   ",
    ],
    ids=["not a number", "half a character", "too deep", "too many digits", "blank"],
)
def test_text_that_is_only_similar_to_json_is_refused(body: str) -> None:
    assert faults(create(body=body)) == [(["body"], "json_invalid")]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_a_body_in_every_encoding_of_json_is_read(encoding: str, wire: Wire) -> None:
    body = json.dumps({"prompt": "Gr\u00fc\u00df \U0001f600", "repo_id": "x"}, ensure_ascii=False).encode(encoding)
    event = rest("POST", CREATE, body=base64.b64encode(body).decode()) | {"isBase64Encoded": True}

    answer = call(handler("agent_runs/create"), event)

    assert faults(answer) == [(["body", "repo_id"], "int_parsing")]


def test_a_byte_order_mark_in_a_text_is_skipped() -> None:
    assert faults(create(body='\ufeff{"repo_id": 1}')) == [(["body", "prompt"], "missing")]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{", b"\xff\xfe\x00\xd8", b"\x00\x00\xfe\xff\x00", b"\xef\xbb\xbf", b"\x00"]
)
def test_a_body_that_is_not_in_the_encoding_of_its_mark_is_refused(content: bytes) -> None:
    event = rest("POST", CREATE, body=base64.b64encode(content).decode()) | {"isBase64Encoded": True}

    assert faults(call(handler("agent_runs/create"), event)) == [(["body"], "json_invalid")]


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    event = rest("POST", CREATE, body=base64.b64encode(b'{"prompt": "\xff"}').decode())

    answer = call(handler("agent_runs/create"), event | {"isBase64Encoded": True})

    assert faults(answer) == [(["body"], "json_invalid")]


def test_a_number_that_json_does_not_know_is_refused() -> None:
    assert faults(create(body='{"prompt": "x", "metadata": {"a": [1e999]}}')) == [
        (["body", "metadata"], "finite_number")
    ]


@pytest.mark.parametrize("body", ['[{"prompt": "x"}]', '"x"', "7"])
def test_a_body_that_is_not_an_object_is_refused(body: str) -> None:
    assert faults(create(body=body)) == [(["body"], "model_attributes_type")]


def test_a_wrong_type_and_a_missing_field_are_named() -> None:
    answer = create(body={"repo_id": "many", "metadata": []})

    assert answer.json["detail"] == [
        {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "metadata"], "msg": "Input should be a valid dictionary", "type": "dict_type"},
        {
            "loc": ["body", "repo_id"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "type": "int_parsing",
        },
    ]


def test_a_missing_body_is_named() -> None:
    assert faults(create()) == [(["body"], "missing")]
    assert faults(create(body="null")) == [(["body"], "missing")]


def test_no_answer_about_an_invalid_body_repeats_its_content() -> None:
    answer = create(body={"prompt": {"password": "open sesame"}, "agent_type": "open sesame"})

    assert "sesame" not in answer.text


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(wire: Wire) -> None:
    frame = len('{"prompt":""}')
    at_the_limit = json.dumps({"prompt": "x" * (MAX_BODY - frame)}, separators=(",", ":"))
    assert len(at_the_limit) == MAX_BODY == 5_242_880

    answer = create(body=at_the_limit.replace("x", "xx", 1))

    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "body_too_large"
    assert answer.json["message"] == f"The request body has {MAX_BODY + 1} bytes; the limit is {MAX_BODY}."
    # The error about an unknown key shows that the operation's own validation was reached.
    assert create(body=at_the_limit.replace("prompt", "prompx")).status == 422


def test_the_limit_counts_bytes_not_characters() -> None:
    assert create(body=json.dumps({"prompt": "\u00e9" * (MAX_BODY // 2)}, ensure_ascii=False)).status == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_with_another_content_type_is_refused(content_type: str) -> None:
    answer = create(body={"prompt": "x"}, headers={"Content-Type": content_type})

    assert answer.status == 415
    assert answer.json["message"] == f"The request body is {content_type}."
    assert answer.json["remedy"] == "Send JSON with the header Content-Type: application/json."


@pytest.mark.parametrize("headers", [{"Content-Type": "application/json; charset=utf-8"}, {"Content-Type": ""}])
def test_a_body_with_the_content_type_of_json_or_none_is_read(headers: dict[str, str]) -> None:
    assert faults(create(body={}, headers=headers)) == [(["body", "prompt"], "missing")]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("skip=-1", (["query", "skip"], "greater_than_equal")),
        ("limit=0", (["query", "limit"], "greater_than_equal")),
        ("limit=101", (["query", "limit"], "less_than_equal")),
        ("limit=all", (["query", "limit"], "int_parsing")),
        ("user_id=me", (["query", "user_id"], "int_parsing")),
    ],
)
def test_the_query_has_the_upstreams_limits(query: str, fault: Any) -> None:
    answer = call(handler("agent_runs/list"), rest("GET", f"/v1/organizations/123/agent/runs?{query}"))

    assert faults(answer) == [fault]


def test_a_path_without_an_organization_uses_the_deployments(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    without = rest("POST", "/setup-commands", body={"repo_id": 456})

    monkeypatch.setenv("CODEGEN_ORG_ID", "9")
    assert call(handler("setup_commands/generate"), without).json["code"] == "not_a_member"

    monkeypatch.setenv("CODEGEN_ORG_ID", "")
    answer = call(handler("setup_commands/generate"), without)
    assert answer.status == 400
    assert answer.json["code"] == "no_default_organization"
    assert "CodegenOrgId" in answer.json["remedy"]
    assert wire.requests == []


def test_an_organization_in_the_body_without_the_caller_is_refused(wire: Wire) -> None:
    foreign = rest("POST", "/sandbox/analyze-logs", body={"sandbox_id": 31, "org_id": 9})

    assert call(handler("sandboxes/analyze_logs"), foreign).json["code"] == "not_a_member"
    assert CALLER.organizations == {123, 124}
    assert wire.requests == []
