"""The token is only in the header of requests."""

import copy
import logging
import pickle
import socket
import threading
import traceback

import httpx
import pytest

import codegen_api
from codegen_api import AsyncCodegenAPI, CodegenAPI, CodegenAPIError, RetryPolicy

ONCE = RetryPolicy(max_retries=0)


def everything_in(error):
    """Return all text that can be reached from an error, its attributes and its causes."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), repr(error.args), repr(vars(error)), str(pickle.dumps(error))]
        parts += [repr(value) for value in vars(error).values()]
        assert not hasattr(error, "request")
        assert not hasattr(error, "response")
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


@pytest.mark.parametrize("client", [CodegenAPI, AsyncCodegenAPI])
def test_no_repr_of_a_client_or_its_parts_has_the_token(client, token):
    api = client(42, token, transport=httpx.MockTransport(lambda request: httpx.Response(200)))

    for shown in (api, api._driver.core, api._driver.core.token, vars(api), vars(api._driver.core)):
        assert token not in repr(shown)


@pytest.mark.parametrize("client", [CodegenAPI, AsyncCodegenAPI])
@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_neither_a_client_nor_its_token_can_be_pickled_or_copied(client, duplicate, token):
    api = client(42, token, transport=httpx.MockTransport(lambda request: httpx.Response(200)))

    with pytest.raises(TypeError, match="cannot be pickled"):
        duplicate(api)
    with pytest.raises(TypeError, match="cannot be pickled"):
        duplicate(api._driver.core.token)


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.DecodingError],
)
def test_an_error_of_the_http_library_does_not_lead_to_the_token(client, wire, token, failure, caplog):
    caplog.set_level(logging.DEBUG)
    wire.fails(failure, f"illegal header value b'Bearer {token}'")

    with pytest.raises(CodegenAPIError) as caught:
        client(lambda api: api.runs.get(7), retry=ONCE)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert token not in everything_in(caught.value)
    assert token not in "".join(traceback.format_exception(caught.value))
    assert token not in caplog.text


@pytest.mark.parametrize("status", [200, 307, 401, 500])
@pytest.mark.parametrize("content", ['{"detail": "Invalid token %s"}', "<p>%s", '{"id": "%s"}', "x" * 16_380 + "%s"])
def test_a_token_that_the_server_echoes_is_replaced(client, wire, token, status, content):
    wire.answers(status, content=(content % token).encode())

    with pytest.raises(CodegenAPIError) as caught:
        client(lambda api: api.runs.get(7), retry=ONCE)

    assert token[:8] not in everything_in(caught.value)


def test_the_log_has_each_attempt_without_token_query_and_body(client, wire, clock, run, token, caplog):
    caplog.set_level(logging.DEBUG)
    page = {"items": [run], "total": 1, "page": 1, "size": 100, "pages": 1}
    wire.answers(500, {"message": "hush"}, after=0.25).fails(httpx.ReadError).answers(200, page, after=1.5)

    client(lambda api: api.runs.list(source_type="hush"), org_id=42)

    path = "/v1/organizations/42/agent/runs"
    assert [record.getMessage() for record in caplog.records if record.name == "codegen_api"] == [
        f"GET {path} -> 500 (attempt 1, 250 ms)",
        f"GET {path} -> ReadError: scripted (attempt 2, 0 ms)",
        f"GET {path} -> 200 (attempt 3, 1500 ms)",
    ]
    assert token not in caplog.text


@pytest.fixture
def upstream():
    """A real server for one request, so that all layers of the HTTP library write to the log."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


def test_no_lower_layer_logs_the_token(upstream, token, caplog):
    caplog.set_level(logging.DEBUG)

    with CodegenAPI(42, token, upstream, retry=ONCE) as api, pytest.raises(CodegenAPIError):
        api.users.me()

    assert {record.name.split(".")[0] for record in caplog.records} >= {"codegen_api", "httpcore", "httpx"}
    assert token not in caplog.text
    assert all(token not in repr(vars(record)) for record in caplog.records)


def test_no_repr_of_a_webhook_or_a_slack_token_has_its_secret():
    secrets = [
        codegen_api.Webhook(url="https://hook.test", secret="hush"),
        codegen_api.SlackToken(token="hush", message="Connect my account: hush", expires_in_minutes=10),
    ]

    assert all("hush" not in repr(secret) + str(secret) for secret in secrets)
