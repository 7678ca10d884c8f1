"""The request that starts a multi-run."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from codegen_api import Harness
from codegen_runs import forms, settings
from codegen_runs.bodies import Body, NotBlank, Warned, unfit
from codegen_runs.checkpoints.requests import MAX_SYSTEM_PROMPT_CHARACTERS
from codegen_runs.storage.multi_runs import JudgePolicy, OnDeadline, Prompt, Strategy, SynthesisOptions

DEFAULT_CONCURRENCY = 3
DEFAULT_DEADLINE_SECONDS = 3600
MAX_DEADLINE_SECONDS = 24 * 3600

DEFAULT_JUDGES = {Strategy.SYNTHESIZE: 1, Strategy.SELECT: 2, Strategy.RANK: 2, Strategy.NONE: 1}

# The most bytes of the prompts of all candidates. They are stored in one DynamoDB item, which holds 400 KB.
MAX_PROMPT_BYTES = 300_000

# The most bytes of the prompt of a candidate of the second wave. It is stored alone and with summaries, in one item.
MAX_SECOND_WAVE_BYTES = 120_000


def _within_limit(count: int) -> int:
    most = settings.most_candidates()
    if count > most:
        raise PydanticCustomError(
            "less_than_equal", "Input should be less than or equal to {le}, the limit of this deployment", {"le": most}
        )
    return count


Count = Annotated[int, Field(strict=True, ge=1), AfterValidator(_within_limit)]
"""A number of candidates, at most as many as the deployment allows for one multi-run."""

SystemPrompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SYSTEM_PROMPT_CHARACTERS),
    NotBlank,
]


class VariantOptions(Body):
    """Options of some candidates. What is left out is that of the multi-run."""

    prompt: Prompt | None = None
    model: str | None = None
    agent_type: Harness | None = None
    repo_id: int | None = None
    agent_id: str | None = Field(
        None, description="An agent of this deployment. The run gets its instructions, model and repository."
    )
    system_prompt: SystemPrompt | None = Field(
        None, description="Instructions at the beginning of the prompt. They replace those of the agent."
    )


class AdaptiveOptions(Body):
    """How many candidates are launched first, and how many answers must agree so that no further one is."""

    start: Count = Field(2, description="The number of candidates that are launched first.")
    agree: Annotated[int, Field(strict=True, ge=2), AfterValidator(_within_limit)] = Field(
        2, description="The number of answers that must agree so that no further candidate is launched."
    )


class CreateMultiRun(Body):
    """A prompt for several runs, and how to combine their answers."""

    prompt: Prompt
    concurrency: Count | None = Field(
        None,
        description=(
            f"The number of candidates; with `variants`, of each variant. Defaults to {DEFAULT_CONCURRENCY}, and to 1 "
            "with `variants`. All candidates together are at most as many as the deployment allows: by default 20."
        ),
    )
    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    agent_id: str | None = Field(
        None, description="An agent of this deployment. The runs get its instructions, model and repository."
    )
    system_prompt: SystemPrompt | None = Field(
        None, description="Instructions at the beginning of each prompt. They replace those of the agent."
    )
    metadata: dict[str, Any] | None = Field(None, description="Stored with every run at Codegen.")
    from_checkpoint: str | None = Field(
        None,
        pattern=forms.CHECKPOINT,
        description=(
            "The checkpoint that all candidates start from. Each gets the conversation up to it, and `prompt` as its "
            "task. What the request leaves out is that of the checkpoint's run."
        ),
    )
    variants: list[VariantOptions] | None = Field(
        None, min_length=1, description="Different options for the candidates, each for `concurrency` of them."
    )
    strategy: Strategy = Strategy.SYNTHESIZE
    # Strict, because it gives consent: `"yes"` and `1` do not.
    close_losers: StrictBool = Field(
        False,
        description=(
            "Whether to close the pull requests of the other candidates at Codegen when one is selected. Needs the "
            "strategy `select`, and an API token of this deployment: a Codegen token is not kept."
        ),
    )
    judge: JudgePolicy = Field(
        JudgePolicy.AUTO,
        description=(
            "When judges rank the usable candidates: `auto` if the strategy needs a ranking and the evidence does not "
            "decide, `always`, or `never`."
        ),
    )
    judges: Literal[1, 2, None] = Field(
        None,
        description=(
            "How many judges rank the same candidates; the second one in the opposite order. Defaults to 2 for "
            "`select` and `rank`, and to 1 for `synthesize`."
        ),
    )
    quorum: Count = Field(
        1, description="The number of usable answers that are required. With fewer, the multi-run fails."
    )
    first_k: Count | None = Field(
        None,
        description=(
            "The number of usable answers that are enough. The multi-run then waits for no further candidate: those "
            "that are not launched are cancelled, and launched ones continue at Codegen without it."
        ),
    )
    second_wave: Annotated[int, Field(strict=True, ge=0), AfterValidator(_within_limit)] = Field(
        0,
        description=(
            "The number of further candidates that start when all others have ended, from summaries of the best ones. "
            "They have the options of the variants in turn."
        ),
    )
    adaptive: AdaptiveOptions | None = Field(
        None, description="Launch a few candidates first, and the others only while the answers disagree."
    )
    deadline_s: int = Field(
        DEFAULT_DEADLINE_SECONDS,
        ge=30,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds from now by which all candidates must have ended.",
    )
    on_deadline: OnDeadline = Field(
        OnDeadline.PARTIAL,
        description=(
            "What happens if candidates have not ended by then. `partial`: the others are enough if they meet the "
            "quorum. `fail`: the multi-run fails."
        ),
    )
    candidate_timeout_s: int | None = Field(
        None,
        ge=30,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds that one candidate may take. Defaults to `deadline_s`, which is also the most.",
    )
    synthesis: SynthesisOptions = Field(default_factory=SynthesisOptions)

    @property
    def copies(self) -> int:
        """The number of candidates of each variant."""
        return self.concurrency or (1 if self.variants else DEFAULT_CONCURRENCY)

    @property
    def requested(self) -> int:
        """The number of candidates of the first wave."""
        return self.copies * len(self.variants or [1])

    @property
    def all_variants(self) -> list[VariantOptions]:
        """The variants; without any, one that leaves everything out."""
        return self.variants or [VariantOptions()]

    def without_references(self) -> CreateMultiRun:
        """Return the request without what may be refused: the agents and the checkpoint, and `close_losers`."""
        variants = self.variants and [each.model_copy(update={"agent_id": None}) for each in self.variants]
        return self.model_copy(
            update={"agent_id": None, "from_checkpoint": None, "variants": variants, "close_losers": False}
        )

    def ignored(self) -> list[Warned]:
        """Return a warning for each unknown field, including those of the variants and of `adaptive`."""
        parts: list[tuple[str, Body]] = [
            (f"/variants/{number}", variant) for number, variant in enumerate(self.variants or [])
        ]
        if self.adaptive:
            parts.append(("/adaptive", self.adaptive))
        within = [
            warned.model_copy(update={"pointer": f"{place}{warned.pointer}"})
            for place, part in parts
            for warned in part.ignored()
        ]
        return super().ignored() + within

    @model_validator(mode="after")
    def _check_counts(self) -> CreateMultiRun:
        most = settings.most_candidates()
        if self.requested > most:
            raise unfit(
                f"{len(self.all_variants)} variants with concurrency {self.copies} are {self.requested} candidates; "
                f"at most {most} are allowed",
                "concurrency" if self.copies > 1 else "variants",
            )
        total = self.requested + self.second_wave
        if total > most:
            raise unfit(
                f"{self.requested} candidates and {self.second_wave} of the second wave are {total}; "
                f"at most {most} are allowed",
                "second_wave",
            )
        if self.quorum > total:
            raise unfit(f"quorum is more than the number of candidates, {total}", "quorum")
        if self.first_k is not None and self.first_k < self.quorum:
            raise unfit(f"first_k is less than quorum, {self.quorum}", "first_k")
        if self.first_k is not None and self.first_k > self.requested:
            raise unfit(f"first_k is more than the number of candidates, {self.requested}", "first_k")
        for name in ("start", "agree"):
            if self.adaptive and getattr(self.adaptive, name) > self.requested:
                raise unfit(f"{name} is more than the number of candidates, {self.requested}", "adaptive", name)
        return self

    @model_validator(mode="after")
    def _check_close_losers(self) -> CreateMultiRun:
        if self.close_losers and self.strategy is not Strategy.SELECT:
            raise unfit(
                "close_losers needs the strategy select: only then there are candidates that lose", "close_losers"
            )
        return self

    @model_validator(mode="after")
    def _check_size(self) -> CreateMultiRun:
        own = self.all_variants
        candidates = [*own * self.copies, *islice(cycle(own), self.second_wave)]
        texts = [text for each in candidates for text in (each.prompt, each.system_prompt)]
        shared = [self.prompt, self.synthesis.prompt, *[self.system_prompt] * len(candidates)]
        size = sum(len(text.encode(errors="replace")) for text in [*shared, *texts] if text)
        if size > MAX_PROMPT_BYTES:
            raise unfit(f"the prompts of all candidates together have {size} bytes, more than {MAX_PROMPT_BYTES}")
        longest = max(len((each.prompt or self.prompt).encode(errors="replace")) for each in candidates)
        if self.second_wave and longest > MAX_SECOND_WAVE_BYTES:
            raise unfit(
                f"a prompt has {longest} bytes; with second_wave, at most {MAX_SECOND_WAVE_BYTES} are allowed",
                "second_wave",
            )
        return self
