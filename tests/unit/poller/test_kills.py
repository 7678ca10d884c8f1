"""A poller that is killed at any of its calls: the next tick finishes its work, and nothing is lost or done twice."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import MAX_CLOCK_SKEW
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from tests.support.backend import TestClock, Tokens
from tests.support.memory import ONE_CALL, MemoryRuns
from tests.unit.poller.conftest import TOKEN, Enqueue, MakePoller, watch_of


class Killed(BaseException):
    """The process is gone in the middle of a call."""


CHECKPOINT = "checkpoint.created"


class Killer:
    """Kills the process at its n-th call, before or after the call took effect; no call follows."""

    def __init__(self, *, after_effect: bool) -> None:
        self.calls = 0
        self.fatal: int | None = None
        self._after_effect = after_effect
        self._dead = False

    def start(self, fatal: int | None) -> None:
        """Start another process."""
        self.calls, self.fatal, self._dead = 0, fatal, False

    def around(self, target: Any, *names: str) -> Any:
        """Return the methods of `target` by these names, each of which leaves the process once."""
        return SimpleNamespace(**{name: self._around(getattr(target, name)) for name in names})

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._dead:
                raise Killed
            self.calls += 1
            if self.calls != self.fatal:
                return function(*args, **kwargs)
            self._dead = True
            if self._after_effect:
                function(*args, **kwargs)
            raise Killed

        return call


@pytest.mark.full
@pytest.mark.parametrize("after_effect", [False, True], ids=["before the call", "after the call"])
def test_killing_the_poller_at_each_of_its_calls_delays_and_loses_nothing(
    after_effect: bool,
    clock: TestClock,
    fake: FakeCodegen,
    codegen: CodegenAPI,
    make_poller: MakePoller,
    enqueue: Enqueue,
) -> None:
    killer = Killer(after_effect=after_effect)
    api = SimpleNamespace(runs=killer.around(codegen.runs, "create", "list", "logs", "get"))

    def play(fatal: int | None) -> tuple[list[str], int]:
        """Follow one run to its end; the first poller dies at its `fatal`-th call, and the schedule starts others."""
        memory, tokens, creates = MemoryRuns(), Tokens(), len(fake.creates)
        key = f"mr-{fatal or 0}-0"
        mortal = {
            "runs": killer.around(memory, *ONE_CALL),
            "codegen": api,
            "tokens": killer.around(tokens, "succeed", "fail"),
        }
        fake.script(Script(seconds=1, steps=1))
        enqueue(key, runs=memory)
        calls = 0
        for tick in range(6):
            killer.start(None if tick else fatal)
            try:
                make_poller(str(tick), **mortal).tick(clock.now() + 58)
            except (Killed, BaseExceptionGroup):
                clock.sleep(MAX_CLOCK_SKEW + 60)  # by now the lease has run out by any clock
            else:
                break
            finally:
                calls += killer.calls
        watch, events = watch_of(memory, key), memory.events(DEMO_ORG_ID, key, limit=1000)
        assert (watch.status, watch.task_token) == (Status.COMPLETED, None), f"killed at call {fatal}"
        assert len(fake.creates) == creates + 1, f"killed at call {fatal}: one intent, one run"
        assert list(tokens.answers) == [TOKEN], f"killed at call {fatal}"
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), f"killed at call {fatal}"
        # A poll that comes later finds more at once, and then a checkpoint comes after other entries of that poll.
        return sorted((event.type for event in events), key=CHECKPOINT.__eq__), calls

    undisturbed, calls = play(None)
    assert calls > 20
    for fatal in range(1, calls + 1):
        assert play(fatal)[0] == undisturbed, f"killed at call {fatal}"
