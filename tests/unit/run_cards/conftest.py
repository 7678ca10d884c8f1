"""Run the handlers of run cards over the fake Codegen, with the fake's clock."""

from collections.abc import Callable, Iterator

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.poller.loop import Poller
from codegen_runs.run_cards import repos
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport
from local.template import Template
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import working_with


@pytest.fixture(autouse=True)
def _upstream(deployed: Template, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    repos.forget()
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def make_poller(runs: RunsTable, codegen: CodegenAPI, clock: TestClock) -> Callable[[], Poller]:
    return lambda: Poller(runs=runs, codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1)
