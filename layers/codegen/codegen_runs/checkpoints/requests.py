"""Requests about checkpoints."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from codegen_runs.bodies import Body, NotBlank, Warned

MAX_DESCRIPTION_CHARACTERS = 200
MAX_QUERY_CHARACTERS = 50_000
MAX_SYSTEM_PROMPT_CHARACTERS = 20_000
MAX_TAGS = 20

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]


class CreateCheckpoint(Body):
    """A new checkpoint."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None, max_length=MAX_DESCRIPTION_CHARACTERS, description="The summary of the checkpoint."
    )
    tags: list[Tag] = Field([], max_length=MAX_TAGS)


class Modifications(Body):
    """Differences from the checkpoint's run."""

    modified_query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), NotBlank] | None = Field(
        None,
        max_length=MAX_QUERY_CHARACTERS,
        description=(
            "The prompt to send. It replaces the checkpoint's last prompt if that has no answer yet, and follows it "
            "otherwise. Without it, the last prompt is sent again."
        ),
    )
    system_prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), NotBlank] | None = Field(
        None,
        max_length=MAX_SYSTEM_PROMPT_CHARACTERS,
        description="Instructions at the beginning of the prompt. They replace those of the run's agent.",
    )
    model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the fields that are set."""
        names = ("modified_query", "system_prompt", "model")
        return tuple(name for name in names if getattr(self, name) is not None)


class ForkCheckpoint(Body):
    """The options of a run that starts from a checkpoint."""

    modifications: Modifications | None = None

    @property
    def changes(self) -> Modifications:
        """The modifications; empty if there are none."""
        return self.modifications or Modifications()

    def ignored(self) -> list[Warned]:
        """Return a warning for each unknown field, including those of the modifications."""
        within = [
            warned.model_copy(update={"pointer": f"/modifications{warned.pointer}"})
            for warned in self.changes.ignored()
        ]
        return super().ignored() + within


class RestoreCheckpoint(ForkCheckpoint):
    """The options of a restore."""

    # Strict, because it decides which run changes.
    create_new_run: StrictBool = Field(
        True,
        description="Whether a new run continues from the checkpoint. If false, the same run is instructed to go back.",
    )
