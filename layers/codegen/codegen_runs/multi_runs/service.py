"""Create, read, list, cancel, pause and resume multi-runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from codegen_api import CodegenAPIError
from codegen_runs import cursors
from codegen_runs.backend import Backend
from codegen_runs.budgets import spending
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.limits import backlogs, launch_queue
from codegen_runs.limits.permits import NoPermit
from codegen_runs.multi_runs import costs, drafting, executions, forking, leaving, recording
from codegen_runs.multi_runs.parameters import CreateMultiRun
from codegen_runs.multi_runs.snapshots import (
    CancelledMultiRun,
    MultiRunSnapshot,
    MultiRunSummary,
    RunCancel,
    snapshot,
    summary,
)
from codegen_runs.multi_runs.transitions import Change, cancelled, failed, paused, resumed
from codegen_runs.problems import Conflict, CredentialsRefused, NotFound, StorageUnavailable
from codegen_runs.run_control import pausing
from codegen_runs.run_control.cancelling import NEVER_LAUNCHED, CancelNeedsBan, cancel_watch
from codegen_runs.run_control.requests import CancelRun
from codegen_runs.runs.actions import Means, effects_of
from codegen_runs.runs.finding import RunEnded
from codegen_runs.runs.following import withdraw
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import Cancel, Watch

# Seconds by which the state machine's timeouts are later than the poller's deadlines, as a safety net.
NET_SECONDS = 300

# The least seconds that the synthesis has, because it may begin when the candidates' deadline is over.
SYNTHESIS_SECONDS = 900

# The most runs of a multi-run that are stopped at the same time. A ban takes the upstream a second or more.
CONCURRENCY = 8


class MultiRunNotFound(NotFound):
    """The organization has no such multi-run."""

    code = "multi_run_not_found"

    def __init__(self, multi_run_id: str) -> None:
        super().__init__(f"There is no multi-run {multi_run_id} in this organization.")


class MultiRunEnded(Conflict):
    """The multi-run has ended."""

    code = "multi_run_ended"


class MultiRunNotPaused(Conflict):
    """The multi-run is not paused."""

    code = "multi_run_not_paused"


def create(request: CreateMultiRun, *, org_id: int, caller: Caller, backend: Backend) -> MultiRunSnapshot:
    """Store a multi-run and start its state machine.

    Raises `AgentNotFound`, `ApiTokenRequired`, `CheckpointNotFound`, `RunNotStarted`, `CodegenAPIError`,
    `BudgetExhausted` or `TooManyQueuedRuns`, and nothing was stored, or `StorageUnavailable`; then nothing is running.
    """
    now = backend.clock.now()
    multi_run, warnings = drafting.draft(request, org_id=org_id, caller=caller, backend=backend)
    multi_run = forking.with_places(multi_run, backend=backend)
    until = multi_run.deadline_at + milliseconds(SYNTHESIS_SECONDS + NET_SECONDS)
    with ExitStack() as on_error:
        spent = spending.take(drafting.need(multi_run, until), org_id=org_id, backend=backend)
        on_error.callback(spent.give_back)
        keys = costs.keys(multi_run)
        backlogs.reserve(
            multi_run.id,
            keys,
            execution=multi_run.execution,
            org_id=org_id,
            caller=caller,
            until=until,
            backend=backend,
        )
        on_error.callback(backlogs.release, multi_run.id, execution=multi_run.execution, org_id=org_id, backend=backend)
        multi_run = recording.add(multi_run, spent.warnings, backend=backend)
        try:
            executions.start(multi_run)
        except StorageUnavailable:
            reason = "The multi-run could not be started."
            recording.update(multi_run, lambda current: failed(current, reason, now=now), backend=backend)
            raise
        on_error.pop_all()
    return snapshot(multi_run, {}, now=now).model_copy(update={"warnings": warnings})


def get(org_id: int, multi_run_id: str, *, backend: Backend) -> MultiRunSnapshot:
    """Read a multi-run with its runs. Raises `MultiRunNotFound`, `StorageUnavailable`."""
    multi_run = find(org_id, multi_run_id, backend=backend)
    watches = watches_of(multi_run, backend=backend)
    waits = any(watch.rank is not None for watch in watches.values())
    queue = launch_queue.places(org_id, backend) if waits else None
    return snapshot(multi_run, watches, queue, now=backend.clock.now())


def newest(
    org_id: int, *, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[MultiRunSummary]:
    """List the multi-runs of an organization, newest first. Raises `InvalidCursor`, `StorageUnavailable`."""
    listing = cursors.Listing.of(caller, "multi-runs", org_id)
    before = listing.position(cursor, str) if cursor else None
    multi_runs, position = backend.multi_runs.newest(org_id, limit, before)
    return listing.page([summary(multi_run) for multi_run in multi_runs], position)


def cancel(
    org_id: int,
    multi_run_id: str,
    request: CancelRun,
    *,
    caller: Caller,
    backend: Backend,
) -> CancelledMultiRun:
    """Cancel a multi-run and its runs. A run that waits for its launch never starts.

    A launched run is stopped if the request allows a ban. Otherwise it continues upstream without its multi-run, until
    a further cancel allows a ban. Raises `MultiRunNotFound`, `MultiRunEnded`, `StorageUnavailable`.
    """
    now = backend.clock.now()
    multi_run = find(org_id, multi_run_id, backend=backend)

    def decide(multi_run: MultiRun) -> Change | None:
        if multi_run.status is not MultiRunStatus.CANCELLED:
            _check_open(multi_run)
        return cancelled(multi_run, by=caller.id, reason=request.redacted_reason, now=now)

    multi_run, _ = recording.update(multi_run, decide, backend=backend)
    # From here on the launching tasks find the multi-run cancelled. A further cancel completes an interrupted one.
    executions.stop(multi_run)

    def cancel_one(watch: Watch) -> RunCancel:
        return _cancel_run(multi_run, watch, request, caller=caller, backend=backend)

    running = [watch for watch in watches_of(multi_run, backend=backend).values() if not watch.status.terminal]
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        outcomes = list(threads.map(cancel_one, running))
    leaving.release(multi_run, backend=backend)
    backend.kick(multi_run, *running)
    return CancelledMultiRun(
        **_snapshot(multi_run, backend).model_dump() | {"warnings": request.ignored()},
        cancelled_runs=sorted(outcomes, key=lambda run: run.key),
    )


def pause(org_id: int, multi_run_id: str, *, backend: Backend) -> MultiRunSnapshot:
    """Hold the launches of a multi-run until it is resumed. Launched runs continue, and deadlines do not change.

    Raises `MultiRunNotFound`, `MultiRunEnded`, `StorageUnavailable`.
    """
    multi_run = find(org_id, multi_run_id, backend=backend)

    def decide(multi_run: MultiRun) -> Change | None:
        _check_open(multi_run)
        return paused(multi_run, now=backend.clock.now())

    multi_run, _ = recording.update(multi_run, decide, backend=backend)
    # From here on the launching tasks find the multi-run paused.
    held = [pausing.hold(watch, backend=backend) for watch in watches_of(multi_run, backend=backend).values()]
    backend.kick(multi_run, *held)
    return _snapshot(multi_run, backend)


def resume(org_id: int, multi_run_id: str, *, backend: Backend) -> MultiRunSnapshot:
    """Resume a paused multi-run.

    Raises `MultiRunNotFound`, `MultiRunEnded`, `MultiRunNotPaused`, `StorageUnavailable`.
    """
    multi_run = find(org_id, multi_run_id, backend=backend)
    if multi_run.paused_at is None:
        _check_open(multi_run)
        raise MultiRunNotPaused(f"The multi-run is {multi_run.status}, not paused.")

    def decide(multi_run: MultiRun) -> Change | None:
        _check_open(multi_run)
        return resumed(multi_run, now=backend.clock.now())

    multi_run, _ = recording.update(multi_run, decide, backend=backend)
    released = [pausing.release(watch, backend=backend) for watch in watches_of(multi_run, backend=backend).values()]
    backend.kick(multi_run, *released)
    return _snapshot(multi_run, backend)


def find(org_id: int, multi_run_id: str, *, backend: Backend) -> MultiRun:
    """Read the record of a multi-run. Raises `MultiRunNotFound`, `StorageUnavailable`."""
    multi_run = backend.multi_runs.get(org_id, multi_run_id)
    if multi_run is None:
        raise MultiRunNotFound(multi_run_id)
    return multi_run


def watches_of(multi_run: MultiRun, *, backend: Backend) -> dict[str, Watch]:
    """Read the watches of a multi-run's runs, by key. Raises `StorageUnavailable`."""
    return backend.runs.get_many(multi_run.org_id, [*multi_run.candidate_keys, *multi_run.internal_keys])


