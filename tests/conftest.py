"""Fixtures that several suites use."""

from collections.abc import Iterator

import pytest

from codegen_api import CodegenAPI
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport, ManualClock
from local.template import Template
from tests.support import aws, backend

@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Template]:
    """The template's tables in memory, and in the environment what the template gives all of its functions together."""
    for name, value in aws.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with backend.tables() as template:
        for function in template.functions.values():
            for name, value in function.environment.items():
                monkeypatch.setenv(name, value)
        yield template


@pytest.fixture
def runs(deployed: Template) -> RunsTable:
    return backend.runs_table(deployed)


@pytest.fixture
def fake() -> FakeCodegen:
    return FakeCodegen(clock=ManualClock())


@pytest.fixture
def clock(fake: FakeCodegen) -> backend.TestClock:
    assert isinstance(fake.clock, ManualClock)
    return backend.TestClock(fake.clock)


@pytest.fixture
def codegen(fake: FakeCodegen) -> CodegenAPI:
    return backend.codegen(FakeTransport(fake))
