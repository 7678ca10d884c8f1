"""A request's id is in each call of the Codegen API and in each line of the log that follow from the request."""

import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import Any

import boto3
import httpx
import pytest

from codegen_runs import correlation, upstream
from codegen_runs.backend import Backend
from codegen_runs.logs import logger
from codegen_runs.poller.loop import Poller
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import CALLER, Answer, call, current, invoke, rest, working_with

OWNER = replace(CALLER, token=DEMO_TOKEN)
RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"


class Calls(httpx.BaseTransport):
    """The fake, and the ids of the calls that it receives."""

    def __init__(self, fake: FakeCodegen) -> None:
        self._transport = FakeTransport(fake)
        self.ids: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.ids.append(request.headers.get(correlation.HEADER))
        return self._transport.handle_request(request)


@pytest.fixture
def calls(deployed: Template, fake: FakeCodegen, clock: backend.TestClock) -> Iterator[Calls]:
    calls = Calls(fake)
    with upstream.over(calls), working_with(Backend(clock=clock, kick=backend.Kicks())):
        yield calls


@pytest.fixture
def tick(calls: Calls, clock: backend.TestClock) -> Any:
    def tick() -> list[str | None]:
        """Poll for a minute; return the ids of the calls."""
        calls.ids.clear()
        Poller(
            runs=current().runs,
            codegen=upstream.for_token(DEMO_TOKEN),
            tokens=backend.Tokens(),
            clock=clock,
            holder="me",
            concurrency=1,
        ).tick(clock.now() + 58)
        return list(calls.ids)

    return tick


def post(handler: str, path: str, body: dict[str, Any], request_id: str) -> Answer:
    event = rest("POST", path, body=body, headers={"X-Request-Id": request_id}, caller=OWNER)
    return call(handlers.handler(handler), event)


def test_the_calls_of_a_request_and_the_polls_of_its_run_have_its_id(calls: Calls, tick: Any) -> None:
    post("agent_runs/create", RUNS, {"prompt": "Hello."}, "first-request")

    assert calls.ids == ["first-request"]
    assert set(tick()) == {"first-request"}


def test_a_follow_up_gives_the_run_its_own_id(calls: Calls, tick: Any) -> None:
    run = post("agent_runs/create", RUNS, {"prompt": "Hello."}, "first-request").json
    tick()
    resumed = {"agent_run_id": run["id"], "prompt": "Go on."}
    post("agent_runs/resume", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/resume", resumed, "second-request")

    assert set(tick()) == {"second-request"}


def test_a_multi_run_gives_its_id_to_its_execution_and_to_its_runs(deployed: Template, calls: Calls, tick: Any) -> None:
    machine = deployed.state_machines["MultiRunStateMachine"]
    client = boto3.client("stepfunctions")
    client.create_state_machine(name=machine.name, definition="{}", roleArn="arn:aws:iam::123456789012:role/any")
    path = f"/v1/organizations/{DEMO_ORG_ID}/multi-runs"
    started = post("multi_runs/create", path, {"prompt": "Hello."}, "group-request").json
    (execution,) = client.list_executions(stateMachineArn=machine.arn)["executions"]
    given = json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"])
    for index in range(3):
        ids = {"org_id": DEMO_ORG_ID, "multi_run_id": started["id"], "index": index, "task_token": "t"}
        invoke(handlers.handler("multi_runs/launch"), ids, None)

    assert given["request_id"] == "group-request"
    launches = tick()
    assert len(launches) >= 3
    assert set(launches) == {"group-request"}


def test_a_line_of_the_log_has_the_id_unless_it_has_its_own() -> None:
    def line(**more: str) -> Any:
        stream = StringIO()
        usual = logger.registered_handler.setStream(stream)  # type: ignore[attr-defined]
        logger.warning("A line.", extra=more)
        logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]
        return json.loads(stream.getvalue())

    with correlation.of("a-request"):
        assert line()["request_id"] == "a-request"
        assert line(request_id="another")["request_id"] == "another"
    assert "request_id" not in line()
