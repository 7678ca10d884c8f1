"""The credentials of a function: in the environment, or from a service on its host."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.utils import ContainerMetadataFetcher

from codegen_runs.aws.credentials import FunctionCredentials, NoCredentials
from codegen_runs.wire import Wire

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
URL = "http://127.0.0.1:9001/v1/credentials"
VARIABLES = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
]


class Host(httpx.BaseTransport):
    """The service on the host. Its credentials are valid for an hour.

    Attributes:
        requests: The requests that it answered.
        failures: What it answers first.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.requests: list[httpx.Request] = []
        self.failures: list[httpx.Response | httpx.TransportError] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, httpx.TransportError):
                raise failure
            return failure
        return httpx.Response(200, json=self.credentials(f"ASIA{len(self.requests)}"))

    def credentials(self, key: str) -> dict[str, Any]:
        expiration = f"{self.now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        return {"AccessKeyId": key, "SecretAccessKey": "not-a-secret", "Token": "session", "Expiration": expiration}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", URL)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-hosts-token")
    return Host()


@pytest.fixture
def credentials(host: Host) -> Iterator[FunctionCredentials]:
    wire = Wire()
    with wire.over(host):
        yield FunctionCredentials(wire)


def test_the_environment_comes_first(
    host: Host, credentials: FunctionCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    found = credentials.at(NOW)

    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("AKIDEXAMPLE", "not-a-secret", None)
    assert not host.requests


def test_a_function_with_snapstart_asks_its_host(host: Host, credentials: FunctionCredentials) -> None:
    found = credentials.at(NOW)

    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("ASIA1", "not-a-secret", "session")
    assert str(host.requests[0].url) == URL
    assert host.requests[0].headers["authorization"] == "the-hosts-token"


def test_the_token_may_be_in_a_file(
    host: Host, credentials: FunctionCredentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    credentials.at(NOW)

    assert host.requests[0].headers["authorization"] == "from-the-file"


def test_credentials_are_fetched_again_before_they_expire(host: Host, credentials: FunctionCredentials) -> None:
    found = []
    for minutes in (0, 44, 46):
        host.now = NOW + timedelta(minutes=minutes)
        found.append(credentials.at(host.now).access_key_id)

    assert found == ["ASIA1", "ASIA1", "ASIA2"]


def test_valid_credentials_survive_a_host_that_fails(host: Host, credentials: FunctionCredentials) -> None:
    credentials.at(NOW)
    host.failures = [httpx.ConnectError("refused")] * 6

    assert credentials.at(NOW + timedelta(minutes=59)).access_key_id == "ASIA1"
    with pytest.raises(NoCredentials, match="not answered: ConnectError"):
        credentials.at(NOW + timedelta(minutes=60))


def test_a_host_is_asked_three_times(host: Host, credentials: FunctionCredentials) -> None:
    host.failures = [httpx.ReadTimeout("too slow"), httpx.Response(500)]

    assert credentials.at(NOW).access_key_id == "ASIA3"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"AccessKeyId": "ASIA"}),
        httpx.Response(200, json=Host().credentials("ASIA") | {"Expiration": "tomorrow"}),
    ],
)
def test_an_answer_that_is_no_credentials_is_refused(
    host: Host, credentials: FunctionCredentials, answer: httpx.Response
) -> None:
    host.failures = [answer]
    with pytest.raises(NoCredentials, match="cannot be read"):
        credentials.at(NOW)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://localhost:9001/",
        "http://[::1]:9001/",
        "http://127.9.9.9/",
        "http://169.254.170.2/v2",
        "http://169.254.170.23/v1",
        "http://[fd00:ec2::23]/v1",
        "https://credentials.example/",
        "http://credentials.example/",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://127.0.0.1.example/",
    ],
)
def test_the_token_is_sent_to_the_hosts_that_botocore_allows(
    url: str, host: Host, credentials: FunctionCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    try:
        ContainerMetadataFetcher(session=object())._validate_allowed_url(url)
    except ValueError:
        with pytest.raises(NoCredentials, match="which is not on this host"):
            credentials.at(NOW)
        assert not host.requests
    else:
        credentials.at(NOW)
        assert len(host.requests) == 1


def test_a_function_without_credentials_says_so(
    credentials: FunctionCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    with pytest.raises(NoCredentials, match="no AWS_ACCESS_KEY_ID and no AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        credentials.at(NOW)


def test_a_secret_is_not_shown(credentials: FunctionCredentials) -> None:
    assert "not-a-secret" not in repr(credentials.at(NOW))
    assert "session=" not in repr(credentials.at(NOW))
