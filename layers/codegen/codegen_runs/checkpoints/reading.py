"""Read checkpoints: those of a run, one by its id, and its lineage."""

from __future__ import annotations

import re
from typing import NamedTuple

from codegen_api import AgentRun, CodegenAPIError, NotFoundError
from codegen_runs import cursors, forms
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.checkpoints import chain
from codegen_runs.checkpoints.chain import MOST_ANCESTORS
from codegen_runs.checkpoints.snapshots import (
    CheckpointSnapshot,
    CheckpointSummary,
    Lineage,
    LineageEntry,
    entry,
    pull_requests_then,
    snapshot,
    summary,
)
from codegen_runs.problems import Conflict, CredentialsRefused, NotFound
from codegen_runs.runs.finding import find as find_run
from codegen_runs.runs.finding import upstream_run
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint, Checkpoints
from codegen_runs.storage.runs import Watch

MOST_EARLIER = 50
MOST_DESCENDANTS = 100

_ID = re.compile(forms.CHECKPOINT)


class CheckpointNotFound(NotFound):
    """The organization has no such checkpoint."""

    code = "checkpoint_not_found"
    remedy = "List the checkpoints of the run: GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints."

    def __init__(self, checkpoint_id: str) -> None:
        super().__init__(f"There is no checkpoint {checkpoint_id} in this organization.")


class RunNotStarted(Conflict):
    """The run is waiting for its start, so it has no state to return to."""

    code = "run_not_started"
    remedy = "Wait until the run has started. Or cancel it, and start another run."


class Found(NamedTuple):
    """A checkpoint, and the watch of its run if the run is followed."""

    checkpoint: Checkpoint
    watch: Watch | None


def newest(
    run_id: str, *, org_id: int, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[CheckpointSummary]:
    """List the checkpoints of a run, newest first. A run that was never followed has none.

    Raises `RunNotFound`, `InvalidCursor`, `CodegenAPIError`, `StorageUnavailable`.
    """
    watch = find_run(run_id, org_id=org_id, runs=backend.runs)
    key = watch.key if watch else run_id
    listing = cursors.Listing.of(caller, "checkpoints", org_id, key)
    before = listing.position(cursor, str) if cursor else None
    found, position = backend.checkpoints.newest(org_id, key, limit, before)
    if watch is None and not found:
        upstream_run(run_id, org_id=org_id, backend=backend)
    return listing.page([summary(each) for each in found], position)


def get(checkpoint_id: str, *, org_id: int, backend: Backend) -> CheckpointSnapshot:
    """Read a checkpoint with the conversation up to it. Raises `CheckpointNotFound`, `StorageUnavailable`."""
    checkpoint = find(checkpoint_id, org_id=org_id, backend=backend).checkpoint
    conversation = chain.read(backend.checkpoints, checkpoint)
    try:
        run = run_of(checkpoint, backend=backend)
    except (CodegenAPIError, CredentialsRefused) as error:
        detail = f"Could not read the pull requests from the Codegen API: {error.summary}"
        return snapshot(checkpoint, conversation, [], [Warned(code="pull_requests_unknown", pointer="", detail=detail)])
    return snapshot(checkpoint, conversation, pull_requests_then(run, checkpoint) if run else [], [])


def lineage(checkpoint_id: str, *, org_id: int, backend: Backend) -> Lineage:
    """Read the forks that led to a checkpoint's run, and the runs that were started from the checkpoint.

    Raises `CheckpointNotFound`, `StorageUnavailable`.
    """
    checkpoints = backend.checkpoints
    checkpoint = find(checkpoint_id, org_id=org_id, backend=backend).checkpoint
    earlier = checkpoints.until(checkpoint)[:-1]
    came_from = ancestors(checkpoints, org_id, checkpoint.run)
    descendants, more = _descendants(checkpoints, checkpoint)
    return Lineage(
        checkpoint_id=checkpoint.id,
        run=checkpoint.run,
        earlier=[summary(each) for each in reversed(earlier[-MOST_EARLIER:])],
        ancestors=came_from,
        descendants=descendants,
        truncated=more or len(earlier) > MOST_EARLIER or len(came_from) == MOST_ANCESTORS,
    )


def find(checkpoint_id: str, *, org_id: int, started: bool = False, backend: Backend) -> Found:
    """Find a checkpoint.

    Args:
        checkpoint_id: The id of the checkpoint. It may name the run by its key or by the upstream's id.
        org_id: The organization.
        started: Whether the run must have started, which continuing from the checkpoint requires.
        backend: The tables.

    Raises `CheckpointNotFound`, `RunNotStarted`, `StorageUnavailable`.
    """
    named = _ID.fullmatch(checkpoint_id)
    if named is None:
        raise CheckpointNotFound(checkpoint_id)
    watch = find_run(named[1], org_id=org_id, runs=backend.runs)
    if started and watch:
        check_started(watch)
    key = watch.key if watch else named[1]
    checkpoint = backend.checkpoints.get(org_id, key, int(named[2]), int(named[3]))
    if checkpoint is None:
        raise CheckpointNotFound(checkpoint_id)
    return Found(checkpoint, watch)


def check_started(watch: Watch) -> None:
    """Raise `RunNotStarted` for a run that the upstream does not work on yet."""
    if watch.unlaunched or watch.status in (Status.QUEUED, Status.LAUNCHING):
        raise RunNotStarted(f"The run is {watch.status} and has not started yet.")


def run_of(checkpoint: Checkpoint, *, backend: Backend) -> AgentRun | None:
    """Read a checkpoint's run from the upstream; None if the upstream no longer has it. Raises `CodegenAPIError`."""
    try:
        return backend.codegen.runs.get(checkpoint.agent_run_id, org_id=checkpoint.org_id)
    except NotFoundError:
        return None


def ancestors(checkpoints: Checkpoints, org_id: int, run: str) -> list[LineageEntry]:
    """List the forks that led to a run, the nearest first. Raises `StorageUnavailable`."""
    found: list[LineageEntry] = []
    while len(found) < MOST_ANCESTORS and (fork := checkpoints.origin(org_id, run)):
        found.append(entry(fork, len(found) + 1))
        run = fork.run
    return found


def _descendants(checkpoints: Checkpoints, checkpoint: Checkpoint) -> tuple[list[LineageEntry], bool]:
    """List the runs started from a checkpoint, level by level, and return whether some are left out."""
    found: list[LineageEntry] = []
    runs = [(checkpoint.run, 1)]
    while runs:
        run, depth = runs.pop(0)
        of = checkpoint if depth == 1 else None
        for fork in checkpoints.forks(checkpoint.org_id, run, MOST_DESCENDANTS + 1, of):
            if len(found) == MOST_DESCENDANTS:
                return found, True
            found.append(entry(fork, depth))
            if fork.child:
                runs.append((fork.child, depth + 1))
    return found, False
