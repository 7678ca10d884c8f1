"""Requests that control a run, and their answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from codegen_runs.bodies import Body, Warnings
from codegen_runs.redaction import redact
from codegen_runs.runs.actions import Means, SideEffect
from codegen_runs.runs.requests import FollowUpOptions, Prompt
from codegen_runs.runs.snapshots import RunSnapshot

MAX_REASON_CHARACTERS = 500

ALLOW_PR_BAN = "Whether the run's pull request may be banned, which also stops other agents on it."
"""The description of `allow_pr_ban`, in bodies and in queries."""


class CancelRun(Body):
    """How a run may be cancelled."""

    # Strict, because it gives consent: `"yes"` and `1` do not.
    allow_pr_ban: StrictBool = Field(False, description=ALLOW_PR_BAN)
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON_CHARACTERS)] | None = None

    @property
    def redacted_reason(self) -> str | None:
        """The reason to store, with everything that looks like a secret masked; None if there is no reason."""
        return redact(self.reason) or None


class ResumeRun(FollowUpOptions):
    """A follow-up; without a prompt, the end of a pause."""

    prompt: Prompt | None = Field(None, description="The follow-up prompt. Without it, a paused run is resumed.")

    @model_validator(mode="after")
    def _check_prompt(self) -> ResumeRun:
        if self.prompt is None and (self.images or self.model or self.webhooks):
            raise PydanticCustomError("missing", "A follow-up needs a prompt")
        return self


class ControlledRun(RunSnapshot):
    """A run after a cancel, pause or resume, and the effect of that."""

    detail: str = Field(description="What happens next, in a sentence.")
    means: Means | None = Field(None, description="How the run is cancelled.")
    side_effects: list[SideEffect] = Field([], description="Further effects of the cancel.")
    warnings: Warnings = Field([])
