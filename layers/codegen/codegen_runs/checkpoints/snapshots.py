"""Checkpoints and what came of them, as callers see them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from codegen_api import AgentRun
from codegen_runs.bodies import Warned
from codegen_runs.checkpoints.chain import Step
from codegen_runs.events import timestamp
from codegen_runs.redaction import redact
from codegen_runs.runs.snapshots import RunSnapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import AgentVersion, Checkpoint, CheckpointAction, Fork, Reason

FIDELITY: Literal["context_replay"] = "context_replay"


class CheckpointSummary(BaseModel):
    """A checkpoint in a list."""

    id: str
    run: str = Field(description="The run's key.")
    agent_run_id: int
    turn: int
    seq: int = Field(description="The number of its event, `checkpoint.created`, in the run's event log.")
    event_id: str = Field(description="The cursor of that event.")
    reason: Reason = Field(description="What it was made at.")
    status: Status = Field(description="Where the run stood.")
    summary: str | None = None
    agent: AgentVersion | None = Field(None, description="The agent that the run was told to be, and in which version.")
    repo_id: int | None = None
    model: str | None = Field(None, description="As asked for; null for the organization's default.")
    agent_type: str | None = None
    tags: list[str] = []
    created_at: str
    created_by: str | None = Field(None, description="Who made it by hand.")
    hash: str = Field(description="SHA-256 of the checkpoint, and by parent_hash of all before it.")
    parent_hash: str | None = Field(None, description="Of the run's checkpoint before it.")
    fidelity: Literal["context_replay"] = Field(
        FIDELITY, description="What going on from it brings back: what was said. Files are not rewound."
    )


class Message(BaseModel):
    """One message of what was said until a checkpoint."""

    role: Literal["prompt", "answer"]
    text: str
    truncated: bool = Field(False, description="Whether it is only the beginning of what was said.")
    run: str = Field(description="The key of the run it was said in: this one, or one that it was forked from.")
    turn: int
    at: str


class PullRequestThen(BaseModel):
    """A pull request that the run had by then."""

    id: int
    url: str | None = None
    title: str | None = None
    branch_name: str | None = None


class CheckpointSnapshot(CheckpointSummary):
    """A checkpoint with all that was said until then."""

    chain: list[Message]
    pull_requests: list[PullRequestThen] = Field([], description="Those that the run had by then.")
    branch_name: str | None = None
    warnings: list[Warned] = Field([], description="What the caller should know all the same.")


class LineageEntry(BaseModel):
    """A run that was started from a checkpoint of another one."""

    action: CheckpointAction
    checkpoint_id: str
    checkpoint_hash: str
    run: str = Field(description="The key of the run that the checkpoint is of.")
    agent_run_id: int
    child: str | None = Field(
        description="The key of the run that was started; null where its start is not certain: look for client_run_id."
    )
    client_run_id: str = Field(description="What the metadata of the run that was started has by this name.")
    depth: int = Field(description="1 for the next run, 2 for one that came from or led to that, and so on.")
    modified: list[str] = Field([], description="What was given anew.")
    created_at: str
    created_by: str


class Lineage(BaseModel):
    """Where a checkpoint's run came from, and what was started from it."""

    checkpoint_id: str
    run: str
    fidelity: Literal["context_replay"] = FIDELITY
    earlier: list[CheckpointSummary] = Field(description="The run's own checkpoints before it, newest first.")
    ancestors: list[LineageEntry] = Field(description="What the run was started from, the nearest first.")
    descendants: list[LineageEntry] = Field(
        description="What was started from this checkpoint, and from the checkpoints of what was."
    )
    truncated: bool = Field(False, description="Whether there is more than is shown.")


class Replayed(BaseModel):
    """How much of what was said the run was told again."""

    messages: int
    left_out: int = Field(description="Older messages for which there was no room.")


class RestoredRun(RunSnapshot):
    """The run that goes on from a checkpoint."""

    action: CheckpointAction
    checkpoint_id: str
    created_new_run: bool
    client_run_id: str | None = Field(None, description="What the new run's metadata has by this name.")
    fidelity: Literal["context_replay"] = FIDELITY
    detail: str = Field(description="What happens now, in words.")
    replayed: Replayed
    lineage: list[LineageEntry] = Field(description="What the run was started from, the nearest first.")
    warnings: list[Warned] = Field([], description="What the caller should know all the same.")


def summary(checkpoint: Checkpoint) -> CheckpointSummary:
    """Show a checkpoint in a list."""
    return CheckpointSummary(
        id=checkpoint.id,
        run=checkpoint.run,
        agent_run_id=checkpoint.agent_run_id,
        turn=checkpoint.turn,
        seq=checkpoint.seq,
        event_id=f"{checkpoint.epoch}-{checkpoint.seq}",
        reason=checkpoint.reason,
        status=checkpoint.status,
        summary=checkpoint.summary,
        agent=checkpoint.agent,
        repo_id=checkpoint.repo_id,
        model=checkpoint.model,
        agent_type=checkpoint.agent_type,
        tags=list(checkpoint.tags),
        created_at=timestamp(checkpoint.created_at / 1000),
        created_by=checkpoint.created_by,
        hash=checkpoint.hash,
        parent_hash=checkpoint.parent,
    )


def snapshot(
    checkpoint: Checkpoint, said: list[Step], pull_requests: list[PullRequestThen], warnings: list[Warned]
) -> CheckpointSnapshot:
    """Show a checkpoint as a whole; what looks like a secret is masked."""
    return CheckpointSnapshot(
        **summary(checkpoint).model_dump(),
        chain=[
            Message(**step.model_dump() | {"text": redact(step.text), "at": timestamp(step.at / 1000)}) for step in said
        ],
        pull_requests=pull_requests,
        branch_name=next((each.branch_name for each in reversed(pull_requests) if each.branch_name), None),
        warnings=warnings,
    )


def pull_requests_then(run: AgentRun, checkpoint: Checkpoint) -> list[PullRequestThen]:
    """List the pull requests that a run had when a checkpoint was made: those of now that are no younger."""
    return [
        PullRequestThen(id=each.id, url=each.url, title=each.title, branch_name=each.head_branch_name)
        for each in run.github_pull_requests or []
        if each.created is None or each.created.timestamp() * 1000 <= checkpoint.created_at
    ]


def entry(fork: Fork, depth: int) -> LineageEntry:
    """Show a fork as a part of a lineage."""
    return LineageEntry(
        action=fork.action,
        checkpoint_id=fork.checkpoint_id,
        checkpoint_hash=fork.hash,
        run=fork.run,
        agent_run_id=fork.agent_run_id,
        child=fork.child,
        client_run_id=fork.id,
        depth=depth,
        modified=list(fork.modified),
        created_at=timestamp(fork.created_at / 1000),
        created_by=fork.created_by,
    )
