"""Cancelling a run by the means that there are, and telling which one it was.

| the run is     | what a cancel does                                                                          |
|----------------|---------------------------------------------------------------------------------------------|
| not launched   | it ends here; the upstream never hears of it                                                |
| being launched | nobody knows whether it exists: the poller ends it, or has it stopped, once it knows        |
| upstream       | its pull request is banned, if that is allowed; it is `cancelling` until the upstream says so |
"""

from __future__ import annotations

from typing import NamedTuple

from codegen_api import CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.limits.permits import NoPermit, permit
from codegen_runs.problems import Conflict, CredentialsRefused
from codegen_runs.run_control.requests import CancelRun, ControlledRun
from codegen_runs.runs import transitions
from codegen_runs.runs.actions import Means, effects_of, means_for
from codegen_runs.runs.finding import RunEnded, change, find_or_follow
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel, Watch


class CancelNeedsBan(Conflict):
    """The run can only be cancelled by a means that the caller has not allowed."""

    code = "cancel_needs_pr_ban"
    remedy = 'Send {"allow_pr_ban": true} to accept the side effects, or let the run go on.'


class Cancelled(NamedTuple):
    """What became of a cancel."""

    watch: Watch
    means: Means
    detail: str
    warnings: list[Warned]

    @property
    def open(self) -> bool:
        """Whether it is still to be confirmed."""
        return not self.watch.status.terminal


def cancel(
    run_id: str,
    request: CancelRun,
    *,
    org_id: int,
    caller: Caller,
    backend: Backend,
) -> ControlledRun:
    """Cancel a run; it has ended in the answer, or is still to be stopped.

    Raises `RunNotFound`, `RunEnded`, `CancelNeedsBan`, `NoPermit`, `StorageUnavailable`, and `CodegenAPIError` or
    `CredentialsRefused` where the upstream refuses.
    """
    watch = find_or_follow(run_id, org_id=org_id, caller=caller, backend=backend)
    cancelled = cancel_watch(watch, request, caller=caller, backend=backend)
    backend.kick(cancelled.watch)
    return ControlledRun(
        **run_snapshot(cancelled.watch, now=backend.clock.now()).model_dump(),
        detail=cancelled.detail,
        means=cancelled.means,
        side_effects=effects_of(cancelled.means),
        warnings=request.ignored() + cancelled.warnings,
    )


def cancel_watch(watch: Watch, request: CancelRun, *, caller: Caller, backend: Backend) -> Cancelled:
    """Cancel a run that is followed here. Raises as `cancel` does."""
    now = backend.clock.now()
    asked = Cancel(
        requested_at=milliseconds(now),
        requested_by=caller.id,
        allow_pr_ban=request.allow_pr_ban,
        reason=request.told_reason,
    )
    before: Status | None = None

    def decide(current: Watch) -> Change | None:
        nonlocal before
        decided = _decide(current, asked, now)
        before = current.status if decided else None
        return decided

    written = change(watch, backend.runs, decide)
    if written.status is Status.CANCELLED:
        return Cancelled(written, Means.LOCAL, "The run was never launched, and will not be.", [])
    if written.status is Status.CANCELLING and before is not None:
        return _stop(written, before, caller=caller, backend=backend)
    return Cancelled(written, *_open(written), [])


def _decide(watch: Watch, asked: Cancel, now: float) -> Change | None:
    if watch.status.terminal:
        raise RunEnded(f"The run has ended: {watch.status}.")
    if watch.status is Status.CANCELLING:
        return None
    if watch.unlaunched:
        return transitions.cancelled(watch, asked, now=now)
    if watch.status is Status.LAUNCHING:
        known = watch.cancel is not None and (watch.cancel.allow_pr_ban or not asked.allow_pr_ban)
        return None if known else transitions.cancel_requested(watch, asked, now=now)
    if not asked.allow_pr_ban:
        means = means_for(watch.status, launched=True)
        raise CancelNeedsBan(
            "The run works upstream, and the Codegen API cannot cancel a run: it can only ban its pull request.",
            means=means,
            side_effects=[effect.model_dump() for effect in effects_of(means)],
        )
    return transitions.cancelling(watch, asked, now=now)


def _open(watch: Watch) -> tuple[Means, str]:
    """Tell how a cancel that is under way is done."""
    if watch.status is Status.CANCELLING:
        return Means.PR_BAN, "The Codegen API has been asked to stop the run; it is cancelled once that is confirmed."
    if watch.cancel and watch.cancel.allow_pr_ban:
        return Means.PR_BAN, "The run is being launched. It is cancelled if it is not, and stopped upstream if it is."
    return Means.LOCAL, "The run is being launched. It is cancelled if it is not; if it is, it goes on."


def _stop(watch: Watch, before: Status, *, caller: Caller, backend: Backend) -> Cancelled:
    """Ask the upstream to stop a run that has just been marked as `cancelling`, and was `before`."""
    assert watch.agent_run_id is not None  # noqa: S101 - only a launched run is stopped
    try:
        with permit("standard", caller, backend):
            backend.codegen.runs.ban(watch.agent_run_id, org_id=watch.org_id)
    except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
        if transitions.ban_outcome_unknown(error):
            detail = f"Nobody knows whether the Codegen API took the ban: {error}"
            return Cancelled(watch, *_open(watch), [Warned(code="effect_unknown", pointer="", detail=detail)])
        refusal = error

        def give_up(current: Watch) -> Change | None:
            if current.status is not Status.CANCELLING:
                return None  # it has ended meanwhile
            return transitions.ban_refused(current, before, refusal, now=backend.clock.now())

        change(watch, backend.runs, give_up)
        raise
    return Cancelled(watch, *_open(watch), [])
