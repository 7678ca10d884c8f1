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
from ._flows import PASSING, POLL_PATIENCE, Patience, check_interval
from ._protocol import Flow, Wait
from ._task_flows import late, look, start
from ._task_state import RunOptions, TaskState

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
    patience: Patience = field(default_factory=lambda: Patience(POLL_PATIENCE))


def run_batch(
    core: Core,
    face: Callable[[TaskState], Face],
    prompts: Sequence[str],
    max_concurrent: int,
    timeout: float | None,
    poll_interval: float,
    on_progress: Progress[Face] | None,
    options: RunOptions,
) -> Flow[list[Outcome[Face]]]:
    """Run a task for each prompt. `api.run_tasks` tells what the arguments mean.

    Args:
        core: The client's.
        face: Makes the client's task of what is known of one.
        prompts: One for each task.
        max_concurrent: How many are under way at most.
        timeout: Seconds to wait for each; None for as long as it takes.
        poll_interval: Seconds between two looks.
        on_progress: See `Progress`.
        options: For the start of each.

    Raises:
        ValueError: With such numbers it would never move.
    """
    if max_concurrent < 1:
        raise ValueError("max_concurrent must be at least 1")
    check_interval(poll_interval)
    if options.get("idempotency_key") is not None:
        raise ValueError("an idempotency_key is for one task; each of a batch has one of its own")
    batch = _Batch(
        core,
        face,
        max_concurrent,
        timeout,
        poll_interval,
        on_progress,
        options,
        [Outcome(prompt) for prompt in prompts],
    )
    return (yield from batch.run())


@dataclass
class _Batch(Generic[Face]):
    core: Core
    face: Callable[[TaskState], Face]
    max_concurrent: int
    timeout: float | None
    poll_interval: float
    on_progress: Progress[Face] | None
    options: RunOptions
    outcomes: list[Outcome[Face]]
    underway: list[_Underway[Face]] = field(default_factory=list)
    refusals: int = 0

    def __post_init__(self) -> None:
        self.waiting = deque(self.outcomes)

    def run(self) -> Flow[list[Outcome[Face]]]:
        """Start all of them, wait for all of them, and return their outcomes in the order of the prompts."""
        while self.waiting or self.underway:
            pause = yield from self._fill()
            if self.waiting or self.underway:
                yield Wait(pause)
            for each in list(self.underway):
                yield from self._look(each)
        return self.outcomes

    def _fill(self) -> Flow[float]:
        """Start as many as there is room for; return the seconds until the next look."""
        while self.waiting and len(self.underway) < self.max_concurrent:
            outcome = self.waiting[0]
            try:
                state = yield from start(self.core, outcome.prompt, **self.options)
            except CodegenAPIError as error:
                if isinstance(error, RateLimitError) and (self.underway or self.refusals < MOST_REFUSALS):
                    self.refusals += 1
                    return self.poll_interval if self.underway else error.retry_after or LAUNCH_PAUSE
                self._finish(self.waiting.popleft(), error)
            else:
                self.refusals = 0
                self.waiting.popleft()
                outcome.task = self.face(state)
                until = math.inf if self.timeout is None else self.core.clock() + self.timeout
                self.underway.append(_Underway(outcome, state, until))
        return self.poll_interval

    def _look(self, each: _Underway[Face]) -> Flow[None]:
        error: CodegenAPIError | None = None
        try:
            yield from look(self.core, each.state)
            each.patience.renew()
        except CodegenAPIError as failure:
            error = self._unbearable(each, failure)
        if error is None and not each.state.ended():
            if self.timeout is None or self.core.clock() < each.until:
                return
            error = late(each.state, self.timeout)
        self.underway.remove(each)
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
        if self.on_progress:
            self.on_progress(outcome, sum(each.done for each in self.outcomes), len(self.outcomes))
