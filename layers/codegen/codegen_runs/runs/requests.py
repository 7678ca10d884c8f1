"""Request bodies of the operations that start, continue and stop agent runs."""

import json
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from codegen_api import Webhook
from codegen_runs.bodies import Body


class Prompted(Body):
    """A body with a prompt. As the last base of a class, it comes first in the class's fields."""

    prompt: str


class FollowUpOptions(Body):
    """What a follow-up may say besides its prompt."""

    images: list[str] | None = Field(default=None, description="Base64 data URIs.")
    model: str | None = Field(default=None, description="The run's own model if absent.")
    webhooks: list[Webhook] | None = Field(default=None, description="Told when the run ends.")


class FollowUp(FollowUpOptions, Prompted):
    """What to say to a run that exists."""


class ResumeAgentRun(FollowUp):
    """A follow-up that names its run."""

    agent_run_id: int


class RunOptions(Body):
    """What a run may be started with besides its prompt."""

    images: list[str] | None = Field(default=None, description="Base64 data URIs.")
    metadata: dict[str, Any] | None = Field(default=None, description="Kept with the run and given back.")
    repo_id: int | None = None
    model: str | None = Field(default=None, description="The organization's default if absent.")
    agent_type: Literal["codegen", "claude_code"] | None = Field(
        default=None, description="The organization's default if absent."
    )
    webhooks: list[Webhook] | None = Field(default=None, description="Told when the run ends.")
    agent_id: str | None = Field(
        default=None,
        description=(
            "An agent of this deployment, whose instructions, model and repository the run gets; the metadata then "
            "names it and its version."
        ),
    )

    @field_validator("metadata")
    @classmethod
    def _no_infinity(cls, metadata: Any) -> Any:
        # Python reads 1e999 as infinity, which JSON cannot say.
        try:
            json.dumps(metadata, allow_nan=False)
        except ValueError:
            raise PydanticCustomError("finite_number", "Input should hold finite numbers only") from None
        return metadata


class CreateAgentRun(RunOptions, Prompted):
    """What to start a run with."""


class CardOrder(Body):
    """Where the card of a stopped run goes on the upstream's board, in the column of cancelled runs."""

    before_card_order_id: str | None = None
    after_card_order_id: str | None = None

    def card_order(self) -> dict[str, str | None]:
        """Return the two keys."""
        return {
            "before_card_order_id": self.before_card_order_id,
            "after_card_order_id": self.after_card_order_id,
        }


class StopAgentRun(CardOrder):
    """The run whose pull request is meant."""

    agent_run_id: int


class GenerateSetupCommands(Body):
    """The repository to find setup commands for."""

    repo_id: int
    prompt: str | None = None
    trigger_source: str | None = None
