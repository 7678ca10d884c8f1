"""Run the handlers of checkpoints over the fake Codegen and the template's tables in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.poller.loop import Poller
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, Script
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import Answer, call, rest, working_with

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token=DEMO_TOKEN)
ORG = f"/v1/organizations/{DEMO_ORG_ID}"

Act = Callable[..., Answer]
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _upstream(
    deployed: Template, fake: FakeCodegen, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def poll(runs: RunsTable, codegen: CodegenAPI, clock: TestClock) -> Callable[[float], None]:
    """Let the poller work for some seconds."""
    poller = Poller(runs=runs, codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1)
    return lambda seconds: poller.tick(clock.now() + seconds) and None


@pytest.fixture
def act() -> Act:
    """Send a request to a function, by default one for checkpoints; as Ada unless another caller is given."""

    def act(name: str, method: str, path: str, body: Any = None, *, caller: Caller = ADA) -> Answer:
        folder = "" if "/" in name else "checkpoints/"
        return call(handlers.handler(folder + name), rest(method, path, body=body, caller=caller))

    return act


@pytest.fixture
def run(act: Act, poll: Callable[[float], None], fake: FakeCodegen, clock: TestClock) -> Run:
    """Start a run, by default one that ends, let the poller follow it, and return its id."""

    def run(prompt: str = "Fix the bug.", *, script: Script | None = None, seconds: float = 60, **more: Any) -> int:
        fake.script(script or Script(seconds=2, steps=2, result="The bug is fixed.", pull_request=False))
        started = act("agent_runs/create", "POST", f"{ORG}/agent/run", {"prompt": prompt, **more})
        assert started.status == 200, started.text
        poll(seconds)
        clock.sleep(5)
        agent_run_id: int = started.json["id"]
        return agent_run_id

    return run


@pytest.fixture
def checkpoints(act: Act) -> Callable[[int | str], dict[str, str]]:
    """Return the ids of a run's checkpoints by their reason; the newest id of each reason."""

    def checkpoints(agent_run_id: int | str) -> dict[str, str]:
        answer = act("list", "GET", f"{ORG}/agent/run/{agent_run_id}/checkpoints")
        return {item["reason"]: item["id"] for item in reversed(answer.json["items"])}

    return checkpoints
