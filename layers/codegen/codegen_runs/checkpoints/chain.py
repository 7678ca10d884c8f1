"""The conversation up to a checkpoint: the prompts of its run and of the runs it was forked from, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from codegen_runs.storage.checkpoints import Checkpoint, Checkpoints, Reason

# The most forks of forks that are followed back. A replay has no room for messages older than that.
MOST_ANCESTORS = 20


class Step(BaseModel):
    """One message of a conversation."""

    role: Literal["prompt", "answer"]
    text: str
    truncated: bool = False
    """Whether the text is only the beginning of the message."""
    run: str
    """The key of the run that the message belongs to."""
    turn: int
    at: int
    """The time of the message, in epoch milliseconds."""


def read(checkpoints: Checkpoints, checkpoint: Checkpoint) -> list[Step]:
    """Read the conversation up to a checkpoint, oldest message first. Raises `StorageUnavailable`."""
    conversation = _steps(checkpoints.until(checkpoint))
    run = checkpoint.run
    for _ in range(MOST_ANCESTORS):
        fork = checkpoints.origin(checkpoint.org_id, run)
        if fork is None:
            break
        before = checkpoints.get(fork.org_id, fork.run, fork.epoch, fork.seq)
        if before is None:
            break
        conversation = [*settled(_steps(checkpoints.until(before))), *conversation]
        run = fork.run
    return conversation


def settled(conversation: Sequence[Step]) -> list[Step]:
    """Return a conversation without a last prompt that has no answer yet.

    A run that continues from here receives that prompt, or its replacement, as its task.
    """
    unanswered = bool(conversation) and conversation[-1].role == "prompt"
    return list(conversation[:-1] if unanswered else conversation)


def last_prompt(conversation: Sequence[Step]) -> Step | None:
    """Return the last prompt of a conversation; None if it has none."""
    return next((step for step in reversed(conversation) if step.role == "prompt"), None)


def _steps(checkpoints: Sequence[Checkpoint]) -> list[Step]:
    """Return the messages that the checkpoints of one run hold, oldest first."""
    steps = []
    for checkpoint in checkpoints:
        for prompt in checkpoint.prompts:
            step = Step(
                role="prompt",
                text=prompt.text,
                truncated=prompt.truncated,
                run=checkpoint.run,
                turn=prompt.turn,
                at=prompt.at,
            )
            steps.append(step)
        if checkpoint.reason is Reason.END and checkpoint.answer:
            step = Step(
                role="answer",
                text=checkpoint.answer,
                truncated=checkpoint.answer_truncated,
                run=checkpoint.run,
                turn=checkpoint.turn,
                at=checkpoint.created_at,
            )
            steps.append(step)
    return steps
