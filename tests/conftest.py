"""Fixtures that several suites use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen_api import CodegenAPI
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport, ManualClock
from local.template import Template
from tests.support import aws, backend

# What waits for processes comes first, so that no core is left waiting for it in the end.
_FIRST = ("e2e", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _suite(item) not in _FIRST)


def _suite(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: what waits for processes leaves its core to others."""
    return (os.cpu_count() or 1) + 1


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
