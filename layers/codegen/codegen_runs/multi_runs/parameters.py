"""The request that starts a multi-run."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from codegen_api import Harness
from codegen_runs.bodies import Body
from codegen_runs.storage.multi_runs import MAX_CANDIDATES, Prompt, Strategy, SynthesisOptions, Variant

DEFAULT_DEADLINE_SECONDS = 3600
MAX_DEADLINE_SECONDS = 24 * 3600


class CreateMultiRun(Body):
    """A prompt for several runs, and how to combine their answers."""

    prompt: Prompt
    concurrency: int = Field(3, ge=1, le=MAX_CANDIDATES, description="The number of candidates.")
    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    metadata: dict[str, Any] | None = Field(None, description="Stored with every run at Codegen.")
    variants: list[Variant] | None = Field(None, max_length=MAX_CANDIDATES)
    strategy: Strategy = Strategy.SYNTHESIZE
    quorum: int = Field(
        1,
        ge=1,
        le=MAX_CANDIDATES,
        description="The number of usable answers that are required. With fewer, the multi-run fails.",
    )
    deadline_s: int = Field(
        DEFAULT_DEADLINE_SECONDS,
        ge=30,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds from now by which all candidates must have ended.",
    )
    candidate_timeout_s: int | None = Field(
        None,
        ge=30,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds that one candidate may take. Defaults to `deadline_s`, which is also the most.",
    )
    synthesis: SynthesisOptions = Field(default_factory=SynthesisOptions)

    @model_validator(mode="after")
    def _check_quorum(self) -> CreateMultiRun:
        if self.quorum > self.concurrency:
            raise ValueError("quorum is more than concurrency")
        return self
