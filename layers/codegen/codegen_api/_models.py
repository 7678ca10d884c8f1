"""What the upstream answers, as Pydantic models.

They are strict about what the API promises and open about everything else: unknown keys are kept, words such as a
status are plain strings (the document lists no statuses, and new source types appear without notice), and dumping a
model gives exactly the JSON that was received. A key is required where the official OpenAPI document of 2025-10
requires it and does not let it be null.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

T = TypeVar("T")

Harness = Literal["codegen", "claude_code"]
"""What drives the model: the upstream's `agent_type`."""


def parse_timestamp(value: str) -> datetime:
    """Read an upstream timestamp as an aware UTC datetime.

    Live answers carry `2025-06-21 11:20:04.338398`, the documentation shows `2024-01-15T10:30:00Z`. One without a
    zone is taken as UTC.

    Raises:
        ValueError: It is neither.
    """
    moment = datetime.fromisoformat(value.strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {value!r}") from error


class Model(BaseModel):
    """An upstream object: strict types, unknown keys kept, dumped as it was received."""

    # Strict, so that no value is coerced on the way through ("5" never becomes 5). Built on first use: a cold start
    # pays only for the models it meets.
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)

    @model_serializer(mode="wrap")
    def _as_received(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        # No return annotation: Pydantic would publish it as the JSON schema in place of the fields.
        dumped: dict[str, Any] = handler(self)
        received = {}
        for name in (*type(self).model_fields, *(self.model_extra or ())):
            if name not in self.model_fields_set:
                continue  # a default that the upstream never sent
            if name in dumped:
                received[name] = dumped[name]
            elif not _left_out(name, info):
                received[name] = getattr(self, name)  # dropped by exclude_none or exclude_defaults
        return received


def _left_out(name: str, info: SerializationInfo) -> bool:
    """Tell whether the caller of the dump named this key in `exclude`, or not in `include`."""
    return (info.exclude is not None and name in info.exclude) or (
        info.include is not None and name not in info.include
    )


class _Created(Model):
    @property
    def created(self) -> datetime | None:
        """The moment in `created_at`, aware and in UTC; None when there is none or it cannot be read."""
        created_at: str | None = getattr(self, "created_at", None)
        try:
            return parse_timestamp(created_at) if created_at else None
        except ValueError:
            return None


class Page(Model, Generic[T]):
    """One page of a list: `items`, and the arithmetic of the whole (`page` counts from 1)."""

    items: list[T]
    total: int
    page: int
    size: int
    pages: int


class User(Model):
    """A user of an organization; `role` is ADMIN, MANAGER or MEMBER."""

    @property
    def name(self) -> str:
        """The full name, or else the name at GitHub."""
        return self.full_name or self.github_username

    id: int
    email: str | None = None
    github_user_id: str
    github_username: str
    avatar_url: str | None = None
    full_name: str | None = None
    role: str | None = None
    is_admin: bool | None = None


class OrganizationSettings(Model):
    """What an organization lets its agents do."""

    enable_pr_creation: bool = True
    enable_rules_detection: bool = True


class Organization(Model):
    """An organization the token's user is in."""

    id: int
    name: str
    settings: OrganizationSettings


class Repo(Model):
    """A repository of an organization."""

    id: int
    name: str
    full_name: str
    description: str | None = None
    github_id: str
    organization_id: int
    visibility: str | None = None
    archived: bool | None = None
    setup_status: str
    language: str | None = None


class PullRequest(_Created):
    """A pull request that a run opened."""

    id: int
    title: str | None = None
    url: str | None = None
    created_at: str | None = None
    head_branch_name: str | None = None


class AgentRun(_Created):
    """An agent run. `result` (Markdown) stays null until the run ends; `metadata` is what the creator sent."""

    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    summary: str | None = None
    source_type: str | None = None
    github_pull_requests: list[PullRequest] | None = None
    metadata: dict[str, Any] | None = None


class AgentRunLog(_Created):
    """One step of a run. Logs have no id upstream: their position is their identity."""

    agent_run_id: int
    created_at: str | None = None
    tool_name: str | None = None
    message_type: str | None = None
    thought: str | None = None
    observation: dict[str, Any] | list[Any] | str | None = None
    tool_input: dict[str, Any] | list[Any] | str | None = None
    tool_output: dict[str, Any] | list[Any] | str | None = None


class AgentRunLogs(_Created):
    """A run with one page of its logs. It lacks the `summary`, `source_type` and pull requests of `AgentRun`."""

    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    metadata: dict[str, Any] | None = None
    logs: list[AgentRunLog]
    total_logs: int | None = None
    page: int | None = None
    size: int | None = None
    pages: int | None = None


class Integration(Model):
    """One integration of an organization. The document promises integer ids; live answers also carry strings."""

    integration_type: str
    active: bool
    token_id: int | str | None = None
    installation_id: int | str | None = None
    # Has been seen to hold a webhook's secret.
    metadata: dict[str, Any] | None = Field(default=None, repr=False)


class Integrations(Model):
    """Every integration of an organization."""

    organization_id: int
    organization_name: str
    integrations: list[Integration]
    total_active_integrations: int


class ModelOption(Model):
    """A language model: `value` is what a run takes as `model`."""

    label: str
    value: str


class ModelProvider(Model):
    """A provider and its language models."""

    name: str
    models: list[ModelOption]


class Models(Model):
    """The language models an organization can run agents with."""

    providers: list[ModelProvider]
    default_model: str


class SetupCommands(Model):
    """The run that works out a repository's setup commands. They are in its result once it ends."""

    agent_run_id: int
    status: str
    url: str


class SandboxAnalysis(Model):
    """The run that analyses a sandbox's setup logs."""

    agent_run_id: int
    status: str
    message: str


class Webhook(Model):
    """Where the upstream reports the end of one run, in place of the organization's own webhook."""

    url: str
    secret: str | None = Field(default=None, repr=False)


Webhooks = Sequence[Webhook | Mapping[str, Any]]
