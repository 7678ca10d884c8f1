"""The operations on a task, as flows: start, find, refresh, wait and cancel.

A task is an agent run. The Codegen API returns the run (`api.runs.get`). A deployment returns its run card, which has
more.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from ._core import Core
from ._deployment import is_deployment, new_idempotency_key, require_deployment
from ._errors import (
    CodegenAPIError,
    ConflictError,
    InvalidResponseError,
    NotSupportedError,
    TaskTimeoutError,
)
from ._flows import check_poll_interval, json_object, perform, poll
from ._ids import Id, as_id
from ._models import Webhooks
from ._protocol import Call, Flow
from ._task_state import RunOptions, TaskState
from .resources import runs

if TYPE_CHECKING:
    from ._deployment_models import Checkpoint

_ERROR_SEARCH_ENTRIES = 20
"""Number of latest log entries that are searched for an error message."""

_END_CHECKPOINT_SECONDS = 60.0
"""A deployment reads its runs at least once a minute."""

_CHECKPOINT_INTERVAL = 1.0
"""Seconds between two requests for the latest checkpoint."""


def start(core: Core, prompt: str, **options: Unpack[RunOptions]) -> Flow[TaskState]:
    """Start a task. On a deployment an idempotency key ensures that retries start it only once."""
    if options.get("agent_id") is not None:
        yield from require_deployment(core, "agents")
    if options.get("idempotency_key") is not None:
        yield from require_deployment(core, "idempotency keys")
    elif (yield from is_deployment(core)):
        options["idempotency_key"] = new_idempotency_key()
    run = yield from perform(runs.create(core, prompt, **options))
    state = TaskState(id=run.id, org_id=run.organization_id, prompt=prompt)
    state.update_from_run(run)
    return state


def find(core: Core, task_id: Id, org_id: Id | None = None) -> Flow[TaskState]:
    """Read a task by its id."""
    state = TaskState(id=as_id(task_id), org_id=core.org(org_id))
    yield from refresh(core, state)
    return state


def refresh(core: Core, state: TaskState) -> Flow[None]:
    """Read a task again."""
    if (yield from is_deployment(core)):
        path = f"/v1/organizations/{state.org_id}/run-cards/{state.id}"
        state.update_from_card((yield Call("GET", path, json_object)))
    else:
        state.update_from_run((yield runs.get(core, state.id, org_id=state.org_id)))
    if state.status.failed and state.error is None:
        yield from _find_error(core, state)


def wait(core: Core, state: TaskState, timeout: float | None, poll_interval: float) -> Flow[None]:
    """Wait until a task ends."""
    check_poll_interval(poll_interval)
    if not state.ended():
        poll_once, timed_out = partial(refresh, core, state), partial(timeout_error, state)
        yield from poll(core, poll_once, state.ended, timeout, poll_interval, timed_out, pause_first=True)


def timeout_error(state: TaskState, timeout: float) -> TaskTimeoutError:
    """Make the exception for a task that has not ended in time."""
    return TaskTimeoutError(f"task {state.id} is still {state.status.value} after {timeout:g} s")


def cancel(core: Core, state: TaskState, allow_pr_ban: bool, reason: str | None) -> Flow[None]:
    """Cancel a task unless it has ended. Ban its pull request only if that is allowed."""
    yield from refresh(core, state)
    if state.ended():
        return
    if (yield from is_deployment(core)):
        path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/cancel"
        body = {"allow_pr_ban": allow_pr_ban, "reason": reason}
        try:
            yield Call("POST", path, json_object, body=body, idempotency_key=new_idempotency_key())
        except ConflictError:
            yield from refresh(core, state)
            if not state.ended():
                raise
            return
    elif allow_pr_ban:
        yield runs.ban(core, state.id, org_id=state.org_id)
    else:
        raise NotSupportedError(
            "the Codegen API cannot cancel a run. With allow_pr_ban=True, the client bans its pull request instead, "
            "which also stops every other agent on it and mutes its checks"
        )
    yield from refresh(core, state)


def pause(core: Core, state: TaskState) -> Flow[None]:
    """Pause a task."""
    yield from runs.pause(core, state.id, org_id=state.org_id)
    yield from refresh(core, state)


def resume(core: Core, state: TaskState) -> Flow[None]:
    """End the pause of a task."""
    yield from runs.resume(core, state.id, org_id=state.org_id)
    yield from refresh(core, state)


def follow_up(
    core: Core,
    state: TaskState,
    prompt: str,
    *,
    images: Sequence[str] | None,
    model: str | None,
    webhooks: Webhooks | None,
) -> Flow[None]:
    """Send a follow-up prompt. On a deployment an idempotency key ensures that retries send it only once."""
    key = new_idempotency_key() if (yield from is_deployment(core)) else None
    state.update_from_run(
        (
            yield runs.follow_up(
                core,
                state.id,
                prompt,
                org_id=state.org_id,
                images=images,
                model=model,
                webhooks=webhooks,
                idempotency_key=key,
            )
        )
    )


def fork(
    core: Core,
    state: TaskState,
    checkpoint_id: str | None,
    *,
    prompt: str | None,
    system_prompt: str | None,
    model: str | None,
) -> Flow[TaskState]:
    """Start a task from a checkpoint of another one, by default from the latest."""
    from .resources import checkpoints

    if checkpoint_id is None:
        checkpoint_id = (yield from _latest_checkpoint(core, state)).id
    forked = yield from checkpoints.fork(
        core, checkpoint_id, prompt=prompt, system_prompt=system_prompt, model=model, org_id=state.org_id
    )
    if forked.agent_run_id is None:
        raise InvalidResponseError("the server did not return the id of the new run")
    return (yield from find(core, forked.agent_run_id, state.org_id))


def _latest_checkpoint(core: Core, state: TaskState) -> "Flow[Checkpoint]":
    """Read the latest checkpoint of a task; make one if there is none.

    A deployment can show that a task ended before it has recorded the end. Until then its checkpoints do not have the
    answer, so this waits for the checkpoint of the end.
    """
    from .resources import checkpoints

    newest_first = checkpoints.list_(core, state.id, limit=1, org_id=state.org_id)
    latest: Checkpoint | None = None

    def read() -> Flow[None]:
        nonlocal latest
        found = (yield from perform(newest_first.call(None))).items
        latest = found[0] if found else (yield from checkpoints.create(core, state.id, org_id=state.org_id))

    def is_up_to_date() -> bool:
        return latest is not None and (
            not state.ended() or (latest.status.final and latest.turn >= (state.turn or latest.turn))
        )

    def timed_out(timeout: float) -> TaskTimeoutError:
        return TaskTimeoutError(f"the checkpoint of the end of task {state.id} is still missing after {timeout:g} s")

    yield from newest_first.before(core)
    yield from poll(core, read, is_up_to_date, _END_CHECKPOINT_SECONDS, _CHECKPOINT_INTERVAL, timed_out)
    assert latest is not None  # noqa: S101 - `is_up_to_date` was True
    return latest


def _find_error(core: Core, state: TaskState) -> Flow[None]:
    """Find out why a task failed. A run of the Codegen API has no error message, but its latest log entries may."""
    state.error = f"The run ended with status {state.raw_status}."
    try:
        latest = yield from perform(
            runs.logs(core, state.id, org_id=state.org_id, limit=_ERROR_SEARCH_ENTRIES, reverse=True)
        )
    except CodegenAPIError:
        return  # keep the message with the status
    for entry in latest.logs:
        if entry.message_type == "ERROR" and entry.observation:
            state.error = _error_text(entry.observation)
            return


def _error_text(observation: Any) -> str:
    """Return the message in the observation of a log entry, which is a text or any JSON value."""
    if isinstance(observation, dict):
        observation = observation.get("error") or observation.get("message") or observation
    return observation if isinstance(observation, str) else json.dumps(observation)
