"""The poller over a runs table in memory and the fake Codegen, whose clock moves when the poller sleeps."""

from collections.abc import Callable
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.poller.loop import Poller
from codegen_runs.runs import following
from codegen_runs.storage.runs import Launch, RunsTable, Watch
from local.fake_codegen import DEMO_ORG_ID
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.memory import MemoryRuns

KEY, TOKEN = "mr-1-0", "a-task-token"

MakePoller = Callable[..., Poller]
Enqueue = Callable[..., None]


class Skewed:
    """A clock that is wrong by a number of seconds."""

    def __init__(self, clock: TestClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def now(self) -> float:
        return self._clock.now() + self._seconds

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


@pytest.fixture
def memory() -> MemoryRuns:
    return MemoryRuns()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def backend(memory: MemoryRuns, clock: TestClock) -> Backend:
    return Backend(clock=clock, kick=Kicks(), runs=memory)


@pytest.fixture
def make_poller(memory: MemoryRuns, codegen: CodegenAPI, clock: TestClock, tokens: Tokens) -> MakePoller:
    """Make a poller with one thread, so that its calls come in the same order each time."""

    def make_poller(
        holder: str = "me", *, skew: float = 0, runs: Any = memory, codegen: Any = codegen, tokens: Any = tokens
    ) -> Poller:
        own = Skewed(clock, skew)
        return Poller(runs=runs, codegen=codegen, tokens=tokens, clock=own, holder=holder, concurrency=1)

    return make_poller


@pytest.fixture
def poll(upstream: Any, make_poller: MakePoller, clock: TestClock) -> Callable[[float], None]:
    """Poll a module's own `upstream` for some seconds, each minute by another poller."""

    def poll(seconds: float) -> None:
        ends = clock.now() + seconds
        while clock.now() < ends:
            until = min(ends, clock.now() + 58)
            make_poller(str(clock.now()), codegen=upstream).tick(until)
            clock.sleep(max(0.0, until - clock.now()) + 0.5)

    return poll


@pytest.fixture
def poll_until_idle(make_poller: MakePoller, clock: TestClock) -> Callable[[], None]:
    """Poll for twenty minutes, as the schedule does."""

    def poll_until_idle() -> None:
        for _ in range(20):
            ends = clock.now() + 58
            make_poller().tick(ends)
            clock.sleep(max(0.0, ends - clock.now()) + 2)

    return poll_until_idle


@pytest.fixture
def enqueue(memory: MemoryRuns, clock: TestClock) -> Enqueue:
    """Queue a run of a multi-run."""

    def enqueue(key: str = KEY, *, seconds: float = 3600, runs: Any = memory, **more: Any) -> None:
        run = {
            "prompt": "Say hello.",
            "launch": Launch(metadata={"multi_run_id": "mr-1", "weight": 0.5}),
            "task_token": TOKEN,
            "multi_run_id": "mr-1",
        }
        following.enqueue(
            org_id=DEMO_ORG_ID,
            key=key,
            deadline=clock.now() + seconds,
            backend=Backend(clock=clock, kick=Kicks(), runs=runs),
            **run | more,
        )

    return enqueue


def watch_of(runs: RunsTable | MemoryRuns, key: str = KEY) -> Watch:
    watch = runs.get(DEMO_ORG_ID, key)
    assert watch is not None
    return watch


def history(runs: RunsTable | MemoryRuns, key: str = KEY) -> list[str]:
    return [event.type for event in runs.events(DEMO_ORG_ID, key, limit=1000)]
