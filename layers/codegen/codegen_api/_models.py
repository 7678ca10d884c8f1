"""The responses of the Codegen API, as Pydantic models.

The models are strict about what the API documents, and accept everything else. Unknown keys are kept. Statuses and
source types are plain strings, because the API documents no list of them and new ones appear without notice. Dumping a
model gives exactly the JSON that was received. A key is required if the official OpenAPI document of 2025-10 requires
it and does not allow null.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

T = TypeVar("T")

Harness = Literal["codegen", "claude_code"]
"""The program that runs the language model, `agent_type` in the Codegen API."""


def parse_timestamp(value: str) -> datetime:
    """Parse a timestamp of the Codegen API into an aware UTC datetime.

    Live responses have the format `2025-06-21 11:20:04.338398`, the documentation shows `2024-01-15T10:30:00Z`. A
    timestamp without a time zone is in UTC.

    Raises:
        ValueError: The text has neither format.
    """
    moment = datetime.fromisoformat(value.strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {value!r}") from error


class Model(BaseModel):
    """An object of the API: strict types, unknown keys kept, dumped as it was received."""

    # Strict, so that no value is coerced ("5" does not become 5). Validators are built on first use, so that a cold
    # start pays only for the models that it uses.
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)

    @model_serializer(mode="wrap")
    def _as_received(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        # No return annotation, because Pydantic would use it as the JSON schema instead of the fields.
        dumped: dict[str, Any] = handler(self)
        received = {}
        for name in (*type(self).model_fields, *(self.model_extra or ())):
            if name not in self.model_fields_set:
                continue  # a default value that was not received
            if name in dumped:
                received[name] = dumped[name]
            elif not _left_out(name, info):
                received[name] = getattr(self, name)  # removed by exclude_none or exclude_defaults
        return received


def _left_out(name: str, info: SerializationInfo) -> bool:
    """Return whether the caller of the dump excluded this key with `exclude` or `include`."""
    return (info.exclude is not None and name in info.exclude) or (
        info.include is not None and name not in info.include
    )


class _Created(Model):
    @property
    def created(self) -> datetime | None:
        """`created_at` as an aware UTC datetime; None if absent or invalid."""
        created_at: str | None = getattr(self, "created_at", None)
        try:
            return parse_timestamp(created_at) if created_at else None
        except ValueError:
            return None


class Page(Model, Generic[T]):
    """One page of a list: the `items`, and the position of the page in the list (`page` counts from 1)."""

    items: list[T]
    total: int
    page: int
    size: int
    pages: int


class User(Model):
    """A user of an organization; `role` is ADMIN, MANAGER or MEMBER."""

    @property
    def name(self) -> str:
        """The full name, else the GitHub username."""
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
    """What an organization allows its agents to do."""

    enable_pr_creation: bool = True
    enable_rules_detection: bool = True


class Organization(Model):
    """An organization that the user of the token is a member of."""

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
    """An agent run. `result` (Markdown) is null until the run ends; `metadata` is what the creator sent."""

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
    """A log entry: one step of a run. Entries have no id; their position in the log identifies them."""

    agent_run_id: int
    created_at: str | None = None
    tool_name: str | None = None
    message_type: str | None = None
    thought: str | None = None
    observation: dict[str, Any] | list[Any] | str | None = None
    tool_input: dict[str, Any] | list[Any] | str | None = None
    tool_output: dict[str, Any] | list[Any] | str | None = None


class AgentRunLogs(_Created):
    """A run with one page of its log. It lacks the `summary`, `source_type` and pull requests of `AgentRun`."""

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
    """One integration of an organization. Its ids are documented as integers, but live responses also have strings."""

    integration_type: str
    active: bool
    token_id: int | str | None = None
    installation_id: int | str | None = None
    # Live responses had the secret of a webhook in it.
    metadata: dict[str, Any] | None = Field(default=None, repr=False)


class Integrations(Model):
    """All integrations of an organization."""

    organization_id: int
    organization_name: str
    integrations: list[Integration]
    total_active_integrations: int


class ModelOption(Model):
    """A language model. Pass its `value` as `model` to start a run with it."""

    label: str
    value: str


class ModelProvider(Model):
    """A provider and its language models."""

    name: str
    models: list[ModelOption]


class Models(Model):
    """The language models that an organization can use."""

    providers: list[ModelProvider]
    default_model: str


class SetupCommands(Model):
    """The run that finds the setup commands of a repository. They are in the result of the run."""

    agent_run_id: int
    status: str
    url: str


class SandboxAnalysis(Model):
    """The run that analyzes the setup log of a sandbox."""

    agent_run_id: int
    status: str
    message: str


class Webhook(Model):
    """The URL to which Codegen reports the end of one run, instead of the organization's webhook."""

    url: str
    secret: str | None = Field(default=None, repr=False)


Webhooks = Sequence[Webhook | Mapping[str, Any]]


class WebhookConfig(Model):
    """The webhook of an organization, which is called when a run ends. Codegen never returns its secret."""

    url: str | None = None
    enabled: bool
    has_secret: bool


class OAuthProvider(Model):
    """An OAuth provider of MCP servers."""

    id: int
    name: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    default_scopes: list[str] | None = None
    is_mcp: bool
    meta: dict[str, Any] | None = None


class CliRules(Model):
    """What an organization and its user tell agents that a command line tool runs."""

    organization_rules: str | None = None
    user_custom_prompt: str | None = None


class CheckSuiteSettings(Model):
    """Whether and how Codegen repairs failed checks of a repository."""

    check_retry_count: int
    ignored_checks: list[str]
    check_retry_counts: dict[str, int]
    custom_prompts: dict[str, str]
    high_priority_apps: list[str]
    available_check_suite_names: list[str]


PullRequestState = Literal["open", "closed", "draft", "ready_for_review"]
"""The states that a pull request can be given."""


class EditedPullRequest(Model):
    """The outcome of an edit of a pull request. Without `success`, `error` is the reason."""

    success: bool
    url: str | None = None
    number: int | None = None
    title: str | None = None
    state: str | None = None
    error: str | None = None


class SlackToken(Model):
    """A token that connects the user's Slack account. It can be used once, within ten minutes."""

    token: str = Field(repr=False)
    message: str = Field(repr=False)
    expires_in_minutes: int
