"""What is done with tasks, as flows: start one, look at it, wait for it, cancel it, run many.

A task is an agent run. Codegen itself tells of it what `api.runs.get` has; a deployment knows more, in its run card.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Unpack

from ._core import Core
from ._driver import Flow
from ._errors import (
    APIConnectionError,
    CodegenAPIError,
    ConflictError,
    DeadlineExceededError,
    InvalidResponseError,
    NotSupportedError,
    RateLimitError,
    ServerError,
    TaskTimeoutError,
)
from ._peer import is_deployment, needs_deployment, new_key
from ._settings import Id, as_id
from ._steps import do
from ._task import RunOptions, TaskState
from ._wire import Call, Wait
from .resources import runs, users

PATIENCE = 5
"""How many looks in a row may fail, each with all its retries, before a wait gives up."""

MOST_REFUSALS = 30
"""How many times in a row a batch tries to start a task that a rate limit refuses while nothing else is under way."""

LAUNCH_PAUSE = 10.0
"""Seconds that a batch waits where its next task is refused by a rate limit that does not say for how long."""

PASSING = (APIConnectionError, InvalidResponseError, RateLimitError, ServerError)
"""What a look may meet that the next one need not: an answer may be cut so that it cannot be read."""
_FINDINGS = 20

T = TypeVar("T")


def start(core: Core, prompt: str, **options: Unpack[RunOptions]) -> Flow[TaskState]:
    """Start a task. On a deployment it is started once, whatever is lost on the way there."""
    if options.get("agent_id") is not None:
        yield from needs_deployment(core, "an agent's task")
    if options.get("idempotency_key") is not None:
        yield from needs_deployment(core, "an idempotency key")
    elif (yield from is_deployment(core)):
        options["idempotency_key"] = new_key()
    run = yield from do(runs.create(core, prompt, **options))
    state = TaskState(id=run.id, org_id=run.organization_id, prompt=prompt)
    state.read(run)
    return state


def find(core: Core, task_id: Id, org_id: Id | None = None) -> Flow[TaskState]:
    """Look at a task by its id."""
    state = TaskState(id=as_id(task_id), org_id=core.org(org_id))
    yield from look(core, state)
    return state


def look(core: Core, state: TaskState) -> Flow[None]:
    """Look at a task anew."""
    if (yield from is_deployment(core)):
        path = f"/v1/organizations/{state.org_id}/run-cards/{state.id}"
        state.read_card((yield Call("GET", path, _json_object)))
    else:
        state.read((yield runs.get(core, state.id, org_id=state.org_id)))
    if state.ended() and state.error is None:
        yield from _explain(core, state)


def wait(core: Core, state: TaskState, timeout: float | None, poll_interval: float) -> Flow[None]:
    """Wait until a task ends. A look that fails for a passing reason is made up for by the next."""
    if poll_interval <= 0:
        raise ValueError("poll_interval must be more than 0 seconds")
    until = math.inf if timeout is None else core.clock() + timeout
    failures = 0
    while not state.ended():
        left = until - core.clock()
        if left <= 0:
            raise TaskTimeoutError(f"task {state.id} is {state.status.value} after {timeout:g} s")
        yield Wait(min(poll_interval, left))
        try:
            yield from look(core, state)
        except PASSING as error:
            failures += 1
            if failures > PATIENCE or isinstance(error, DeadlineExceededError):
                raise
        else:
            failures = 0


def cancel(core: Core, state: TaskState, allow_pr_ban: bool, reason: str | None) -> Flow[None]:
    """Cancel a task, by the means that are allowed."""
    yield from look(core, state)
    if state.ended():
        return
    if (yield from is_deployment(core)):
        path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/cancel"
        body = {"allow_pr_ban": allow_pr_ban, "reason": reason}
        try:
            yield Call("POST", path, _json_object, body=body, idempotency_key=new_key())
        except ConflictError:
            yield from look(core, state)
            if not state.ended():
                raise
            return
    elif allow_pr_ban:
        yield runs.ban(core, state.id, org_id=state.org_id)
    else:
        raise NotSupportedError(
            "Codegen's own API cannot cancel a run: allow_pr_ban=True bans its pull request, which also stops every "
            "other agent on it and mutes its checks"
        )
    yield from look(core, state)


def check(core: Core) -> Flow[dict[str, Any]]:
    """Tell whether the API can be used, and as whom."""
    health: dict[str, Any] = {"status": "unhealthy", "org_id": core.org_id, "base_url": core.base_url}
    try:
        user = yield from do(users.me(core))
        deployment = yield from is_deployment(core)
    except CodegenAPIError as error:
        return health | {"error": str(error), "status_code": error.status_code}
    return health | {"status": "healthy", "user_id": user.id, "deployment": deployment}


def _explain(core: Core, state: TaskState) -> Flow[None]:
    """Find out why a task failed: a run has no error, but its last log entries may."""
    from ._task import TaskStatus

    if state.status is not TaskStatus.FAILED:
        return
    state.error = f"The run ended as {state.word}."
    try:
        latest = yield from do(runs.logs(core, state.id, org_id=state.org_id, limit=_FINDINGS, reverse=True))
    except CodegenAPIError:
        return  # the word will have to do
    for entry in latest.logs:
        if entry.message_type == "ERROR" and entry.observation:
            state.error = _words(entry.observation)
            return


def _words(observation: Any) -> str:
    """Find the words in what a log entry of an error holds, which is a text or any JSON."""
    if isinstance(observation, dict):
        observation = observation.get("error") or observation.get("message") or observation
    return observation if isinstance(observation, str) else json.dumps(observation)


Face = TypeVar("Face")


@dataclass(slots=True)
class Outcome(Generic[Face]):
    """One task of a batch.

    Attributes:
        prompt: What it was to be started with.
        task: The task, once it was started.
        error: Why it was not started, or is not waited for any more.
    """

    prompt: str
    task: Face | None = None
    error: CodegenAPIError | None = None
    done: bool = False


@dataclass(slots=True)
class _Underway:
    outcome: Outcome[Any]
    state: TaskState
    until: float
    failures: int = 0


def run_many(
    core: Core,
    prompts: Sequence[str],
    face: Callable[[TaskState], T],
    *,
    max_concurrent: int,
    timeout: float | None,
    poll_interval: float,
    on_progress: Callable[[Outcome[T], int, int], object] | None,
    options: RunOptions,
) -> Flow[list[Outcome[T]]]:
    """Run a task for each prompt, at most `max_concurrent` at a time, and wait for all of them.

    No failure ends the others. A task that a rate limit refuses is started later.
    """
    if max_concurrent < 1:
        raise ValueError("max_concurrent must be at least 1")
    if poll_interval <= 0:
        raise ValueError("poll_interval must be more than 0 seconds")
    outcomes: list[Outcome[T]] = [Outcome(prompt) for prompt in prompts]
    waiting = list(outcomes)
    underway: list[_Underway] = []

    def finish(outcome: Outcome[T], error: CodegenAPIError | None = None) -> None:
        outcome.error, outcome.done = error, True
        if on_progress:
            on_progress(outcome, sum(each.done for each in outcomes), len(outcomes))

    refusals = 0
    while waiting or underway:
        pause = poll_interval
        while waiting and len(underway) < max_concurrent:
            outcome = waiting[0]
            try:
                state = yield from start(core, outcome.prompt, **options)
            except RateLimitError as error:
                refusals += 1
                if underway or refusals <= MOST_REFUSALS:
                    pause = poll_interval if underway else error.retry_after or LAUNCH_PAUSE
                    break
                finish(waiting.pop(0), error)
                continue
            except CodegenAPIError as error:
                finish(waiting.pop(0), error)
                continue
            refusals = 0
            waiting.pop(0)
            outcome.task = face(state)
            underway.append(_Underway(outcome, state, math.inf if timeout is None else core.clock() + timeout))
        if underway or waiting:
            yield Wait(pause)
        for each in list(underway):
            try:
                yield from look(core, each.state)
                each.failures = 0
            except PASSING as error:
                each.failures += 1
                if each.failures <= PATIENCE and not isinstance(error, DeadlineExceededError):
                    continue
                underway.remove(each)
                finish(each.outcome, error)
            except CodegenAPIError as error:
                underway.remove(each)
                finish(each.outcome, error)
            else:
                if each.state.ended():
                    underway.remove(each)
                    finish(each.outcome)
                elif core.clock() >= each.until:
                    underway.remove(each)
                    late = f"task {each.state.id} is {each.state.status.value} after {timeout:g} s"
                    finish(each.outcome, TaskTimeoutError(late))
    return outcomes


def _json_object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - what `Call.parse` raises
    return found
