"""The environment of an endpoint without storage, and a wire to the Codegen API."""

from collections.abc import Iterator
from io import StringIO

import pytest

from codegen_runs import upstream
from codegen_runs.logs import logger
from tests.support.backend import template
from tests.support.wire import Wire


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in template().functions["GetAgentRun"].environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    with upstream.over(wire):
        yield wire


@pytest.fixture
def logs() -> Iterator[StringIO]:
    """The log of the functions."""
    written = StringIO()
    usual = logger.registered_handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]
