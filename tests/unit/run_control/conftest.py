"""Run the handlers that control runs over the fake Codegen and a runs table in memory."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.poller.loop import Poller
from codegen_runs.runs.following import enqueue
from codegen_runs.storage.budgets import BudgetsTable
from codegen_runs.storage.runs import Launch, RunsTable, Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, FakeTransport, Script
from tests.support import handlers
from tests.support.backend import Kicks, TestClock, Tokens, environment
from tests.support.events import Answer, call, rest, working_with
from tests.support.memory import MemoryBudgets, MemoryRuns
from tests.unit.run_control.controls import ADA, KEY, TOKEN, Act, stored


@pytest.fixture
def runs() -> MemoryRuns:
    return MemoryRuns()


@pytest.fixture
def kicks() -> Kicks:
    return Kicks()


@pytest.fixture
def backend(runs: MemoryRuns, codegen: CodegenAPI, clock: TestClock, kicks: Kicks) -> Backend:
    return Backend(runs=cast(RunsTable, runs), codegen=codegen, clock=clock, kick=kicks)


@pytest.fixture
def act(
    runs: MemoryRuns, fake: FakeCodegen, clock: TestClock, kicks: Kicks, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Act]:
    """Cancel, pause or resume a run, as Ada unless another caller is given."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)

    def act(verb: str, run: Any, body: Any = None, *, org_id: int = DEMO_ORG_ID, caller: Caller = ADA) -> Answer:
        path = f"/v1/organizations/{org_id}/agent/run/{run}/{verb}"
        return call(handlers.handler(f"agent_runs/{verb}"), rest("POST", path, body=body, caller=caller))

    budgets = cast(BudgetsTable, MemoryBudgets())
    backend = Backend(runs=cast(RunsTable, runs), budgets=budgets, clock=clock, kick=kicks)
    with upstream.over(FakeTransport(fake)), working_with(backend):
        yield act


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def poll(runs: MemoryRuns, codegen: CodegenAPI, clock: TestClock, tokens: Tokens) -> Callable[[float], None]:
    poller = Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", concurrency=1)
    return lambda seconds: poller.tick(clock.now() + seconds) and None


@pytest.fixture
def queued(act: Act, runs: MemoryRuns, clock: TestClock, backend: Backend) -> Watch:
    """A run that waits for its launch, with the task token of a state machine."""
    enqueue(
        org_id=DEMO_ORG_ID,
        key=KEY,
        prompt="Say hello.",
        launch=Launch(),
        task_token=TOKEN,
        multi_run_id="mr-1",
        deadline=clock.now() + 3600,
        backend=backend,
    )
    return stored(runs)


@pytest.fixture
def running(queued: Watch, fake: FakeCodegen, runs: MemoryRuns, poll: Callable[[float], None]) -> Watch:
    """The same run, at work upstream. It does not end by itself."""
    fake.script(Script(ending="NEVER"))
    poll(5)
    return stored(runs)
