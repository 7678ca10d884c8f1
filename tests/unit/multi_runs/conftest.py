"""What the tests of multi-runs through their handlers need."""

from collections.abc import Iterator

import pytest

from codegen_runs.backend import Backend
from local.fake_codegen import FakeCodegen
from local.template import Template
from tests.support import backend
from tests.support.events import working_with
from tests.support.loops import current_loop
from tests.unit.multi_runs.flow import Runs


@pytest.fixture
def state_machine(deployed: Template, clock: backend.TestClock) -> Iterator[None]:
    """A state machine that can be started but does nothing: the tests call its tasks."""
    backend.create_state_machine(deployed)
    with working_with(Backend(clock=clock, kick=backend.Kicks())):
        yield


@pytest.fixture
def loop() -> Iterator[None]:
    """The event loop that Mangum runs on."""
    with current_loop():
        yield


@pytest.fixture
def upstream(state_machine: None, fake: FakeCodegen, clock: backend.TestClock) -> Runs:
    """The upstream and the poller."""
    return Runs(fake, clock)
