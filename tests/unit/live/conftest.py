"""A run that is polled, and those who watch it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.poller.loop import Poller
from codegen_runs.storage.runs import RunsTable
from codegen_runs.storage.table import Table
from local.fake_codegen import FakeCodegen, FakeTransport
from tests.support import backend
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import working_with
from tests.support.loops import current_loop
from tests.support.memory import MemoryItems, MemoryRuns

Poll = Callable[[float], None]


class Apart(httpx.BaseTransport):
    """Asks the fake from a thread of its own, so that its event loop is not the one that Mangum keeps."""

    def __init__(self, fake: FakeCodegen) -> None:
        self._transport = FakeTransport(fake)
        self._thread = ThreadPoolExecutor(1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._thread.submit(self._transport.handle_request, request).result()


@pytest.fixture
def transport(fake: FakeCodegen) -> Apart:
    return Apart(fake)


@pytest.fixture
def codegen(transport: Apart) -> CodegenAPI:
    return backend.codegen(transport)


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """The event loop that Mangum runs on."""
    with current_loop():
        yield


@pytest.fixture
def runs() -> MemoryRuns:
    """The runs table of the handlers, in memory: they read it thousands of times."""
    return MemoryRuns()


class Polling:
    """The tests' clock; whoever sleeps gives that time to the poller, once there is one."""

    def __init__(self, clock: TestClock) -> None:
        self.now = clock.now
        self.sleep: Poll = clock.sleep


@pytest.fixture
def handlers_clock(clock: TestClock) -> Polling:
    return Polling(clock)


@pytest.fixture
def served(
    runs: MemoryRuns, transport: Apart, handlers_clock: Polling, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The handlers in their environment, on the tests' clock and over the fake."""
    for name, value in backend.environment().items():
        monkeypatch.setenv(name, value)
    work = Backend(
        clock=handlers_clock,
        kick=Kicks(),
        callers=cast(Table, MemoryItems()),
        runs=cast(RunsTable, runs),
        shares=cast(Table, MemoryItems()),
    )
    with upstream.over(transport), working_with(work):
        yield


@pytest.fixture
def poll(runs: MemoryRuns, codegen: CodegenAPI, clock: TestClock) -> Poll:
    """Have the poller work for some seconds."""
    poller = Poller(
        runs=cast(RunsTable, runs), codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1
    )

    def work(seconds: float) -> None:
        until = clock.now() + seconds
        poller.tick(until)
        clock.sleep(max(0.0, until - clock.now()))

    return work


@pytest.fixture
def polled_meanwhile(served: None, poll: Poll, handlers_clock: Polling) -> None:
    """Whoever waits for news gives the poller that time."""
    handlers_clock.sleep = poll
