"""What callers send about checkpoints."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from codegen_runs.bodies import Body, Warned

MAX_DESCRIPTION_CHARACTERS = 200
MAX_QUERY_CHARACTERS = 50_000
MAX_SYSTEM_PROMPT_CHARACTERS = 20_000
MAX_TAGS = 20

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]


class CreateCheckpoint(Body):
    """What a checkpoint that is made by hand is for."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None, max_length=MAX_DESCRIPTION_CHARACTERS, description="Its summary."
    )
    tags: list[Tag] = Field([], max_length=MAX_TAGS)


class Modifications(Body):
    """What is to be different from the run that the checkpoint is of."""

    modified_query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None,
        max_length=MAX_QUERY_CHARACTERS,
        description=(
            "What to ask in place of the checkpoint's last prompt, or after it where that has been answered. Without "
            "it, the last prompt is asked again."
        ),
    )
    system_prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None,
        max_length=MAX_SYSTEM_PROMPT_CHARACTERS,
        description="Instructions that come first, in place of those of the run's agent.",
    )
    model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of what is to be different."""
        names = ("modified_query", "system_prompt", "model")
        return tuple(name for name in names if getattr(self, name) is not None)


class ForkCheckpoint(Body):
    """How to start another run from a checkpoint."""

    modifications: Modifications | None = None

    @property
    def changes(self) -> Modifications:
        """The modifications, if only none."""
        return self.modifications or Modifications()

    def ignored(self) -> list[Warned]:
        """Return a warning for each key that no field takes, also of the modifications."""
        within = [
            warned.model_copy(update={"pointer": f"/modifications{warned.pointer}"})
            for warned in self.changes.ignored()
        ]
        return super().ignored() + within


class RestoreCheckpoint(ForkCheckpoint):
    """How to go on from a checkpoint."""

    # Strict, because it decides which run is written to.
    create_new_run: StrictBool = Field(
        True, description="Whether a new run goes on from there, or the same one, which is told to go back."
    )
