"""Posting to connections: what API Gateway's answers mean."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from codegen_runs.live import connections
from codegen_runs.live.connections import Congested, EffectUnknown, GatewayConnections, Gone
from local.fake_codegen.server import listen


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("WEBSOCKET_ENDPOINT", "https://connections.test/v0")
    connections._client.cache_clear()
    yield
    connections._client.cache_clear()


@pytest.fixture
def api() -> Iterator[Stubber]:
    with Stubber(connections._client()) as stubber:
        yield stubber


def test_a_frame_is_posted_to_its_connection(api: Stubber) -> None:
    api.add_response("post_to_connection", {}, {"ConnectionId": "ada=", "Data": b"{}"})
    GatewayConnections().post("ada=", b"{}")

    api.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("GoneException", 410, Gone),
        ("BadRequestException", 400, Gone),
        ("LimitExceededException", 429, Congested),
        ("ThrottlingException", 429, Congested),
        ("ForbiddenException", 403, Congested),
        ("InternalServerError", 500, EffectUnknown),
    ],
)
@pytest.mark.parametrize("operation", ["post", "close"])
def test_an_error_says_whether_the_frame_was_sent(
    code: str, status: int, meaning: type[Exception], operation: str, api: Stubber
) -> None:
    called = {"post": "post_to_connection", "close": "delete_connection"}[operation]
    api.add_client_error(called, code, http_status_code=status)
    with pytest.raises(meaning):
        GatewayConnections().post("ada=", b"{}") if operation == "post" else GatewayConnections().close("ada=")


def test_an_answer_that_does_not_come_leaves_the_effect_unknown(api: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    monkeypatch.setattr(connections._client(), "post_to_connection", time_out)
    with pytest.raises(EffectUnknown):
        GatewayConnections().post("ada=", b"{}")


def test_nobody_to_ask_means_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(0) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Congested):
        GatewayConnections().post("ada=", b"{}")


def test_a_post_is_never_repeated_by_the_client() -> None:
    assert connections._client().meta.config.retries["total_max_attempts"] == 1
