"""Watching with an API token, by WebSocket and by the event stream."""

from typing import Any

import pytest

from local.fake_codegen import FakeCodegen
from local.template import Template
from tests.support import aws, handlers, samples
from tests.support.backend import TestClock
from tests.support.events import Context, invoke, rest
from tests.unit.access.service import ADA, HOME, IDS, MARY, TOKENS, Service

RUN = {"org_id": "123", "agent_run_id": "100001"}
STREAM = f"{HOME}/agent/run/100001/logs/stream"


@pytest.fixture
def connect(service: Service) -> Any:
    module = handlers.load("live/connect")
    module.standing.cache_clear()

    def connect(token: str) -> int:
        event = samples.read("OpenConnection") | {"headers": {"Authorization": f"Bearer {token}"}}
        status: int = module.handler(event, Context())["statusCode"]
        return status

    yield connect
    module.standing.cache_clear()


def test_a_token_opens_a_websocket_for_its_creator(service: Service, connect: Any, deployed: Template) -> None:
    token = service.make_token(MARY, role="viewer")["token"]

    assert connect(token) == 200
    (kept,) = aws.client("dynamodb").scan(TableName=deployed.tables["ConnectionsTable"].name)["Items"]
    assert kept["caller_id"] == {"S": f"user:{IDS[MARY]}"}
    assert token not in str(kept)


def test_a_revoked_or_unknown_token_opens_no_websocket(service: Service, connect: Any, clock: TestClock) -> None:
    made = service.make_token(expires_at="2099-01-01")
    assert connect(made["token"]) == 200

    service.send("DELETE", f"{TOKENS}/{made['id']}", ADA)

    assert connect(made["token"]) == 401
    assert connect("cgr_nobodys") == 401


@pytest.fixture
def enter(service: Service, connect: Any) -> Any:
    """Use a ticket: for a stream, for a stream that is resumed, or for a WebSocket. Return how it is answered."""

    def authorize(ticket: str, last_id: str = "") -> dict[str, Any]:
        resource = samples.read("StreamAgentRunLogs")["resource"]
        event = rest("GET", f"{STREAM}?ticket={ticket}", resource=resource, path_parameters=RUN, caller=None)
        event |= {"headers": {"Last-Event-ID": last_id}, "type": "REQUEST", "methodArn": "arn:aws:x:y:1:a/v0/GET/z"}
        answer: dict[str, Any] = invoke(handlers.handler("authorizer/authorize"), event, Context())
        return answer["context"]

    def enter(kind: str, ticket: str, stream_key: str) -> str:
        if kind == "websocket":
            event = samples.read("OpenConnection") | {"headers": {}, "queryStringParameters": {"ticket": ticket}}
            return str(invoke(handlers.handler("live/connect"), event, Context())["statusCode"])
        found = authorize(ticket, f"0-1~{stream_key}" if kind == "resumed" else "")
        return str(found.get("refused", found.get("caller_id")))

    enter.authorize = authorize  # type: ignore[attr-defined]
    return enter


@pytest.mark.parametrize(
    ("kind", "admitted", "refused"),
    [
        ("stream", f"user:{IDS[MARY]}", "token_revoked"),
        ("resumed", f"user:{IDS[MARY]}", "token_revoked"),
        ("websocket", "200", "401"),
    ],
)
def test_a_ticket_ends_with_the_api_token_that_got_it(
    service: Service, enter: Any, kind: str, admitted: str, refused: str
) -> None:
    made = service.make_token(MARY, role="viewer")

    def ticket() -> str:
        answer = service.send("POST", "/v1/stream-tickets", made["token"], {"agent_run_id": 100001})
        found: str = answer.json["ticket"]
        return found

    stream_key = enter.authorize(ticket())["stream_key"]
    before, after = ticket(), ticket()
    assert enter(kind, before, stream_key) == admitted

    service.send("DELETE", f"{TOKENS}/{made['id']}", MARY)

    assert enter(kind, after, stream_key) == refused


def test_a_run_that_is_not_followed_can_be_read_with_a_token(service: Service, fake: FakeCodegen) -> None:
    token = service.make_token(role="viewer")["token"]
    run_id = max(fake.runs)

    answer = service.send("GET", f"{HOME}/agent/run/{run_id}/events", token)

    assert answer.status == 200
    assert service.send("GET", f"{HOME}/agent/run/999999/events", token).status == 404
