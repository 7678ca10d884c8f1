"""Many tasks at a time: `api.run_tasks`.

One flow starts and looks at all of them in turn, so the asynchronous and the blocking client do the same, and no thread
is needed: what takes long is the agents' work, not asking for it.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ._core import Core
from ._errors import CodegenAPIError, RateLimitError
from ._steps import PASSING, Patience
from ._task_state import RunOptions, TaskState
from ._wire import Flow, Wait
from ._work import PATIENCE, check_interval, late, look, start

MOST_REFUSALS = 30
"""How many times in a row a task is tried that a rate limit refuses, while nothing else is under way."""

LAUNCH_PAUSE = 10.0
"""Seconds to wait after such a refusal, where it does not say for how long."""

Face = TypeVar("Face")


@dataclass(slots=True)
class Outcome(Generic[Face]):
    """What became of one prompt of a batch.

    Attributes:
        prompt: The prompt.
        task: Its task, once it was started.
        error: Why it was not started, or is not waited for any more.
        done: Whether this is all there will be.
    """

    prompt: str
    task: Face | None = None
    error: CodegenAPIError | None = None
    done: bool = False


Progress = Callable[[Outcome[Face], int, int], object]
"""Told each outcome as it comes, how many there are by then, and of how many."""


@dataclass(slots=True)
class _Underway(Generic[Face]):
    outcome: Outcome[Face]
    state: TaskState
    until: float
    patience: Patience = field(default_factory=lambda: Patience(PATIENCE))


class Batch(Generic[Face]):
    """The tasks of one call of `run_tasks`.

    Args:
        core: The client's.
        prompts: One for each task.
        face: Makes the client's task of what is known of one.
        max_concurrent: How many are under way at most.
        timeout: Seconds to wait for each; None for as long as it takes.
        poll_interval: Seconds between two looks.
        on_progress: See `Progress`.
        options: For the start of each.

    Raises:
        ValueError: With such numbers it would never move.
    """

    def __init__(
        self,
        core: Core,
        prompts: Sequence[str],
        face: Callable[[TaskState], Face],
        *,
        max_concurrent: int,
        timeout: float | None,
        poll_interval: float,
        on_progress: Progress[Face] | None,
        options: RunOptions,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError("max_concurrent must be at least 1")
        check_interval(poll_interval)
        if options.get("idempotency_key") is not None:
            raise ValueError("an idempotency_key is for one task; each of a batch has one of its own")
        self._core = core
        self._outcomes: list[Outcome[Face]] = [Outcome(prompt) for prompt in prompts]
        self._waiting = deque(self._outcomes)
        self._underway: list[_Underway[Face]] = []
        self._refusals = 0
        self._face = face
        self._max_concurrent = max_concurrent
        self._timeout = timeout
        self._poll_interval = poll_interval
        self._on_progress = on_progress
        self._options = options

    def run(self) -> Flow[list[Outcome[Face]]]:
        """Start all of them, wait for all of them, and return their outcomes in the order of the prompts."""
        while self._waiting or self._underway:
            pause = yield from self._fill()
            if self._waiting or self._underway:
                yield Wait(pause)
            for each in list(self._underway):
                yield from self._look(each)
        return self._outcomes

    def _fill(self) -> Flow[float]:
        """Start as many as there is room for; return the seconds until the next look."""
        while self._waiting and len(self._underway) < self._max_concurrent:
            outcome = self._waiting[0]
            try:
                state = yield from start(self._core, outcome.prompt, **self._options)
            except CodegenAPIError as error:
                if isinstance(error, RateLimitError) and (self._underway or self._refusals < MOST_REFUSALS):
                    self._refusals += 1
                    return self._poll_interval if self._underway else error.retry_after or LAUNCH_PAUSE
                self._finish(self._waiting.popleft(), error)
            else:
                self._refusals = 0
                self._waiting.popleft()
                outcome.task = self._face(state)
                until = math.inf if self._timeout is None else self._core.clock() + self._timeout
                self._underway.append(_Underway(outcome, state, until))
        return self._poll_interval

    def _look(self, each: _Underway[Face]) -> Flow[None]:
        error: CodegenAPIError | None = None
        try:
            yield from look(self._core, each.state)
            each.patience.renew()
        except CodegenAPIError as failure:
            error = self._unbearable(each, failure)
        if error is None and not each.state.ended():
            if self._core.clock() < each.until:
                return
            error = late(each.state, self._timeout)
        self._underway.remove(each)
        self._finish(each.outcome, error)

    def _unbearable(self, each: _Underway[Face], failure: CodegenAPIError) -> CodegenAPIError | None:
        if not isinstance(failure, PASSING):
            return failure
        try:
            each.patience.bear(failure)
        except CodegenAPIError as error:
            return error
        return None

    def _finish(self, outcome: Outcome[Face], error: CodegenAPIError | None) -> None:
        outcome.error, outcome.done = error, True
        if self._on_progress:
            self._on_progress(outcome, sum(each.done for each in self._outcomes), len(self._outcomes))
