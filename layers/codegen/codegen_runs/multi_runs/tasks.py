"""The tasks of the state machine, one function per state. Each can be called again with the same input.

The state contains only ids, because a Step Functions payload is limited to 256 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from codegen_runs.backend import Backend
from codegen_runs.limits import backlogs
from codegen_runs.multi_runs import candidates, judging, recording, synthesis, transitions, waves
from codegen_runs.multi_runs.service import NET_SECONDS, SYNTHESIS_SECONDS, watches_of
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.run_control import pausing
from codegen_runs.runs.following import enqueue, withdraw
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import Launch

# The priority in the launch queue: before the candidates of other multi-runs.
SYNTHESIS = candidates.PRIORITY - 1

# What the state machine does next.
LAUNCH, SYNTHESIZE, PUBLISH = "launch", "synthesize", "publish"

State = dict[str, object]
"""The state of an execution: ids, and timeouts in seconds."""


class MultiRunGone(Exception):  # noqa: N818 - the error name that the execution history shows
    """The multi-run has ended or does not exist, so its state machine has nothing left to do."""


def plan(org_id: int, multi_run_id: str, *, backend: Backend) -> State:
    """Mark a multi-run as running and list the candidates to launch."""
    multi_run = _update(
        _open(org_id, multi_run_id, backend), partial(transitions.launching, now=backend.clock.now()), backend
    )
    judgement = judging.judge(multi_run, watches_of(multi_run, backend=backend))
    return _state(multi_run, LAUNCH, to_launch=waves.first(judgement))


def launch(org_id: int, multi_run_id: str, index: int, task_token: str, *, backend: Backend) -> None:
    """Queue the run of one candidate. The poller answers the task token when the run has ended."""
    multi_run = _open(org_id, multi_run_id, backend)
    candidates.queue(multi_run, index, task_token, backend=backend)
    _catch_up(multi_run, multi_run.candidate_key(index), backend)


def gather(org_id: int, multi_run_id: str, waited_for: str, *, backend: Backend) -> State:
    """Decide what follows: further candidates, a synthesis, or the end.

    Args:
        org_id: The organization.
        multi_run_id: The multi-run.
        waited_for: The `next` of the state before: what the state machine has just waited for.
        backend: The clock and the tables.
    """
    multi_run = _open(org_id, multi_run_id, backend)
    judgement = judging.judge(multi_run, watches_of(multi_run, backend=backend))
    if further := waves.further(multi_run, judgement):
        return _state(multi_run, LAUNCH, to_launch=further)
    multi_run = _update(multi_run, partial(transitions.gathered, judgement=judgement, now=backend.clock.now()), backend)
    if waited_for != SYNTHESIZE and judging.needs_synthesis(multi_run, judgement):
        return _state(multi_run, SYNTHESIZE)
    return _state(multi_run, PUBLISH)


def synthesize(org_id: int, multi_run_id: str, task_token: str, *, backend: Backend) -> None:
    """Queue the run that combines the usable answers. The poller answers the task token when the run has ended."""
    now, multi_run = backend.clock.now(), _open(org_id, multi_run_id, backend)
    judgement = judging.judge(multi_run, watches_of(multi_run, backend=backend))
    order = synthesis.order(multi_run, judgement)
    multi_run = _update(multi_run, partial(transitions.synthesizing, order=order, now=now), backend)
    chosen = [judgement.candidates[index] for index in multi_run.synthesis_order or []]
    enqueue(
        org_id=org_id,
        key=multi_run.synthesis_key,
        prompt=synthesis.compose(multi_run, chosen),
        launch=Launch(
            repo_id=multi_run.repo_id,
            model=multi_run.synthesis.model,
            metadata=multi_run.metadata | {"multi_run_id": multi_run.id, "role": "synthesis"},
        ),
        task_token=task_token,
        multi_run_id=multi_run_id,
        priority=SYNTHESIS,
        deadline=max(multi_run.deadline_at / 1000, now + SYNTHESIS_SECONDS),
        paused=multi_run.paused_at is not None,
        created_by=multi_run.created_by,
        request_id=multi_run.request_id,
        backend=backend,
    )
    _catch_up(multi_run, multi_run.synthesis_key, backend)


def publish(org_id: int, multi_run_id: str, error: str | None = None, *, backend: Backend) -> dict[str, str]:
    """Settle a multi-run with its answer, or with the reason why there is none.

    `error` is the failure of the state machine, if it failed. It is part of that reason.
    """
    multi_run = backend.multi_runs.get(org_id, multi_run_id)
    if multi_run is None or multi_run.status.terminal:
        return {"multi_run_id": multi_run_id}
    watches = watches_of(multi_run, backend=backend)
    judgement = judging.judge(multi_run, watches)
    reason = judging.shortfall(multi_run, judgement)
    if reason and error:
        reason = f"{error} {reason}"
    now = backend.clock.now()
    answer = None if reason else synthesis.conclude(multi_run, judgement, watches.get(multi_run.synthesis_key))

    def settle(multi_run: MultiRun) -> Change | None:
        if multi_run.status.terminal:
            return None
        if reason:
            return transitions.failed(multi_run, reason, now=now)
        return transitions.completed(multi_run, answer, now=now)

    multi_run, _ = recording.update(multi_run, settle, backend=backend)
    backend.kick(multi_run)
    backlogs.release(multi_run_id, org_id=org_id, backend=backend)
    return {"multi_run_id": multi_run_id}


def _state(multi_run: MultiRun, following: str, *, to_launch: Sequence[int] = ()) -> State:
    return {
        "org_id": multi_run.org_id,
        "multi_run_id": multi_run.id,
        "next": following,
        "candidates": list(to_launch),
        "candidate_timeout_s": multi_run.candidate_timeout_s + NET_SECONDS,
        "internal_timeout_s": max(multi_run.candidate_timeout_s, SYNTHESIS_SECONDS) + NET_SECONDS,
    }


def _open(org_id: int, multi_run_id: str, backend: Backend) -> MultiRun:
    multi_run = backend.multi_runs.get(org_id, multi_run_id)
    if multi_run is None or multi_run.status.terminal:
        raise MultiRunGone(multi_run_id)
    return multi_run


def _update(multi_run: MultiRun, decide: Callable[[MultiRun], Change | None], backend: Backend) -> MultiRun:
    """Store a change of an open multi-run, and have its events pushed. Raises `MultiRunGone` if it has ended."""

    def checked(multi_run: MultiRun) -> Change | None:
        if multi_run.status.terminal:
            raise MultiRunGone(multi_run.id)
        return decide(multi_run)

    multi_run, is_changed = recording.update(multi_run, checked, backend=backend)
    if is_changed:
        backend.kick(multi_run)
    return multi_run


def _catch_up(multi_run: MultiRun, key: str, backend: Backend) -> None:
    """Apply to a run that was just queued what a caller did to the multi-run between our read and our write."""
    current = backend.multi_runs.get(multi_run.org_id, multi_run.id)
    cancelled = current is not None and current.status is MultiRunStatus.CANCELLED
    paused = current is not None and current.paused_at is not None
    if not (cancelled or paused or multi_run.paused_at):
        return
    if watch := backend.runs.get(multi_run.org_id, key):
        if cancelled:
            withdraw(watch, backend=backend)
        elif paused:
            pausing.hold(watch, backend=backend)
        else:
            pausing.release(watch, backend=backend)
        backend.kick(watch)
