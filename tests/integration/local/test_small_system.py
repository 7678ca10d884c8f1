"""A small but complete system, over HTTP and in real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support.processes import wait_until

SMALL_SYSTEM = Path(__file__).parent / "small_system" / "template.yaml"
LET_IN = {"Authorization": "Bearer let-me-in"}


class Minutes:
    """The scheduler's clock: a minute passes when the test calls `pass_`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        assert seconds == 60
        passed = asyncio.Event()
        self.waiting.append((asyncio.get_running_loop(), passed))
        await passed.wait()

    def pass_(self) -> None:
        loop, passed = self.waiting.pop()
        loop.call_soon_threadsafe(passed.set)


@pytest.fixture(scope="module")
def minutes() -> Minutes:
    return Minutes()


@pytest.fixture(scope="module")
def stack(minutes, tmp_path_factory) -> Iterator[Stack]:
    with Stack(SMALL_SYSTEM, log_dir=tmp_path_factory.mktemp("logs"), sleep=minutes.sleep) as stack:
        yield stack


@pytest.fixture(scope="module")
def api(stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.api_url, trust_env=False, timeout=60) as client:
        yield client


def test_a_request_goes_through_the_authorizer_to_the_function_and_back(api):
    answer = api.post("/echo/a%20b?x=1", json={"y": 2}, headers=LET_IN)

    assert answer.status_code == 201
    event = answer.json()["event"]
    assert (event["pathParameters"], event["queryStringParameters"]) == ({"id": "a b"}, {"x": "1"})
    assert json.loads(event["body"]) == {"y": 2}
    assert event["requestContext"]["authorizer"] == {"principalId": "me", "number": "7"}


def test_a_request_without_a_token_is_refused(api):
    assert api.post("/echo/1").status_code == 401


def test_a_function_has_the_environment_of_the_resolved_template(stack, api):
    environment = api.post("/echo/1", headers=LET_IN).json()["environment"]

    own = {name: environment[name] for name in ("AWS_ENDPOINT_URL", "CODEGEN_BASE_URL", "CODEGEN_ORG_ID", "OWN")}
    assert own == {
        "AWS_ENDPOINT_URL": stack.aws_url,
        "CODEGEN_BASE_URL": stack.codegen.base_url,
        "CODEGEN_ORG_ID": str(DEMO_ORG_ID),
        "OWN": "1",
    }
    assert "NOTES" not in environment


def test_functions_can_use_the_tables_and_the_token(api):
    assert api.get("/count").json()["secret"] == DEMO_TOKEN


def test_a_schedule_fires_at_the_start_and_every_minute(api, minutes):
    def wait_for(count: int) -> None:
        wait_until(lambda: api.get("/count").json()["count"] >= count)
        assert api.get("/count").json()["count"] == count

    wait_for(1)
    minutes.pass_()
    wait_for(2)


def test_the_fake_codegen_answers(stack):
    answer = httpx.get(
        f"{stack.codegen.base_url}/v1/users/me", headers={"Authorization": f"Bearer {DEMO_TOKEN}"}, trust_env=False
    )

    assert answer.status_code == 200
