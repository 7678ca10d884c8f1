"""What a caller sends to start a multi-run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, model_validator

from codegen_api import Harness
from codegen_runs.bodies import Body

MAX_CANDIDATES = 20
MAX_PROMPT_CHARACTERS = 60_000
DEFAULT_DEADLINE_SECONDS = 3600
MAX_DEADLINE_SECONDS = 24 * 3600

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS)]


class Strategy(StrEnum):
    """How the answers of the candidates become one."""

    SYNTHESIZE = "synthesize"
    """A further run joins the usable answers."""
    SELECT = "select"
    """A further run names the best answer, which is then given as it is."""
    NONE = "none"
    """The answers stay side by side."""


class Variant(BaseModel):
    """What one candidate does differently. Variants are dealt out in turn."""

    prompt: Prompt | None = None
    model: str | None = None
    agent_type: Harness | None = None


class SynthesisOptions(BaseModel):
    """How the usable answers are joined."""

    prompt: Prompt | None = Field(None, description="Instructions for the synthesis, instead of the usual ones.")
    model: str | None = Field(None, description="The model of the synthesis run; else the candidates'.")
    top_k: int | None = Field(None, ge=2, le=MAX_CANDIDATES, description="Join the best so many answers only.")


class CreateMultiRun(Body):
    """A prompt to be answered several times, and how to make one answer of it."""

    prompt: Prompt
    concurrency: int = Field(3, ge=1, le=MAX_CANDIDATES, description="How many candidates run.")
    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    metadata: dict[str, Any] | None = Field(None, description="Stored with every run upstream.")
    variants: list[Variant] | None = Field(None, max_length=MAX_CANDIDATES)
    strategy: Strategy = Strategy.SYNTHESIZE
    quorum: int = Field(1, ge=1, le=MAX_CANDIDATES, description="Usable answers without which the multi-run fails.")
    deadline_s: int = Field(
        DEFAULT_DEADLINE_SECONDS,
        ge=30,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds until all candidates must have ended.",
    )
    candidate_timeout_s: int | None = Field(
        None, ge=30, le=MAX_DEADLINE_SECONDS, description="Seconds that one candidate may take."
    )
    synthesis: SynthesisOptions = Field(default_factory=SynthesisOptions)

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> CreateMultiRun:
        if self.quorum > self.concurrency:
            raise ValueError("quorum is more than concurrency")
        return self
