"""The clients with which the functions call the Codegen API."""

from collections.abc import Iterator

import boto3
import httpx
import pytest

from codegen_api import AuthenticationError
from codegen_runs import upstream
from codegen_runs.aws import wire as wire_to_aws
from codegen_runs.callers import Caller
from codegen_runs.clock import Stopwatch, waiting_for_codegen
from codegen_runs.problems import CredentialsRefused, NoDeploymentToken, StorageUnavailable
from tests.support import aws
from tests.support.wire import Wire

ME = {"id": 1, "github_user_id": "1", "github_username": "ada"}


class Secret:
    """The deployment's token in Secrets Manager."""

    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager")
        self._client.create_secret(Name="the-secret", SecretString="first-token\n")

    def rotate(self, token: str) -> None:
        self._client.put_secret_value(SecretId="the-secret", SecretString=token)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Secret]:
    for name, value in {**aws.ENVIRONMENT, "CODEGEN_TOKEN_SECRET": "the-secret"}.items():
        monkeypatch.setenv(name, value)
    upstream.deployment_token.forget()
    with aws.in_memory():
        yield Secret()
    upstream.deployment_token.forget()


def accepting(token: str) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        good = request.headers["authorization"] == f"Bearer {token}"
        return httpx.Response(200, json=ME) if good else httpx.Response(401, json={"detail": "Invalid token."})

    return httpx.MockTransport(answer)


def test_requests_use_the_callers_token(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=ME))

    upstream.for_caller(Caller(id="user:1", user_id=1, organizations=frozenset(), token="a-token")).users.me()

    assert wire.requests[-1].headers["authorization"] == "Bearer a-token"


def test_a_refused_token_of_the_caller_is_a_401() -> None:
    with upstream.over(accepting("other")), pytest.raises(AuthenticationError):
        upstream.for_token("a-token").users.me()


def test_the_deployment_uses_the_token_in_its_secret(secret: Secret) -> None:
    with upstream.over(accepting("first-token")):
        assert upstream.for_deployment().users.me().id == 1


def test_a_caller_without_a_codegen_token_uses_the_deployments(secret: Secret) -> None:
    with upstream.over(accepting("first-token")):
        assert upstream.for_caller(Caller(id="key:1", user_id=1, organizations=frozenset())).users.me().id == 1


def test_a_rotated_token_is_read_again_within_the_same_request(secret: Secret) -> None:
    api = upstream.for_deployment()
    secret.rotate("second-token")

    with upstream.over(accepting("second-token")):
        assert api.users.me().id == 1


def test_a_valid_token_is_not_read_again(secret: Secret) -> None:
    api = upstream.for_deployment()
    secret.rotate("second-token")

    with upstream.over(accepting("first-token")):
        assert api.users.me().id == 1


def test_a_refused_token_of_the_deployment_is_reported(secret: Secret) -> None:
    with upstream.over(accepting("another-token")), pytest.raises(CredentialsRefused):
        upstream.for_deployment().users.me()


@pytest.mark.parametrize("token", [None, " \n"], ids=["no secret", "blank"])
def test_a_missing_token_of_the_deployment_is_reported_with_a_remedy(
    secret: Secret, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is None:
        monkeypatch.setenv("CODEGEN_TOKEN_SECRET", "no-secret")
    else:
        secret.rotate(token)

    with pytest.raises(NoDeploymentToken, match=r"has no Codegen token of its own\.$") as refusal:
        upstream.for_deployment()

    assert (refusal.value.status, refusal.value.code) == (502, "no_deployment_token")
    assert "CodegenTokenSecret" in refusal.value.remedy


def test_an_unreadable_secret_is_unavailable_storage(secret: Secret) -> None:
    denied = httpx.MockTransport(lambda _: httpx.Response(400, json={"__type": "AccessDeniedException"}))

    with wire_to_aws.over(denied), pytest.raises(StorageUnavailable, match=r"token could not be read\.$"):
        upstream.for_deployment()


def test_the_client_has_the_settings_of_the_deployment(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_BASE_URL", "http://elsewhere.test/v1/")
    monkeypatch.setenv("CODEGEN_TIMEOUT", "7.5")
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "1")
    wire.answer(httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(200, json=ME))

    upstream.for_token("a-token").users.me()

    assert [str(request.url) for request in wire.requests] == ["http://elsewhere.test/v1/users/me"] * 2
    assert wire.requests[0].extensions["timeout"]["read"] == 7.5


def test_a_deadline_limits_every_wait(wire: Wire) -> None:
    wire.answer(httpx.Response(200, json=ME))

    upstream.for_token("a-token", deadline=3.0).users.me()

    assert wire.requests[0].extensions["timeout"].get("read") <= 3.0


def test_the_time_in_which_a_body_arrives_is_spent_waiting_for_codegen(wire: Wire) -> None:
    seconds = []

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for part in (b'{"id": 1, "github_user_id": "1", ', b'"github_username": "ada"}'):
                seconds.append(waiting_for_codegen.seconds)
                yield part

    wire.answer(lambda _: httpx.Response(200, stream=Body()))

    upstream.for_token("a-token").users.me()

    before_first, before_second = seconds
    assert before_first < before_second < waiting_for_codegen.seconds


def test_a_stopwatch_measures_the_time_in_which_any_block_ran() -> None:
    moments = iter([1.0, 4.0, 10.0, 11.0])
    watch = Stopwatch(now=lambda: next(moments))

    with watch, watch:
        pass
    with watch:
        pass

    assert watch.seconds == 3.0 + 1.0
