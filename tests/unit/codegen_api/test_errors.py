"""Exceptions for error responses and failed requests."""

import copy
import pickle

import httpx
import pytest

import codegen_api
from codegen_api import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CodegenAPIError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    ValidationError,
    _errors,
)
from codegen_api._retry import read_retry_after

ONCE = RetryPolicy(max_retries=0)
PROBLEMS = [
    {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"},
    {"loc": ["query", 0], "msg": "Input should be less than or equal to 100", "type": "less_than_equal"},
]


def refused(client, operation=lambda api: api.runs.get(7), **options):
    with pytest.raises(CodegenAPIError) as caught:
        client(operation, retry=ONCE, **options)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, QuotaExceededError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (501, NotSupportedError),
        (422, ValidationError),
        (429, RateLimitError),
        (500, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
def test_each_error_status_raises_its_own_exception(client, wire, status, kind):
    body = {"message": "No.", "status_code": status}
    wire.answers(status, body, headers={"x-request-id": "r-1"})

    error = refused(client)

    assert type(error) is kind
    assert (error.status_code, error.body, error.request_id, error.message) == (status, body, "r-1", "No.")
    assert error.summary == f"{status}: No."
    assert str(error).startswith(error.summary)
    assert (error.method, error.path) == ("GET", "/v1/organizations/42/agent/run/7")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "Agent run not found.", "status_code": 404}, "Agent run not found."),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": PROBLEMS},
            "body.prompt: Field required; query.0: Input should be less than or equal to 100",
        ),
        ({"detail": ["odd"]}, "odd"),
        ({"detail": {"odd": 1}}, "Not Found"),
        ({}, "Not Found"),
        ([], "Not Found"),
        (None, "Not Found"),
        ("Gone fishing", "Gone fishing"),
    ],
)
def test_the_message_is_read_from_both_formats_of_body(client, wire, body, message):
    wire.answers(404, body)

    assert refused(client).message == message


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"", None),
        (b" \n", None),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 5000, "[" * 5000),
    ],
    ids=["empty", "blank", "html", "not text", "too deep"],
)
def test_a_body_that_is_not_json_is_kept_as_text(client, wire, content, body):
    wire.answers(502, content=content)

    assert refused(client).body == body


def test_an_error_keeps_at_most_16384_characters_of_the_body(client, wire):
    wire.answers(500, {"message": "x" * 1_000_000})

    error = refused(client)

    assert len(error.body) == 16_384
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sat, 21 Jun 2025 11:20:30 +99999999999999999999"}, None),
        (
            {"retry-after": "Sat, 21 Jun 2025 11:20:30 GMT", "date": "Sat, 21 Jun 2025 11:20:04 GMT"},
            26.0,
        ),
        (
            {"retry-after": "Sat, 21 Jun 2025 11:20:00 GMT", "date": "Sat, 21 Jun 2025 11:20:04 GMT"},
            0.0,
        ),
    ],
)
def test_retry_after_may_be_a_number_or_a_date(client, wire, headers, seconds):
    wire.answers(429, {}, headers=headers)

    assert refused(client).retry_after == seconds


def test_without_a_date_header_retry_after_is_relative_to_now():
    assert read_retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, now=40.0) == 60.0


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectError, APIConnectionError),
        (httpx.ReadError, APIConnectionError),
        (httpx.RemoteProtocolError, APIConnectionError),
        (httpx.ConnectTimeout, APITimeoutError),
        (httpx.ReadTimeout, APITimeoutError),
        (httpx.PoolTimeout, APITimeoutError),
        (httpx.DecodingError, InvalidResponseError),
    ],
)
@pytest.mark.parametrize(("reason", "suffix"), [("the reason", ": the reason"), ("", "")])
def test_a_missing_response_raises_an_error_with_the_reason(client, wire, failure, kind, reason, suffix):
    wire.fails(failure, reason)

    error = refused(client)

    assert type(error) is kind
    assert error.summary == failure.__name__ + suffix
    assert error.status_code is None


@pytest.mark.parametrize(
    ("failure", "unknown"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.WriteError, True),
        (httpx.ReadTimeout, True),
        (httpx.ReadError, True),
        (httpx.RemoteProtocolError, True),
        (httpx.DecodingError, True),
    ],
)
def test_an_error_without_a_response_says_whether_the_post_may_have_had_an_effect(client, wire, failure, unknown):
    wire.fails(failure).fails(failure)

    assert refused(client, lambda api: api.runs.create("Do it")).effect_unknown is unknown
    assert refused(client, lambda api: api.runs.get(7)).effect_unknown is False


@pytest.mark.parametrize(
    ("status", "unknown"), [(200, True), (307, False), (402, False), (429, False), (500, True), (503, True)]
)
def test_an_error_status_says_whether_the_post_may_have_had_an_effect(client, wire, status, unknown):
    wire.answers(status, {}).answers(status, {})

    assert refused(client, lambda api: api.runs.create("Do it")).effect_unknown is unknown
    assert refused(client, lambda api: api.runs.get(7)).effect_unknown is False


def test_a_redirect_is_not_followed_with_the_token(client, wire):
    wire.answers(307, {}, headers={"location": "https://elsewhere.test/"})

    error = refused(client)

    assert isinstance(error, InvalidResponseError)
    assert "base URL" in str(error)
    assert wire.only.url.host == "codegen.test"


@pytest.mark.parametrize("duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_pickled_and_copied(client, wire, duplicate):
    wire.answers(429, {"message": "Slow down."}, headers={"retry-after": "9"})
    error = refused(client, lambda api: api.runs.create("Do it"))

    again = duplicate(error)

    assert type(again) is RateLimitError
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_tree_in_the_docstring_is_the_tree_of_classes():
    def branch(kind):
        return {kind.__name__: [branch(child) for child in kind.__subclasses__()]}

    drawn: list[tuple[int, str]] = []
    for line in _errors.__doc__.splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name and line.startswith("    ") and line.strip(" │├└─").startswith(name):
            drawn.append(((line.index(name) - 4) // 4, name))
    root: dict = {}
    path = [root]
    for depth, name in drawn:
        node: dict = {name: []}
        if depth == 0:
            root = node
            path = [root]
            continue
        path = path[:depth]
        next(iter(path[-1].values())).append(node)
        path.append(node)

    assert root == branch(CodegenAPIError)
    assert {name for _, name in drawn} <= set(codegen_api.__all__)
