"""Request bodies of the operations that start, continue and stop agent runs."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from codegen_api import Webhook
from codegen_runs.bodies import Body, NotBlank, UpstreamId, json_text

Prompt = Annotated[str, NotBlank]
"""What an agent is to do. An empty prompt would start an agent that has nothing to do."""

Images = Annotated[list[str] | None, Field(description="Base64 data URIs.")]
Webhooks = Annotated[list[Webhook] | None, Field(description="Notified when the run ends.")]


class Prompted(Body):
    """A body with a prompt. Pydantic lists the fields of a class's last base first, so the prompt leads."""

    prompt: Prompt


class FollowUpOptions(Body):
    """The fields of a follow-up besides its prompt."""

    images: Images = None
    model: str | None = Field(default=None, description="Defaults to the run's own model.")
    webhooks: Webhooks = None


class FollowUp(FollowUpOptions, Prompted):
    """A prompt for an existing run."""


class ResumeAgentRun(FollowUp):
    """A prompt for an existing run, which the body names."""

    agent_run_id: UpstreamId


class RunOptions(Body):
    """The fields of a new run besides its prompt."""

    images: Images = None
    metadata: dict[str, Any] | None = Field(default=None, description="Stored with the run, and returned with it.")
    repo_id: int | None = None
    model: str | None = Field(default=None, description="Defaults to the organization's model.")
    agent_type: Literal["codegen", "claude_code"] | None = Field(
        default=None, description="Defaults to the organization's agent type."
    )
    webhooks: Webhooks = None
    agent_id: str | None = Field(
        default=None,
        description=(
            "An agent of this deployment. The run uses the agent's instructions, model and repository, and its "
            "metadata names the agent and its version."
        ),
    )

    @field_validator("metadata")
    @classmethod
    def _no_infinity(cls, metadata: Any) -> Any:
        json_text(metadata)
        return metadata


class CreateAgentRun(RunOptions, Prompted):
    """A new run."""


class CardOrder(Body):
    """The place of a stopped run's card in the column of cancelled runs on the upstream's board."""

    before_card_order_id: str | None = None
    after_card_order_id: str | None = None

    def card_order(self) -> dict[str, str | None]:
        """Return the two fields that the upstream accepts."""
        return {
            "before_card_order_id": self.before_card_order_id,
            "after_card_order_id": self.after_card_order_id,
        }


class StopAgentRun(CardOrder):
    """The run whose pull request the operation acts on."""

    agent_run_id: UpstreamId


class GenerateSetupCommands(Body):
    """The repository to find setup commands for."""

    repo_id: UpstreamId
    prompt: Prompt | None = None
    trigger_source: str | None = None
