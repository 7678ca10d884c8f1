"""Posting to connections: what API Gateway's answers mean."""

from collections.abc import Iterator

import httpx
import pytest

from codegen_runs import aws
from codegen_runs.live.connections import Congested, EffectUnknown, GatewayConnections, Gone
from local.loopback import listen
from tests.support.aws import ENVIRONMENT


class Gateway(httpx.BaseTransport):
    """API Gateway's management API: keeps what it is asked, and answers what a test wants."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: httpx.Response | httpx.TransportError = httpx.Response(200)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, httpx.TransportError):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBSOCKET_ENDPOINT", "https://connections.test/v0")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    with aws.wire.over(gateway):
        yield gateway


def test_a_frame_is_posted_to_its_connection(gateway: Gateway) -> None:
    GatewayConnections().post("ada=", b"{}")

    (request,) = gateway.requests
    assert (request.method, str(request.url)) == ("POST", "https://connections.test/v0/@connections/ada%3D")
    assert request.content == b"{}"


def test_a_connection_is_closed(gateway: Gateway) -> None:
    GatewayConnections().close("ada=")

    (request,) = gateway.requests
    assert (request.method, str(request.url)) == ("DELETE", "https://connections.test/v0/@connections/ada%3D")


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
def test_an_error_says_whether_the_frame_was_sent_which_is_tried_once(
    code: str, status: int, meaning: type[Exception], operation: str, gateway: Gateway
) -> None:
    gateway.answer = httpx.Response(status, headers={"x-amzn-errortype": code})
    with pytest.raises(meaning):
        GatewayConnections().post("ada=", b"{}") if operation == "post" else GatewayConnections().close("ada=")

    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (httpx.ReadTimeout("too slow"), EffectUnknown),
        (httpx.RemoteProtocolError("closed"), EffectUnknown),
        (httpx.ConnectTimeout("too far"), Congested),
    ],
)
def test_a_missing_answer_says_whether_the_frame_may_have_been_sent(
    fault: httpx.TransportError, meaning: type[Exception], gateway: Gateway
) -> None:
    gateway.answer = fault
    with pytest.raises(meaning):
        GatewayConnections().post("ada=", b"{}")

    assert len(gateway.requests) == 1


def test_a_failed_connection_means_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(0) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Congested):
        GatewayConnections().post("ada=", b"{}")
