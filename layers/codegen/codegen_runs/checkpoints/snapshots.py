"""Checkpoints and their lineage, as callers see them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from codegen_api import AgentRun
from codegen_runs.bodies import Warned, Warnings
from codegen_runs.checkpoints.chain import Step
from codegen_runs.events import timestamp
from codegen_runs.redaction import redact
from codegen_runs.runs.snapshots import RunSnapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import AgentVersion, Checkpoint, CheckpointAction, Fork, Reason

FIDELITY: Literal["context_replay"] = "context_replay"

_ANCESTORS = "The forks and restores that led to the run, the nearest first."


class CheckpointSummary(BaseModel):
    """A checkpoint in a list."""

    id: str
    run: str = Field(description="The run's key.")
    agent_run_id: int
    turn: int
    seq: int = Field(description="The number of the checkpoint's event, `checkpoint.created`, in the run's event log.")
    event_id: str = Field(description="The cursor of that event.")
    reason: Reason = Field(description="Why the checkpoint was created.")
    status: Status = Field(description="The run's status at the checkpoint.")
    summary: str | None = None
    agent: AgentVersion | None = Field(None, description="The agent that the run was started with, and its version.")
    repo_id: int | None = None
    model: str | None = Field(None, description="The requested model; null for the organization's default.")
    agent_type: str | None = None
    tags: list[str] = []
    created_at: str
    created_by: str | None = Field(
        None, description="The caller who created the checkpoint; null if it was created automatically."
    )
    hash: str = Field(description="SHA-256 of the checkpoint. It covers `parent_hash`, and so all earlier checkpoints.")
    parent_hash: str | None = Field(None, description="The hash of the run's previous checkpoint.")
    fidelity: Literal["context_replay"] = Field(
        FIDELITY, description="A restore or a fork brings back the conversation. Files are not rewound."
    )


class Message(BaseModel):
    """One message of the conversation up to a checkpoint."""

    role: Literal["prompt", "answer"]
    text: str
    truncated: bool = Field(False, description="Whether the text is only the beginning of the message.")
    run: str = Field(
        description="The key of the message's run: the checkpoint's run, or a run that it was forked from."
    )
    turn: int
    at: str


class PullRequestThen(BaseModel):
    """A pull request that the run had at the checkpoint."""

    id: int
    url: str | None = None
    title: str | None = None
    branch_name: str | None = None


class CheckpointSnapshot(CheckpointSummary):
    """A checkpoint with the conversation up to it."""

    chain: list[Message]
    pull_requests: list[PullRequestThen] = Field(
        [], description="The pull requests that the run had at the checkpoint."
    )
    branch_name: str | None = None
    warnings: Warnings = Field([])


class LineageEntry(BaseModel):
    """A run that was started from a checkpoint of another run."""

    action: CheckpointAction
    checkpoint_id: str
    checkpoint_hash: str
    run: str = Field(description="The key of the checkpoint's run.")
    agent_run_id: int
    child: str | None = Field(
        description=(
            "The key of the run that was started. Null if it is not certain that the run was started; find it by its "
            "`client_run_id`."
        )
    )
    client_run_id: str = Field(description="The value of `client_run_id` in the metadata of the run that was started.")
    depth: int = Field(description="1 for a parent or child, 2 for a grandparent or grandchild, and so on.")
    multi_run_id: str | None = Field(None, description="The multi-run whose candidate the run is.")
    modified: list[str] = Field([], description="The names of the modifications.")
    created_at: str
    created_by: str


class Lineage(BaseModel):
    """The ancestors of a checkpoint's run, and the runs that were started from the checkpoint."""

    checkpoint_id: str
    run: str
    fidelity: Literal["context_replay"] = FIDELITY
    earlier: list[CheckpointSummary] = Field(description="The run's earlier checkpoints, newest first.")
    ancestors: list[LineageEntry] = Field(description=_ANCESTORS)
    descendants: list[LineageEntry] = Field(
        description="The runs that were started from this checkpoint, and from the checkpoints of those runs."
    )
    truncated: bool = Field(False, description="Whether some entries are left out.")


class Replayed(BaseModel):
    """How much of the conversation the run received again."""

    messages: int
    left_out: int = Field(description="The number of older messages for which there was no room.")


class RestoredRun(RunSnapshot):
    """The run that continues from a checkpoint."""

    action: CheckpointAction
    checkpoint_id: str
    created_new_run: bool
    client_run_id: str | None = Field(None, description="The value of `client_run_id` in the new run's metadata.")
    fidelity: Literal["context_replay"] = FIDELITY
    detail: str = Field(description="What happens next, in a sentence.")
    replayed: Replayed
    lineage: list[LineageEntry] = Field(description=_ANCESTORS)
    warnings: Warnings = Field([])


def summary(checkpoint: Checkpoint) -> CheckpointSummary:
    """Return a checkpoint as an item of a list."""
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
    checkpoint: Checkpoint, conversation: list[Step], pull_requests: list[PullRequestThen], warnings: list[Warned]
) -> CheckpointSnapshot:
    """Return a checkpoint with the conversation, in which everything that looks like a secret is masked."""
    return CheckpointSnapshot(
        **summary(checkpoint).model_dump(),
        chain=[
            Message(**step.model_dump() | {"text": redact(step.text), "at": timestamp(step.at / 1000)})
            for step in conversation
        ],
        pull_requests=pull_requests,
        branch_name=next((each.branch_name for each in reversed(pull_requests) if each.branch_name), None),
        warnings=warnings,
    )


def pull_requests_then(run: AgentRun, checkpoint: Checkpoint) -> list[PullRequestThen]:
    """Return the pull requests that a run had at a checkpoint: its current ones, without those that are younger."""
    return [
        PullRequestThen(id=each.id, url=each.url, title=each.title, branch_name=each.head_branch_name)
        for each in run.github_pull_requests or []
        if each.created_at is None or each.created_at.timestamp() * 1000 <= checkpoint.created_at
    ]


def entry(fork: Fork, depth: int) -> LineageEntry:
    """Return a fork as an entry of a lineage."""
    return LineageEntry(
        action=fork.action,
        checkpoint_id=fork.checkpoint_id,
        checkpoint_hash=fork.hash,
        run=fork.run,
        agent_run_id=fork.agent_run_id,
        child=fork.child,
        client_run_id=fork.id,
        depth=depth,
        multi_run_id=fork.multi_run_id,
        modified=list(fork.modified),
        created_at=timestamp(fork.created_at / 1000),
        created_by=fork.created_by,
    )
