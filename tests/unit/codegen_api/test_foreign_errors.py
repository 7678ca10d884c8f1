"""Whatever an argument, a setting or the environment is, the client raises errors of its own."""

from datetime import datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import (
    APIConnectionError,
    AsyncCodegenAPI,
    CodegenAPI,
    CodegenAPIError,
    ConfigurationError,
    InvalidArgumentError,
    RetryPolicy,
)

NO_IDS = ["#5", " 5", "٣", "user_123", "", "7/../8", "9" * 5000, -1, 10**30, 10**6000, True, None, 1.5, b"5"]
NO_NAMES = ["..", ".hidden", "a/b", "a b", "ä", "", None, 5]
IDS = [
    lambda api, value: api.runs.get(value),
    lambda api, value: api.runs.get(7, org_id=value or "no"),
    lambda api, value: api.users.update_user(value, role="admin"),
    lambda api, value: api.members.update(value, role="admin"),
    lambda api, value: api.run_cards.get(value),
    lambda api, value: api.checkpoints.create(value),
    lambda api, value: api.get_task(value),
]
NAMES = [
    lambda api, value: api.agents.get(value),
    lambda api, value: api.multi_runs.get(value),
    lambda api, value: api.checkpoints.get(value),
    lambda api, value: api.users.revoke_api_token(value),
]


@pytest.fixture
def deployment(wire):
    return wire.answers(200, {"service": "codegen-runs"})


@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: repr(value)[:12] if not isinstance(value, int) else "int")
@pytest.mark.parametrize("call", IDS)
def test_what_is_no_id_is_refused(client, wire, call, value):
    with pytest.raises(InvalidArgumentError, match="not an id") as caught:
        client(lambda api: call(api, value))
    assert len(str(caught.value)) < 100
    assert all(request.url.path == "/health" for request in wire.requests)


@pytest.mark.parametrize("value", NO_NAMES)
@pytest.mark.parametrize("call", NAMES)
def test_what_is_no_name_is_refused(client, deployment, call, value):
    with pytest.raises(InvalidArgumentError, match="not an id"):
        client(lambda api: call(api, value))


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.run_cards.list(query="\ud800"),
        lambda api: api.run_cards.list(query="x" * 100_000),
        lambda api: api.usage.get(datetime.min),
        lambda api: api.usage.get(5),
        lambda api: api.runs.create("x", idempotency_key=5),
        lambda api: api.runs.create("x", idempotency_key="\n"),
        lambda api: api.runs.create("x", metadata={"a": object()}),
        lambda api: api.runs.create(None),
        lambda api: api.with_more(query={"\ud800": 1}).runs.get(7),
        lambda api: api.request("GET", "/v1/\ud800"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_refused(client, deployment, call):
    with pytest.raises(InvalidArgumentError):
        client(call)


@given(st.text())
def test_any_text_is_an_id_or_is_refused(text):
    answer = {"id": 7, "organization_id": 42}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with CodegenAPI(42, "sk-fake-token", "https://codegen.test", transport=transport) as api:
        try:
            assert api.runs.get(text).id == 7
        except InvalidArgumentError:
            assert not (text.isascii() and text.isdecimal() and len(text) < 19)


@pytest.mark.parametrize(
    "url",
    [
        "http://" + "a" * 64 + ".test",
        "http://a..b",
        "http://.test",
        "http://xn--a.test",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://\ud800",
        5,
    ],
)
def test_an_address_that_no_server_can_have_is_an_error_of_the_configuration(url):
    for kind in (CodegenAPI, AsyncCodegenAPI):
        with pytest.raises(ConfigurationError, match="the argument base_url"):
            kind(42, "sk-fake-token", url)


@given(st.text(max_size=80))
def test_any_base_url_works_or_is_an_error_of_the_configuration(text):
    try:
        CodegenAPI(42, "sk-fake-token", f"http://{text}", transport=httpx.MockTransport(lambda _: None)).close()
    except ConfigurationError:
        return


def test_a_key_log_that_cannot_be_written_names_its_variable(monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", "/gone/keys.log")
    with pytest.raises(ConfigurationError, match="SSLKEYLOGFILE"):
        CodegenAPI(42, "sk-fake-token", "https://codegen.test")


def test_a_server_that_is_not_there_is_named_with_the_setting_that_chose_it(client, wire, monkeypatch):
    monkeypatch.setenv("CODEGEN_BASE_URL", "http://127.0.0.1:9")
    wire.fails(httpx.ConnectError, "[Errno 111] Connection refused")

    with pytest.raises(APIConnectionError) as caught:
        client(lambda api: api.users.me(), base_url=None, retry=RetryPolicy(max_retries=0))

    assert str(caught.value) == (
        "ConnectError: [Errno 111] Connection refused. Check that the server is running and that its address is right: "
        "http://127.0.0.1:9, from CODEGEN_BASE_URL."
    )
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("status", "sent", "text"),
    [
        (
            401,
            {"message": "Not authenticated.", "remedy": "Send a token."},
            "401: Not authenticated. The server https://codegen.test refused CODEGEN_API_TOKEN: check that it is a "
            "token of this server and not expired.",
        ),
        (
            403,
            {"message": "No.", "code": "not_a_member"},
            "403: No. This is about organization 42, from CODEGEN_ORG_ID.",
        ),
        (404, {"message": "No run 7", "remedy": "List the runs."}, "404: No run 7. List the runs."),
        (500, {"message": "Broken.", "retryable": False}, "500: Broken."),
    ],
)
def test_an_error_says_what_to_do(client, wire, monkeypatch, status, sent, text):
    monkeypatch.setenv("CODEGEN_API_TOKEN", "sk-fake-token")
    monkeypatch.setenv("CODEGEN_ORG_ID", "42")
    wire.answers(status, sent, headers={"x-request-id": "r-1"})

    with pytest.raises(CodegenAPIError) as caught:
        client(lambda api: api.runs.get(7), token=None, org_id=None)

    error = caught.value
    assert str(error) == text
    assert (error.status_code, error.request_id, error.body, error.code) == (status, "r-1", sent, sent.get("code"))
    assert error.retryable is False


def test_the_organization_of_a_call_is_named_as_an_argument(client, wire):
    wire.answers(403, {"message": "No."})

    with pytest.raises(CodegenAPIError, match="organization 43, from the argument org_id"):
        client(lambda api: api.runs.get(7, org_id=43))


@pytest.mark.parametrize("token", ["1", "run", "e"])
def test_a_very_short_token_does_not_take_an_error_to_pieces(client, wire, token):
    wire.answers(404, {"message": f"There is no run 1 here. The token is {token}."})

    with pytest.raises(CodegenAPIError) as caught:
        client(lambda api: api.runs.get(7), token=token)

    assert caught.value.message.startswith("There is no ")
    assert caught.value.message.endswith("here. The token is [token].")
    assert caught.value.status_code == 404
