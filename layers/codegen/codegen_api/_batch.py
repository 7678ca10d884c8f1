"""Many tasks at a time: `api.run_tasks`.

One flow starts and polls all tasks in turn. So the blocking client needs no threads and does the same as the
asynchronous one. That is fast enough, because the agents take the time, not the requests.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ._core import Core
from ._errors import CodegenAPIError, InvalidArgumentError, RateLimitError
from ._flows import MAX_FAILED_POLLS, TRANSIENT, FailureLimit, check_poll_interval
from ._protocol import Flow, Wait
from ._task_flows import refresh, start, timeout_error
from ._task_state import RunOptions, TaskState

MAX_REFUSED_STARTS = 30
"""Attempts in a row to start a task that a rate limit refuses while no other task is running."""

REFUSED_START_PAUSE = 10.0
"""Seconds to wait after such a refusal without `Retry-After`."""

TaskT = TypeVar("TaskT")


@dataclass(slots=True)
class Outcome(Generic[TaskT]):
    """The outcome of one prompt of a batch.

    Attributes:
        prompt: The prompt.
        task: Its task; None until it is started.
        error: Why the task was not started, or why the batch no longer waits for it.
        done: Whether this outcome is final.
    """

    prompt: str
    task: TaskT | None = None
    error: CodegenAPIError | None = None
    done: bool = False


Progress = Callable[[Outcome[TaskT], int, int], object]
"""Called with each final outcome, the number of final outcomes so far, and the number of prompts."""


@dataclass(slots=True)
class _RunningTask(Generic[TaskT]):
    outcome: Outcome[TaskT]
    state: TaskState
    ends_at: float
    limit: FailureLimit = field(default_factory=lambda: FailureLimit(MAX_FAILED_POLLS))


def run_batch(
    core: Core,
    make_task: Callable[[TaskState], TaskT],
    prompts: Sequence[str],
    max_concurrent: int,
    timeout: float | None,
    poll_interval: float,
    on_progress: Progress[TaskT] | None,
    options: RunOptions,
) -> Flow[list[Outcome[TaskT]]]:
    """Run a task for each prompt.

    Args:
        core: The client's core.
        make_task: Makes the task object of the client.
        prompts: One for each task.
        max_concurrent: Maximum number of tasks that run at the same time.
        timeout: Seconds to wait for each task; None for no limit.
        poll_interval: Seconds between two polls.
        on_progress: See `Progress`.
        options: The options to start each task with.

    Raises:
        InvalidArgumentError: An argument is invalid, or an idempotency key is given.
    """
    if max_concurrent < 1:
        raise InvalidArgumentError("max_concurrent must be at least 1")
    check_poll_interval(poll_interval)
    if options.get("idempotency_key") is not None:
        raise InvalidArgumentError("an idempotency_key is for one task; a batch makes one for each task")
    outcomes: list[Outcome[TaskT]] = [Outcome(prompt) for prompt in prompts]
    batch = _Batch(core, make_task, max_concurrent, timeout, poll_interval, on_progress, options, outcomes)
    return (yield from batch.run())


@dataclass
class _Batch(Generic[TaskT]):
    core: Core
    make_task: Callable[[TaskState], TaskT]
    max_concurrent: int
    timeout: float | None
    poll_interval: float
    on_progress: Progress[TaskT] | None
    options: RunOptions
    outcomes: list[Outcome[TaskT]]
    running: list[_RunningTask[TaskT]] = field(default_factory=list)
    refused_starts: int = 0

    def __post_init__(self) -> None:
        self.not_started = deque(self.outcomes)

    def run(self) -> Flow[list[Outcome[TaskT]]]:
        """Start all tasks, wait for all of them, and return their outcomes in the order of the prompts."""
        while self.not_started or self.running:
            pause = yield from self._start_tasks()
            if self.not_started or self.running:
                yield Wait(pause)
            for task in list(self.running):
                yield from self._poll(task)
        return self.outcomes

    def _start_tasks(self) -> Flow[float]:
        """Start as many tasks as may run. Return the seconds until the next poll."""
        while self.not_started and len(self.running) < self.max_concurrent:
            outcome = self.not_started[0]
            try:
                state = yield from start(self.core, outcome.prompt, **self.options)
            except CodegenAPIError as error:
                if isinstance(error, RateLimitError) and (self.running or self.refused_starts < MAX_REFUSED_STARTS):
                    self.refused_starts += 1
                    return self.poll_interval if self.running else error.retry_after or REFUSED_START_PAUSE
                self._finish(self.not_started.popleft(), error)
            else:
                self.refused_starts = 0
                self.not_started.popleft()
                outcome.task = self.make_task(state)
                ends_at = math.inf if self.timeout is None else self.core.clock() + self.timeout
                self.running.append(_RunningTask(outcome, state, ends_at))
        return self.poll_interval

    def _poll(self, task: _RunningTask[TaskT]) -> Flow[None]:
        error: CodegenAPIError | None = None
        try:
            yield from refresh(self.core, task.state)
            task.limit.reset()
        except CodegenAPIError as failure:
            error = self._final_error(task, failure)
        if error is None and not task.state.ended():
            if self.timeout is None or self.core.clock() < task.ends_at:
                return
            error = timeout_error(task.state, self.timeout)
        self.running.remove(task)
        self._finish(task.outcome, error)

    def _final_error(self, task: _RunningTask[TaskT], failure: CodegenAPIError) -> CodegenAPIError | None:
        """Return the error that ends the wait for a task, or None if it is transient."""
        if not isinstance(failure, TRANSIENT):
            return failure
        try:
            task.limit.count(failure)
        except CodegenAPIError as error:
            return error
        return None

    def _finish(self, outcome: Outcome[TaskT], error: CodegenAPIError | None) -> None:
        outcome.error, outcome.done = error, True
        if self.on_progress:
            self.on_progress(outcome, sum(each.done for each in self.outcomes), len(self.outcomes))
