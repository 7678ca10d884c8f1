"""Cancel a run, and report how it is cancelled.

| the run is     | a cancel                                                                                     |
|----------------|----------------------------------------------------------------------------------------------|
| not launched   | ends it here; nothing is sent upstream                                                       |
| being launched | is recorded: once the poller knows whether the run exists, it ends the run or has it stopped |
| upstream       | bans its pull request, if allowed; it is `cancelling` until the upstream confirms            |
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
from codegen_runs.runs.actions import Means, effects_of, ended, means_for
from codegen_runs.runs.finding import RunEnded, change, find_or_follow
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel, Watch

NEVER_LAUNCHED = "The run was not launched, and never will be."


class CancelNeedsBan(Conflict):
    """Only a ban of its pull request can stop the run, and the caller has not allowed it."""

    code = "cancel_needs_pr_ban"
    remedy = 'Send {"allow_pr_ban": true} to accept the side effects, or let the run continue.'


class Cancelled(NamedTuple):
    """The outcome of a cancel."""

    watch: Watch
    means: Means
    detail: str
    warnings: list[Warned]


def cancel(
    run_id: str,
    request: CancelRun,
    *,
    org_id: int,
    caller: Caller,
    backend: Backend,
) -> ControlledRun:
    """Cancel a run. The returned run has ended, or is still being stopped.

    Raises `RunNotFound`, `RunEnded`, `CancelNeedsBan`, `NoPermit`, `StorageUnavailable`, and `CodegenAPIError` or
    `CredentialsRefused` if the upstream refuses.
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
    """Cancel a run that is followed. Raises what `cancel` raises."""
    now = backend.clock.now()
    requested = Cancel(
        requested_at=milliseconds(now),
        requested_by=caller.id,
        allow_pr_ban=request.allow_pr_ban,
        reason=request.redacted_reason,
    )
    before: Status | None = None

    def decide(current: Watch) -> Change | None:
        nonlocal before
        decided = _decide(current, requested, now)
        before = current.status if decided else None
        return decided

    written = change(watch, backend.runs, decide)
    if written.status is Status.CANCELLED:
        return Cancelled(written, Means.LOCAL, NEVER_LAUNCHED, [])
    if written.status is Status.CANCELLING and before is not None:
        return _stop(written, before, caller=caller, backend=backend)
    return Cancelled(written, *_under_way(written), [])


def _decide(watch: Watch, requested: Cancel, now: float) -> Change | None:
    if watch.status.terminal:
        raise RunEnded(ended(watch.status))
    if watch.status is Status.CANCELLING:
        return None
    if watch.unlaunched:
        return transitions.cancelled(watch, requested, now=now)
    if watch.status is Status.LAUNCHING:
        recorded = watch.cancel is not None and (watch.cancel.allow_pr_ban or not requested.allow_pr_ban)
        return None if recorded else transitions.cancel_requested(watch, requested, now=now)
    if not requested.allow_pr_ban:
        means = means_for(watch.status, launched=True)
        raise CancelNeedsBan(
            "The run has been launched. The Codegen API cannot cancel a run; it can only ban its pull request.",
            means=means,
            side_effects=[effect.model_dump() for effect in effects_of(means)],
        )
    return transitions.cancelling(watch, requested, now=now)


def _under_way(watch: Watch) -> tuple[Means, str]:
    """Return how a cancel that is under way is carried out, and its detail."""
    if watch.status is Status.CANCELLING:
        detail = "The Codegen API is stopping the run. It is cancelled once the Codegen API confirms that."
        return Means.PR_BAN, detail
    launching = "The run is being launched. If the launch fails, the run is cancelled; otherwise,"
    if watch.cancel and watch.cancel.allow_pr_ban:
        return Means.PR_BAN, f"{launching} it is stopped at Codegen."
    return Means.LOCAL, f"{launching} it continues."


def _stop(watch: Watch, before: Status, *, caller: Caller, backend: Backend) -> Cancelled:
    """Have the upstream stop a run that was just marked as `cancelling`; `before` is its status before that."""
    assert watch.agent_run_id is not None  # noqa: S101 - only a launched run is stopped
    try:
        with permit("standard", caller, watch.org_id, backend):
            backend.codegen.runs.ban(watch.agent_run_id, org_id=watch.org_id)
    except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
        if transitions.ban_outcome_unknown(error):
            detail = f"It is not certain that the Codegen API accepted the ban: {error.summary}"
            return Cancelled(watch, *_under_way(watch), [Warned(code="effect_unknown", pointer="", detail=detail)])
        refusal = error

        def give_up(current: Watch) -> Change | None:
            if current.status is not Status.CANCELLING:
                return None  # The run has ended meanwhile.
            return transitions.ban_refused(current, before, refusal, now=backend.clock.now())

        change(watch, backend.runs, give_up)
        raise
    return Cancelled(watch, *_under_way(watch), [])
