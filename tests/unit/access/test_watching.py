"""Watching with an API token, by WebSocket and by the event stream."""

from typing import Any

import pytest

from local.fake_codegen import FakeCodegen
from local.template import Template
from tests.support import aws, handlers, samples
from tests.support.backend import TestClock
from tests.support.events import Context
from tests.unit.access.service import ADA, HOME, IDS, MARY, TOKENS, Service


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


def test_a_run_that_is_not_followed_can_be_read_with_a_token(service: Service, fake: FakeCodegen) -> None:
    token = service.make_token(role="viewer")["token"]
    run_id = max(fake.runs)

    answer = service.send("GET", f"{HOME}/agent/run/{run_id}/events", token)

    assert answer.status == 200
    assert service.send("GET", f"{HOME}/agent/run/999999/events", token).status == 404
