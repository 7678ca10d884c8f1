"""The environment of an endpoint without storage, and a wire to the Codegen API."""

from collections.abc import Iterator

import pytest

from codegen_runs import upstream
from tests.support.backend import template
from tests.support.wire import Wire


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in template().functions["GetAgentRun"].environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    with upstream.over(wire):
        yield wire