def _snapshot(multi_run: MultiRun, backend: Backend) -> MultiRunSnapshot:
    return snapshot(multi_run, watches_of(multi_run, backend=backend), now=backend.clock.now())


def _check_open(multi_run: MultiRun) -> None:
    if multi_run.status.terminal:
        raise MultiRunEnded(f"The multi-run is already {multi_run.status}.")


def _cancel_run(
    multi_run: MultiRun, watch: Watch, request: CancelRun, *, caller: Caller, backend: Backend
) -> RunCancel:
    now = milliseconds(backend.clock.now())
    requested = Cancel(requested_at=now, requested_by=caller.id, reason=request.redacted_reason)
    # The state machine has stopped, so no answer to its task token is expected.
    watch = withdraw(watch, cancel=requested, backend=backend)
    means: Means | None = None
    if watch.status is Status.CANCELLED:
        means, detail = Means.LOCAL, NEVER_LAUNCHED
    else:
        try:
            outcome = cancel_watch(watch, request, caller=caller, backend=backend)
            watch, means = outcome.watch, outcome.means
            detail = " ".join([outcome.detail, *(warning.detail for warning in outcome.warnings)])
        except CancelNeedsBan:
            detail = "The run continues at Codegen, without its multi-run. Only a ban can stop it; none was allowed."
        except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
            detail = f"The run continues at Codegen, because the Codegen API refused to stop it: {error.summary}"
        except RunEnded as error:
            detail = error.detail
    return RunCancel(
        key=watch.key,
        candidate=None if watch.is_internal else multi_run.candidate_keys.index(watch.key),
        agent_run_id=watch.agent_run_id,
        status=watch.status,
        means=means,
        side_effects=effects_of(means),
        detail=detail,
    )
