"""The bodies of requests and answers, under the upstream's own schema names (its OpenAPI document of February 2026).

Answers have all their fields: one without a value is an explicit null, as observed upstream. Unknown keys of a request
are ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AnyUrl, BaseModel, Field, UrlConstraints

T = TypeVar("T")

JsonObject = dict[str, Any]
WebhookUrl = Annotated[AnyUrl, UrlConstraints(max_length=2083)]


class ApiAgentRunSourceType(StrEnum):
    """Where a run was started from."""

    LOCAL = "LOCAL"
    SLACK = "SLACK"
    GITHUB = "GITHUB"
    GITHUB_CHECK_SUITE = "GITHUB_CHECK_SUITE"
    GITHUB_PR_REVIEW = "GITHUB_PR_REVIEW"
    LINEAR = "LINEAR"
    API = "API"
    CHAT = "CHAT"
    JIRA = "JIRA"
    CLICKUP = "CLICKUP"
    MONDAY = "MONDAY"
    SETUP_COMMANDS = "SETUP_COMMANDS"


class Page(BaseModel, Generic[T]):
    """The list envelope."""

    items: list[T]
    total: int
    page: int
    size: int
    pages: int


# Users and organizations


class UserResponse(BaseModel):
    """A user, with the role in the organization of the request."""

    id: int
    email: str | None = None
    github_user_id: str
    github_username: str
    avatar_url: str | None = None
    full_name: str | None = None
    role: str | None = None
    is_admin: bool | None = None


class OrganizationSettings(BaseModel):
    """What agents may do in an organization."""

    enable_pr_creation: bool = True
    enable_rules_detection: bool = True


class OrganizationResponse(BaseModel):
    """An organization."""

    id: int
    name: str
    settings: OrganizationSettings


class RepoResponse(BaseModel):
    """A repository."""

    id: int
    name: str
    full_name: str
    description: str | None
    github_id: str
    organization_id: int
    visibility: str | None
    archived: bool | None
    setup_status: str
    language: str | None


class IntegrationStatus(BaseModel):
    """One integration of an organization."""

    integration_type: str
    active: bool
    token_id: int | None = None
    installation_id: int | None = None
    metadata: JsonObject | None = None


class OrganizationIntegrationsResponse(BaseModel):
    """All integrations of an organization."""

    organization_id: int
    organization_name: str
    integrations: list[IntegrationStatus]
    total_active_integrations: int


class ModelOption(BaseModel):
    """A model that a run can use."""

    label: str
    value: str


class ProviderModels(BaseModel):
    """The models of one provider."""

    name: str
    models: list[ModelOption]


class ModelsResponse(BaseModel):
    """The models that runs of an organization can use."""

    providers: list[ProviderModels]
    default_model: str


# Agent runs


class WebhookOverride(BaseModel):
    """A webhook for one run."""

    url: str
    secret: str | None = None


class CreateAgentRunInput(BaseModel):
    """A request to start a run."""

    prompt: str
    images: list[str] | None = None
    metadata: JsonObject | None = None
    repo_id: int | None = None
    model: str | None = None
    agent_type: Literal["codegen", "claude_code"] | None = None
    webhooks: list[WebhookOverride] | None = None


class ResumeAgentRunInput(BaseModel):
    """A follow-up to a run."""

    agent_run_id: int
    prompt: str
    images: list[str] | None = None
    model: str | None = None
    webhooks: list[WebhookOverride] | None = None


class StopAgentRunInput(BaseModel):
    """The run whose pull request Codegen is banned from, unbanned from or removed from."""

    agent_run_id: int
    before_card_order_id: str | None = None
    after_card_order_id: str | None = None


class GithubPullRequestResponse(BaseModel):
    """A pull request that a run opened."""

    id: int
    title: str | None = None
    url: str | None = None
    created_at: str
    head_branch_name: str | None = None


class AgentRunResponse(BaseModel):
    """A run."""

    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    summary: str | None = None
    source_type: ApiAgentRunSourceType | None = None
    github_pull_requests: list[GithubPullRequestResponse] | None = None
    metadata: JsonObject | None = None


class AgentRunLogResponse(BaseModel):
    """One log entry. It has no id: only its position identifies it."""

    agent_run_id: int
    created_at: str | None = None
    tool_name: str | None = None
    message_type: str | None = None
    thought: str | None = None
    observation: JsonObject | str | None = None
    tool_input: JsonObject | None = None
    tool_output: JsonObject | None = None


class AgentRunWithLogsResponse(BaseModel):
    """A run without `summary`, `source_type` and `github_pull_requests`, and a page of its logs."""

    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    metadata: JsonObject | None = None
    logs: list[AgentRunLogResponse]
    total_logs: int | None = None
    page: int | None = None
    size: int | None = None
    pages: int | None = None


# Runs that other operations start


class GenerateSetupCommandsInput(BaseModel):
    """A request to work out how a repository is set up."""

    repo_id: int
    prompt: str | None = None
    trigger_source: str = "setup-commands"


class SetupCommandsResponse(BaseModel):
    """The run that works out the setup commands."""

    agent_run_id: int
    status: str
    url: str


class AnalyzeLogsResponse(BaseModel):
    """The run that analyses a sandbox's logs."""

    agent_run_id: int
    status: str
    message: str


