"""Create a checkpoint at a caller's request."""

from __future__ import annotations

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.reading import check_started
from codegen_runs.checkpoints.recorder import Recorder, continued, may_be_known
from codegen_runs.checkpoints.requests import CreateCheckpoint
from codegen_runs.checkpoints.snapshots import CheckpointSnapshot
from codegen_runs.clock import milliseconds
from codegen_runs.events import Writer
from codegen_runs.redaction import redact
from codegen_runs.runs.finding import RunEnded, change, find, follow_run, upstream_run
from codegen_runs.runs.transitions import Change
from codegen_runs.storage.runs import Watch


def create(
    run_id: str,
    request: CreateCheckpoint,
    *,
    org_id: int,
    caller: Caller,
    backend: Backend,
) -> CheckpointSnapshot:
    """Create a checkpoint of a run's current state. A run that is not followed yet is followed from here on.

    Raises `RunNotFound`, `RunNotStarted`, `RunEnded`, `CodegenAPIError`, `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    watch = find(run_id, org_id=org_id, runs=runs)
    if watch is None:
        run = upstream_run(run_id, org_id=org_id, backend=backend)
        watch = follow_run(run, org_id=org_id, caller=caller, backend=backend)

    def decide(current: Watch) -> Change:
        check_started(current)
        if current.agent_run_id is None:
            raise RunEnded("The run ended before it was launched.")
        if may_be_known(current):
            current = continued(current, runs.last_checkpoint(org_id, current.key))
        writer = Writer(current.position, run_id=current.agent_run_id, now=now)
        recorder = Recorder(current, writer, now=now)
        recorder.by_hand(redact(request.description), redact(request.tags), caller.id)
        changes = {"checkpoint": recorder.head, "updated_at": milliseconds(now)}
        return Change(current.model_copy(update=changes).at(writer.position), writer.events, recorder.made)

    written = change(watch, runs, decide)
    backend.kick(written)
    head = written.checkpoint
    assert head is not None  # noqa: S101 - it was just written
    checkpoint = reading.get(f"{written.key}.{head.epoch}-{head.seq}", org_id=org_id, backend=backend)
    return checkpoint.model_copy(update={"warnings": request.ignored() + checkpoint.warnings})
