"""Add candidates to a multi-run that is running, and drop candidates from it."""

from __future__ import annotations

from contextlib import ExitStack

from codegen_api import CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.budgets import spending
from codegen_runs.budgets.counting import Need
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.limits import backlogs
from codegen_runs.limits.permits import NoPermit
from codegen_runs.multi_runs import candidates, leaving, recording, transitions, variants
from codegen_runs.multi_runs.parameters import VariantOptions
from codegen_runs.multi_runs.service import NET_SECONDS, SYNTHESIS_SECONDS, MultiRunEnded, find, watches_of
from codegen_runs.multi_runs.snapshots import CancelledMultiRun, MultiRunSnapshot, RunCancel, snapshot
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.problems import Conflict, CredentialsRefused, NotFound
from codegen_runs.run_control.cancelling import CancelNeedsBan, cancel_watch
from codegen_runs.run_control.requests import CancelRun
from codegen_runs.runs.actions import effects_of
from codegen_runs.runs.finding import RunEnded
from codegen_runs.settings import most_candidates
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import Watch


class CandidateNotFound(NotFound):
    """The multi-run has no such candidate."""

    code = "candidate_not_found"


class CandidatesComplete(Conflict):
    """All candidates have come, so none can be added or dropped."""

    code = "candidates_complete"
    remedy = "Start another multi-run."


class TooManyCandidates(Conflict):
    """The multi-run has as many candidates as the deployment allows."""

    code = "too_many_candidates"
    remedy = "Start another multi-run, or raise the deployment's parameter MaxCandidates."


class _IndexTaken(Exception):  # noqa: N818 - an expected outcome
    """Another request added a candidate at the same time."""


def add(
    org_id: int, multi_run_id: str, request: VariantOptions, *, caller: Caller, backend: Backend
) -> MultiRunSnapshot:
    """Add a candidate to a running multi-run, and queue its run.

    What the request leaves out is that of the multi-run. Raises `MultiRunNotFound`, `MultiRunEnded`,
    `CandidatesComplete`, `TooManyCandidates`, `BudgetExhausted`, `TooManyQueuedRuns`, `AgentNotFound`,
    `StorageUnavailable`.
    """
    multi_run = find(org_id, multi_run_id, backend=backend)
    (candidate,) = variants.complete([request], multi_run.defaults, org_id=org_id, backend=backend)
    candidate = candidate.model_copy(update={"added": True})
    while True:
        _check_accepting(multi_run, backend)
        index = len(multi_run.candidates)
        if index >= most_candidates():
            raise TooManyCandidates(f"The multi-run has {index} candidates, which is the limit.")
        key = multi_run.candidate_key(index)
        until = multi_run.deadline_at + milliseconds(SYNTHESIS_SECONDS + NET_SECONDS)
        need = Need(
            caller=caller.id,
            key=key,
            runs=1,
            candidates=index + 1,
            until=until,
            ahead=True,
            execution=multi_run.execution,
        )

        def decide(current: MultiRun, index: int = index) -> Change:
            _check_accepting(current, backend)
            if len(current.candidates) != index:
                raise _IndexTaken
            return transitions.candidate_added(current, candidate, by=caller.id, now=backend.clock.now())

        with ExitStack() as on_error:
            on_error.callback(spending.take(need, org_id=org_id, backend=backend).give_back)
            backlogs.reserve(
                multi_run.id,
                [key],
                execution=multi_run.execution,
                org_id=org_id,
                caller=caller,
                until=until,
                backend=backend,
            )
            try:
                multi_run, _ = recording.update(multi_run, decide, backend=backend)
            except _IndexTaken:  # The other request has reserved the same key.
                multi_run = find(org_id, multi_run_id, backend=backend)
                continue
            except Conflict:
                backlogs.leave(multi_run.id, key, org_id=org_id, backend=backend)
                raise
            on_error.pop_all()
        break
    # If this fails, the state machine queues the run when it has waited for the other candidates.
    candidates.queue(multi_run, index, None, backend=backend)
    backend.kick(multi_run)
    return snapshot(multi_run, watches_of(multi_run, backend=backend), now=backend.clock.now())


def drop(
    org_id: int, multi_run_id: str, index: int, request: CancelRun, *, caller: Caller, backend: Backend
) -> CancelledMultiRun:
    """Drop a candidate from a running multi-run: it does not count, and its run is cancelled as far as possible.

    A launched run is stopped if the request allows a ban. Otherwise it continues at Codegen without its multi-run. A
    repeated request changes nothing, but can allow the ban. Raises `MultiRunNotFound`, `CandidateNotFound`,
    `MultiRunEnded`, `CandidatesComplete`, `StorageUnavailable`.
    """
    now = backend.clock.now()
    multi_run = find(org_id, multi_run_id, backend=backend)
    if index >= len(multi_run.candidates):
        raise CandidateNotFound(
            f"No candidate has the index {index}: the multi-run has {len(multi_run.candidates)} candidates."
        )

    def decide(multi_run: MultiRun) -> Change | None:
        if str(index) not in multi_run.dropped:
            _check_accepting(multi_run, backend)
        return transitions.candidate_dropped(multi_run, index, by=caller.id, reason=request.redacted_reason, now=now)

    multi_run, _ = recording.update(multi_run, decide, backend=backend)
    # From here on the launching task finds the candidate dropped.
    before = backend.runs.get(org_id, multi_run.candidate_key(index))
    stopped = _stop(before, index, request, caller=caller, backend=backend) if before else None
    left = leaving.carry_out(multi_run, backend=backend)
    if not left:
        leaving.give_back(multi_run, backend=backend)
    if before is None:
        backlogs.leave(multi_run.id, multi_run.candidate_key(index), org_id=org_id, backend=backend)
    backend.kick(multi_run, *left)
    found = snapshot(multi_run, watches_of(multi_run, backend=backend), now=now)
    return CancelledMultiRun(
        **found.model_dump() | {"warnings": request.ignored()}, cancelled_runs=[stopped] if stopped else []
    )


def _check_accepting(multi_run: MultiRun, backend: Backend) -> None:
    """Raise `MultiRunEnded` or `CandidatesComplete` if candidates can no longer be added or dropped."""
    if multi_run.status.terminal:
        raise MultiRunEnded(f"The multi-run is already {multi_run.status}.")
    if multi_run.gathered_at is not None:
        raise CandidatesComplete("All candidates have come, and the answer is being made.")
    if milliseconds(backend.clock.now()) >= multi_run.deadline_at:
        raise CandidatesComplete("The deadline of the candidates has passed.")


def _stop(watch: Watch, index: int, request: CancelRun, *, caller: Caller, backend: Backend) -> RunCancel | None:
    """Cancel the run of a dropped candidate, and report how; None if it had ended."""
    means = None
    try:
        outcome = cancel_watch(watch, request, caller=caller, backend=backend)
        watch, means = outcome.watch, outcome.means
        detail = " ".join([outcome.detail, *(warning.detail for warning in outcome.warnings)])
    except RunEnded:
        return None
    except CancelNeedsBan:
        detail = "The run continues at Codegen, without its multi-run. Only a ban can stop it; none was allowed."
    except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
        detail = f"The run continues at Codegen, because the Codegen API refused to stop it: {error}"
    return RunCancel(
        key=watch.key,
        candidate=index,
        agent_run_id=watch.agent_run_id,
        status=watch.status,
        means=means,
        side_effects=effects_of(means),
        detail=detail,
    )
