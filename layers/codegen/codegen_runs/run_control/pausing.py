"""Pause and resume a run. A pause holds the launch and the follow-ups; an agent at work upstream continues."""

from __future__ import annotations

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.problems import Conflict
from codegen_runs.run_control.requests import ControlledRun, ResumeRun
from codegen_runs.runs import transitions
from codegen_runs.runs.actions import ended, refused_pause
from codegen_runs.runs.finding import RunEnded, change, find, find_or_follow, upstream_run
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class RunCancelling(Conflict):
    """The run is being cancelled."""

    code = "run_cancelling"


class RunNotPaused(Conflict):
    """The run is not paused by this deployment."""

    code = "run_not_paused"
    remedy = "Send a prompt to continue the run. Otherwise there is nothing to do."


def pause(run_id: str, *, org_id: int, caller: Caller, backend: Backend) -> ControlledRun:
    """Hold the launch of a run, or its follow-ups.

    Raises `RunNotFound`, `RunEnded`, `RunCancelling`, `CodegenAPIError`, `StorageUnavailable`.
    """
    watch = find_or_follow(run_id, org_id=org_id, caller=caller, backend=backend)
    watch = pause_watch(watch, backend=backend)
    backend.kick(watch)
    if watch.status is Status.PAUSED and watch.agent_run_id is None:
        detail = "The run is launched once it is resumed. Its deadline does not change."
    else:
        detail = "Follow-ups are refused until the run is resumed. The agent itself cannot be paused, and continues."
    return ControlledRun(**run_snapshot(watch, now=backend.clock.now()).model_dump(), detail=detail)


def unpause(run_id: str, request: ResumeRun, *, org_id: int, backend: Backend) -> ControlledRun:
    """Resume a paused run. Raises `RunNotFound`, `RunNotPaused`, `CodegenAPIError`, `StorageUnavailable`."""
    watch = find(run_id, org_id=org_id, runs=backend.runs)
    if watch is None:
        upstream_run(run_id, org_id=org_id, backend=backend)
        raise RunNotPaused("The run is not paused, and the request has no follow-up prompt.")
    watch = unpause_watch(watch, backend=backend)
    backend.kick(watch)
    detail = "The run is queued again." if watch.unlaunched else "Follow-ups are accepted again."
    snapshot = run_snapshot(watch, now=backend.clock.now())
    return ControlledRun(**snapshot.model_dump(), detail=detail, warnings=request.ignored())


def pause_watch(watch: Watch, *, backend: Backend) -> Watch:
    """Pause a run that is followed, unless it is already paused. Raises `RunEnded`, `RunCancelling`."""

    def decide(current: Watch) -> Change | None:
        if not current.status.terminal and current.paused_at is not None:
            return None
        refusal = refused_pause(current.status, paused=False, cancel_requested=current.cancel is not None)
        if refusal is None:
            return transitions.paused(current, now=backend.clock.now())
        raise RunEnded(refusal) if current.status.terminal else RunCancelling(refusal)

    return change(watch, backend.runs, decide)


def unpause_watch(watch: Watch, *, backend: Backend) -> Watch:
    """Resume a paused run that is followed. Raises `RunNotPaused`."""

    def decide(current: Watch) -> Change | None:
        if current.paused_at is None:
            raise RunNotPaused(_not_paused(current))
        return transitions.unpaused(current, now=backend.clock.now())

    return change(watch, backend.runs, decide)


def hold(watch: Watch, *, backend: Backend) -> Watch:
    """Pause a run that waits for its launch, or whose launch may be repeated; change no other run."""

    def decide(current: Watch) -> Change | None:
        may_launch = current.unlaunched or current.status is Status.LAUNCHING
        held = current.paused_at is not None or current.cancel is not None
        return transitions.paused(current, now=backend.clock.now()) if may_launch and not held else None

    return change(watch, backend.runs, decide)


def release(watch: Watch, *, backend: Backend) -> Watch:
    """Resume a run if it is paused; change no other run."""

    def decide(current: Watch) -> Change | None:
        return transitions.unpaused(current, now=backend.clock.now()) if current.paused_at else None

    return change(watch, backend.runs, decide)


def _not_paused(watch: Watch) -> str:
    if watch.status.terminal:
        return f"{ended(watch.status)} Only a prompt can continue it."
    if watch.status is Status.PAUSED:
        return "The agent is paused at Codegen. Only a follow-up prompt can resume it."
    return f"The run is {watch.shown_status}, not paused, and the request has no follow-up prompt."
