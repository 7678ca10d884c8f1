"""What the tests of multi-runs through their handlers need."""

from collections.abc import Iterator

import boto3
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
    machine = deployed.state_machines["MultiRunStateMachine"]
    boto3.client("stepfunctions").create_state_machine(
        name=machine.name, definition=machine.definition, roleArn="arn:aws:iam::123456789012:role/any"
    )
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
