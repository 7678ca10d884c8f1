"""What callers send to control a run, and what they are answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from codegen_api import Webhook
from codegen_runs.bodies import Body, Warned
from codegen_runs.redaction import redact
from codegen_runs.runs.actions import Means, SideEffect
from codegen_runs.runs.snapshots import RunSnapshot

MAX_REASON_CHARACTERS = 500


class CancelRun(Body):
    """By which means a run may be cancelled."""

    # Strict, because it gives consent: a word that merely looks like yes does not.
    allow_pr_ban: StrictBool = Field(
        False, description="Whether the run's pull request may be banned, which also stops other agents on it."
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON_CHARACTERS)] | None = None

    @property
    def told_reason(self) -> str | None:
        """The reason as it may be stored: with what looks like a secret masked; None where there is none."""
        return redact(self.reason) or None


class ResumeRun(Body):
    """A follow-up, or without a prompt the end of a pause."""

    prompt: str | None = Field(None, description="What to say to the agent. Without it, a paused run goes on.")
    images: list[str] | None = Field(None, description="Base64 data URIs.")
    model: str | None = Field(None, description="The run's own model if absent.")
    webhooks: list[Webhook] | None = Field(None, description="Told when the run ends.")

    @model_validator(mode="after")
    def _prompt_with_the_rest(self) -> ResumeRun:
        if self.prompt is None and (self.images or self.model or self.webhooks):
            raise PydanticCustomError("missing", "A follow-up needs a prompt")
        return self


class ControlledRun(RunSnapshot):
    """A run after it was cancelled, paused or resumed, and what that does."""

    detail: str = Field(description="What happens now, in words.")
    means: Means | None = Field(None, description="How it is cancelled.")
    side_effects: list[SideEffect] = Field([], description="What that does besides.")
    warnings: list[Warned] = Field([], description="What the caller should know all the same.")