# Pull requests and checks


class CheckSuiteSettingsRequest(BaseModel):
    """New check settings. Fields that are null stay unchanged."""

    check_retry_count: Annotated[int, Field(ge=0, le=10)] | None = None
    ignored_checks: list[str] | None = None
    check_retry_counts: dict[str, int] | None = None
    custom_prompts: dict[str, str] | None = None
    high_priority_apps: list[str] | None = None


class CheckSuiteSettingsResponse(BaseModel):
    """The check settings of a repository."""

    check_retry_count: int
    ignored_checks: list[str]
    check_retry_counts: dict[str, int]
    custom_prompts: dict[str, str]
    high_priority_apps: list[str]
    available_check_suite_names: list[str]


class EditPRInput(BaseModel):
    """The new state of a pull request."""

    state: Literal["open", "closed", "draft", "ready_for_review"]


class EditPRResponse(BaseModel):
    """The outcome of an edit of a pull request."""

    success: bool
    url: str | None = None
    number: int | None = None
    title: str | None = None
    state: str | None = None
    error: str | None = None


# Account connections and webhooks


class CLIRulesResponse(BaseModel):
    """Rules that a command line tool follows."""

    organization_rules: str | None
    user_custom_prompt: str | None


class GenerateTokenRequest(BaseModel):
    """The organization that a Slack account is connected to."""

    org_id: int


class GenerateTokenResponse(BaseModel):
    """A token to send to the Slack bot."""

    token: str
    message: str
    expires_in_minutes: int


class OAuthProviderResponse(BaseModel):
    """An OAuth provider."""

    id: int
    name: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    default_scopes: list[str] | None
    is_mcp: bool
    meta: JsonObject | None = None


class WebhookConfigRequest(BaseModel):
    """The webhook for finished runs."""

    url: WebhookUrl
    secret: str | None = None
    enabled: bool = True


class WebhookConfigResponse(BaseModel):
    """The webhook for finished runs. Its secret is never returned."""

    url: str | None
    enabled: bool
    has_secret: bool


class WebhookTestRequest(BaseModel):
    """The URL that a test is sent to."""

    url: WebhookUrl


# Errors: business errors carry `message` and `status_code`, all others `detail`


class APIRateLimitErrorResponse(BaseModel):
    """429."""

    message: str = "Rate limit exceeded. Please try again later."
    status_code: int = 429


class AgentRunLimitReachedErrorResponse(BaseModel):
    """402."""

    message: str = (
        "Alloted agent runs for the current billing plan have been reached. Please upgrade your plan to continue."
    )
    status_code: int = 402


class PermissionsErrorResponse(BaseModel):
    """403."""

    message: str = "You do not have access to this organization."
    status_code: int = 403


class AgentRunNotFoundErrorResponse(BaseModel):
    """404 for a run."""

    message: str = "Agent run not found."
    status_code: int = 404


class UserNotFoundErrorResponse(BaseModel):
    """404 for a user."""

    message: str = "User not found."
    status_code: int = 404


class NoReposFoundInOrgErrorResponse(BaseModel):
    """404 for a run in an organization without repositories."""

    message: str = "No repos found in the organization. Please add some repos and try again."
    status_code: int = 404


class ValidationError(BaseModel):
    """One error in a request."""

    loc: list[str | int]
    msg: str
    type: str


class HTTPValidationError(BaseModel):
    """422."""

    detail: list[ValidationError] = Field(default_factory=list)


BusinessError = (
    APIRateLimitErrorResponse
    | AgentRunLimitReachedErrorResponse
    | PermissionsErrorResponse
    | AgentRunNotFoundErrorResponse
    | UserNotFoundErrorResponse
    | NoReposFoundInOrgErrorResponse
)
