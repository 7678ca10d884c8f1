"""Find the run that a request names, and change it while other writers may change it too."""

from __future__ import annotations

from collections.abc import Callable

from codegen_api import AgentRun
from codegen_runs import statuses
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.problems import Conflict, NotFound, StorageUnavailable
from codegen_runs.runs.actions import ended
from codegen_runs.runs.following import follow
from codegen_runs.runs.transitions import Change
from codegen_runs.storage.runs import RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

# Attempts to write a change while other writers change the same run. The poller writes it every two seconds at most.
ATTEMPTS = 10


class RunNotFound(NotFound):
    """The organization has no such run."""

    code = "run_not_found"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run {run_id} in this organization.")


class RunEnded(Conflict):
    """The run has ended."""

    code = "run_ended"


def find(run_id: str, *, org_id: int, runs: RunsTable) -> Watch | None:
    """Return the watch of a run by the upstream's id or by our key; None if the run is not followed."""
    return runs.find(org_id, int(run_id)) if run_id.isdecimal() else runs.get(org_id, run_id)


def find_or_follow(run_id: str, *, org_id: int, caller: Caller, backend: Backend) -> Watch:
    """Return the watch of a run by the upstream's id or by our key; follow the run first if it is not followed yet.

    A run that is not followed is read from the upstream. So is a run that has ended here, because somebody may have
    sent it a follow-up elsewhere. Raises `RunNotFound`, `RunEnded`, `CodegenAPIError`, `StorageUnavailable`.
    """
    watch = find(run_id, org_id=org_id, runs=backend.runs)
    if watch and (watch.agent_run_id is None or not watch.status.terminal):
        return watch
    run = upstream_run(str(watch.agent_run_id) if watch else run_id, org_id=org_id, backend=backend)
    if watch is None and (status := statuses.from_upstream(run.status)).terminal:
        raise RunEnded(ended(status))
    return follow_run(run, org_id=org_id, caller=caller, backend=backend)


def upstream_run(run_id: str, *, org_id: int, backend: Backend) -> AgentRun:
    """Read a run from the upstream, which knows no keys of ours. Raises `RunNotFound`, `CodegenAPIError`."""
    if not run_id.isdecimal():
        raise RunNotFound(run_id)
    return backend.codegen.runs.get(int(run_id), org_id=org_id)


def follow_run(run: AgentRun, *, org_id: int, caller: Caller, backend: Backend) -> Watch:
    """Follow a run that was just read from the upstream. Raises `StorageUnavailable`."""
    return follow(
        org_id=org_id,
        agent_run_id=run.id,
        status=run.status,
        web_url=run.web_url,
        created_by=caller.id,
        backend=backend,
    )


def change(watch: Watch, runs: RunsTable, decide: Callable[[Watch], Change | None]) -> Watch:
    """Write the change that `decide` returns for the run's newest state, and return the new state.

    When `decide` returns None, nothing is written. Raises what `decide` raises, and `StorageUnavailable` when other
    writers win `ATTEMPTS` times.
    """
    current: Watch | None = watch
    for _ in range(ATTEMPTS):
        if current is None:
            break
        decided = decide(current)
        if decided is None:
            return current
        try:
            return runs.write(*decided)
        except ConditionFailed:
            current = runs.get(watch.org_id, watch.key)
    raise StorageUnavailable("Other requests are changing the run. Try again.")
