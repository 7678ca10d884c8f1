"""What was said until a checkpoint: the prompts of its run and of those it came from, and what each turn came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from codegen_runs.storage.checkpoints import Checkpoint, Checkpoints, Reason

# How many forks of forks are gone back. What is older has long lost its place to what is newer.
MOST_ANCESTORS = 20


class Step(BaseModel):
    """One message."""

    role: Literal["prompt", "answer"]
    text: str
    truncated: bool = Field(False, description="Whether it is only the beginning of what was said.")
    run: str = Field(description="The run it was said in.")
    turn: int
    at: int = Field(description="When it was said, in epoch milliseconds.")


def read(checkpoints: Checkpoints, checkpoint: Checkpoint) -> list[Step]:
    """Read all that was said until a checkpoint, oldest first. Raises `StorageUnavailable`."""
    told = _steps(checkpoints.until(checkpoint))
    run = checkpoint.run
    for _ in range(MOST_ANCESTORS):
        fork = checkpoints.origin(checkpoint.org_id, run)
        if fork is None:
            break
        before = checkpoints.get(fork.org_id, fork.run, fork.epoch, fork.seq)
        if before is None:
            break
        said = _steps(checkpoints.until(before))
        told = [*handed_on(said), *told]
        run = fork.run
    return told


def handed_on(said: Sequence[Step]) -> list[Step]:
    """Return what a run that is started from here has behind it: all but a last prompt that was not answered yet.

    That one is what the new run is asked, unless it is asked something else in its place.
    """
    return list(said[:-1]) if said and said[-1].role == "prompt" else list(said)


def last_prompt(said: Sequence[Step]) -> Step | None:
    """Return what was asked last."""
    return next((step for step in reversed(said) if step.role == "prompt"), None)


def _steps(made: Sequence[Checkpoint]) -> list[Step]:
    """Join what the checkpoints of one run say, oldest first."""
    steps = []
    for checkpoint in made:
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
