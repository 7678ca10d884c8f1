"""What is done with a task, as flows: start it, look at it, wait for it, cancel it.

A task is an agent run. Codegen itself tells of it what `api.runs.get` has; a deployment knows more, in its run card.
"""

import json
from functools import partial
from typing import Any, Unpack

from ._core import Core
from ._deployment import is_deployment, needs_deployment, new_key
from ._errors import CodegenAPIError, ConflictError, NotSupportedError, TaskTimeoutError
from ._flows import check_interval, do, json_object, poll
from ._ids import Id, as_id
from ._protocol import Call, Flow
from ._task_state import RunOptions, TaskState, TaskStatus
from .resources import runs

_FINDINGS = 20
"""How many of the latest log entries are searched for an error."""


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
        state.read_card((yield Call("GET", path, json_object)))
    else:
        state.read((yield runs.get(core, state.id, org_id=state.org_id)))
    if state.ended() and state.error is None:
        yield from _explain(core, state)


def wait(core: Core, state: TaskState, timeout: float | None, poll_interval: float) -> Flow[None]:
    """Wait until a task ends."""
    check_interval(poll_interval)
    if not state.ended():
        again, overdue = partial(look, core, state), partial(late, state)
        yield from poll(core, again, state.ended, timeout, poll_interval, overdue, pause_first=True)


def late(state: TaskState, timeout: float) -> TaskTimeoutError:
    """Make the error of a task that did not end in time."""
    return TaskTimeoutError(f"task {state.id} is {state.status.value} after {timeout:g} s")


def cancel(core: Core, state: TaskState, allow_pr_ban: bool, reason: str | None) -> Flow[None]:
    """Cancel a task, by the means that are allowed."""
    yield from look(core, state)
    if state.ended():
        return
    if (yield from is_deployment(core)):
        path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/cancel"
        body = {"allow_pr_ban": allow_pr_ban, "reason": reason}
        try:
            yield Call("POST", path, json_object, body=body, idempotency_key=new_key())
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


def _explain(core: Core, state: TaskState) -> Flow[None]:
    """Find out why a task failed: a run has no error, but its last log entries may."""
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
