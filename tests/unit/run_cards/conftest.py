"""The handlers of run cards over the fake Codegen, at the fake's time."""

from collections.abc import Iterator

import pytest

from codegen_runs import upstream, watches
from codegen_runs.run_cards import repos
from local.fake_codegen import FakeCodegen, FakeTransport
from local.template import Template
from tests.support.backend import TestClock


@pytest.fixture(autouse=True)
def _upstream(
    deployed: Template, fake: FakeCodegen, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr("codegen_runs.clock.time.time", clock.now)
    monkeypatch.setattr("codegen_runs.clock.time.sleep", clock.sleep)
    monkeypatch.setattr(watches, "kick", lambda: None)
    monkeypatch.setattr(repos, "_remembered", {})
    with upstream.over(FakeTransport(fake)):
        yield
