"""Finding the run that a caller means, and changing it while others do."""

from __future__ import annotations

from collections.abc import Callable

from codegen_api import CodegenAPI
from codegen_runs import statuses
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.problems import Conflict, NotFound, StorageUnavailable
from codegen_runs.runs import watches
from codegen_runs.runs.transitions import Change
from codegen_runs.storage.runs import RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

# How often a change is tried while others write the same run. The poller writes it every two seconds at the most.
ATTEMPTS = 10


class RunNotFound(NotFound):
    """The organization has no such run."""

    code = "run_not_found"


class RunEnded(Conflict):
    """The run has ended."""

    code = "run_ended"


def find(
    run_id: str, *, org_id: int, codegen: CodegenAPI, caller: Caller, runs: RunsTable, clock: Clock | None = None
) -> Watch:
    """Return the watch of a run, by the upstream's id or by our key; one that nobody follows yet is followed.

    The upstream is asked about runs that are not known here, and about ended ones, which may have been followed up
    elsewhere. Raises `RunNotFound`, `RunEnded`, `CodegenAPIError`, `StorageUnavailable`.
    """
    watch = look_up(run_id, org_id=org_id, runs=runs)
    if watch and (watch.agent_run_id is None or not watch.status.terminal):
        return watch
    agent_run_id = watch.agent_run_id if watch else None
    if agent_run_id is None:
        if not run_id.isdecimal():
            raise RunNotFound(f"There is no run {run_id} in this organization.")
        agent_run_id = int(run_id)
    run = codegen.runs.get(agent_run_id, org_id=org_id)
    if watch is None and (ended := statuses.from_upstream(run.status)).terminal:
        raise RunEnded(f"The run has ended: {ended}.")
    return watches.follow(
        org_id=org_id,
        agent_run_id=run.id,
        status=run.status,
        web_url=run.web_url,
        created_by=caller.id,
        clock=clock,
    )


def look_up(run_id: str, *, org_id: int, runs: RunsTable) -> Watch | None:
    """Return the watch of a run that is followed already, by the upstream's id or by our key."""
    return runs.find(org_id, int(run_id)) if run_id.isdecimal() else runs.get(org_id, run_id)


def change(watch: Watch, runs: RunsTable, decide: Callable[[Watch], Change | None]) -> Watch:
    """Change a run as `decide` says of its newest state; None changes nothing. Return the run as it then is.

    Raises what `decide` raises, and `StorageUnavailable`.
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
    raise StorageUnavailable("The run changes too fast to be changed; try again.")
