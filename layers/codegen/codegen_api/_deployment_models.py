"""The responses that only a deployment of Codegen Runs has, as Pydantic models."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import Field

from ._models import AgentRunLog, Model, Organization, Page, User, WebhookConfig
from ._statuses import RunStatus
from ._timestamps import Timestamp

T = TypeVar("T")


class CursorPage(Model, Generic[T]):
    """One page of a list, and the cursor of the next page."""

    items: list[T]
    next_cursor: str | None = None
    has_more: bool = False

    def __iter__(self) -> Iterator[T]:  # type: ignore[override] # a model iterates over its fields
        return iter(self.items)


class SideEffect(Model):
    """A further effect of an action."""

    code: str
    detail: str


class AllowedAction(Model):
    """What can be done with a run or a multi-run now: `enabled`, else the `reason` why not."""

    action: str
    enabled: bool
    reason: str | None = None
    means: str | None = None
    side_effects: list[SideEffect] | None = None


class PullRequestLink(Model):
    """A pull request that a run opened. `id` is None if Codegen's id cannot be read."""

    id: int | None = None
    number: int | None = None
    title: str | None = None
    url: str | None = None
    branch_name: str | None = None
    created_at: Timestamp | None = None


class SentPrompt(Model):
    """A prompt that was sent to a run: the first one, or a follow-up."""

    number: int
    turn: int
    text: str
    truncated: bool = False
    sent_at: Timestamp | None = None
    sent_by: str | None = None
    follow_up: bool = False
    model: str | None = None


class FoldedMultiRun(Model):
    """The multi-run that a card stands for: how many candidates were `requested`, and the path of the multi-run."""

    id: str
    strategy: str | None = None
    requested: int | None = None
    link: str | None = None


class RunCard(Model):
    """A run as a user interface shows it. Only `get` returns `result`, `summary`, `turn` and `prompts`.

    In lists, a multi-run is one card without an `id`, and `multi_run` says which.
    """

    id: int | None = None
    key: str | None = None
    status: RunStatus
    status_reason: str | None = None
    upstream_status: str | None = None
    prompt: str | None = None
    prompt_truncated: bool = False
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    duration_seconds: float | None = None
    result: str | None = None
    result_preview: str | None = None
    summary: str | None = None
    turn: int | None = None
    prompts: list[SentPrompt] | None = None
    pull_requests: list[PullRequestLink] | None = None
    repo_id: int | None = None
    repo_name: str | None = None
    branch_name: str | None = None
    model: str | None = None
    agent_type: str | None = None
    source_type: str | None = None
    metadata: dict[str, Any] | None = None
    multi_run_id: str | None = None
    multi_run: FoldedMultiRun | None = None
    starred: bool = False
    starred_at: Timestamp | None = None
    health: str | None = None
    health_detail: str | None = None
    last_log_at: Timestamp | None = None
    paused_scope: str | None = None
    web_url: str | None = None
    allowed_actions: list[AllowedAction] | None = None


class RunCardPage(Page[RunCard]):
    """One page of run cards. With `truncated`, the filters were applied to the newest runs only."""

    has_more: bool = False
    total_exact: bool | None = None
    truncated: bool | None = None


class ToolUse(Model):
    """How often a run used a tool."""

    tool_name: str
    calls: int
    pending: int = 0
    first_at: Timestamp | None = None
    last_at: Timestamp | None = None


class RunStep(Model):
    """The last entry of a run's log."""

    message_type: str | None = None
    tool_name: str | None = None
    thought: str | None = None
    at: Timestamp | None = None


class RunProgress(Model):
    """How far a run is: its `latest` step, and how many entries its log has.

    `percent` is 100 once the run has ended, and None before, because it cannot be known.
    """

    status: RunStatus
    upstream_status: str | None = None
    entries: int = 0
    latest: RunStep | None = None
    elapsed_seconds: float | None = None
    percent: int | None = None


class RunCardLogs(Model):
    """A part of the log of a run, the tools that the run used, and its progress."""

    id: int | None = None
    logs: list[AgentRunLog]
    total_logs: int
    skip: int = 0
    limit: int = 0
    has_more: bool = False
    tools: list[ToolUse] | None = None
    tools_complete: bool | None = None
    errors: int = 0
    progress: RunProgress | None = None


class RunSnapshot(Model):
    """A run that a deployment follows, as it is now."""

    key: str | None = None
    agent_run_id: int | None = None
    status: RunStatus
    status_reason: str | None = None
    upstream_status: str | None = None
    result: str | None = None
    result_truncated: bool = False
    web_url: str | None = None
    health: str | None = None
    health_detail: str | None = None
    last_log_at: Timestamp | None = None
    log_count: int | None = None
    paused_scope: str | None = None
    deadline_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    log_final_at: Timestamp | None = None
    allowed_actions: list[AllowedAction] | None = None


class ControlledRun(RunSnapshot):
    """A run after an action on it. `detail` says in words what happened, `side_effects` what else it affects."""

    detail: str
    means: str | None = None
    side_effects: list[SideEffect] | None = None
    cancel_deadline_at: Timestamp | None = None


class Message(Model):
    """A message of the conversation up to a checkpoint: a `prompt`, or an `answer`. `run` is the key of its run."""

    role: str
    text: str
    truncated: bool = False
    run: str | None = None
    turn: int | None = None
    at: Timestamp | None = None


class Checkpoint(Model):
    """A point of a run that you can return to. Only `get` and `create` return the conversation, in `chain`."""

    id: str
    agent_run_id: int
    run: str
    turn: int
    reason: str
    status: RunStatus
    summary: str | None = None
    created_at: Timestamp | None = None
    created_by: str | None = None
    tags: list[str] | None = None
    model: str | None = None
    repo_id: int | None = None
    event_id: str | None = None
    hash: str | None = None
    chain: list[Message] | None = None
    pull_requests: list[PullRequestLink] | None = None
    branch_name: str | None = None


class LineageEntry(Model):
    """A run that was started from a checkpoint of another run."""

    action: str | None = None
    checkpoint_id: str
    checkpoint_hash: str | None = None
    run: str | None = None
    """The key of the checkpoint's run."""
    agent_run_id: int | None = None
    child: str | None = None
    """The key of the run that was started. None if it is not certain that it was."""
    client_run_id: str | None = None
    depth: int = 1
    modified: list[str] = Field([])


class Replayed(Model):
    """How many messages of the conversation the run received again, and for how many there was no room."""

    messages: int
    left_out: int = 0


class RestoredRun(RunSnapshot):
    """The run that continues from a checkpoint."""

    action: str
    checkpoint_id: str
    created_new_run: bool
    detail: str
    fidelity: str | None = None
    replayed: Replayed | None = None
    lineage: list[LineageEntry] | None = None


class Lineage(Model):
    """Where a checkpoint comes from and what was made of it."""

    checkpoint_id: str
    run: str
    earlier: list[Checkpoint]
    ancestors: list[LineageEntry]
    descendants: list[LineageEntry]
    truncated: bool = False


class ChatMetrics(Model):
    """Figures about a turn of a chat. `log_entries` counts the log of the run, over all its turns."""

    duration_seconds: float | None = None
    log_entries: int | None = None


class ChatAnswer(Model):
    """The answer to a chat message. `response` is None while the agent works, and if it ended without an answer."""

    response: str | None = None
    response_truncated: bool = False
    status: RunStatus
    status_reason: str | None = None
    session_id: str
    run_id: int
    turn: int
    agent_id: str
    agent_version: int | None = None
    cursor: str | None = None
    metrics: ChatMetrics | None = None


class ChatSessionSummary(Model):
    """A conversation with an agent, as a list shows it. `status` is that of its run."""

    session_id: str
    agent_id: str
    agent_version: int | None = None
    run_id: int | None = None
    title: str | None = None
    status: RunStatus | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class StreamTicket(Model):
    """A ticket that opens one stream or WebSocket, within `expires_in` seconds."""

    ticket: str = Field(repr=False)
    stream_path: str
    expires_at: Timestamp | None = None
    expires_in: int | None = None
    agent_run_id: int | None = None
    multi_run_id: str | None = None


class RateLimit(Model):
    """A rate limit of the Codegen API: how many of its `calls` in `window_seconds` remain."""

    name: str
    calls: int
    window_seconds: float
    remaining: int
    opens_at: Timestamp | None = None
    blocked_reason: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.remaining} of {self.calls} calls in {self.window_seconds:g} s remain"


class QueuedRun(Model):
    """A run that waits to start: its place in the launch queue, and when it is expected to start."""

    position: int
    run: str
    expected_at: Timestamp | None = None
    multi_run_id: str | None = None


class LaunchQueue(Model):
    """The runs that wait to start."""

    length: int
    runs: list[QueuedRun]


class RateLimits(Model):
    """The rate limits of the deployment's token (`background`) and of the caller's token, and the launch queue."""

    background: list[RateLimit]
    caller: list[RateLimit]
    queue: LaunchQueue

    def __str__(self) -> str:
        return "\n".join([*map(str, self.background), f"launch queue: {self.queue.length} runs"])


class OrganizationDetails(Model):
    """An organization with the number of its members, and your role there, which only deployments return."""

    id: int
    name: str
    settings: dict[str, Any]
    members_count: int
    role: str | None = None

    @classmethod
    def of(cls, organization: Organization, members_count: int) -> "OrganizationDetails":
        """Make one from the models of the Codegen API."""
        settings = organization.settings.model_dump()
        return cls(id=organization.id, name=organization.name, settings=settings, members_count=members_count)


class Member(Model):
    """A member of an organization.

    The roles of a deployment are viewer, member and admin, and come with permissions. The roles of the Codegen API are
    ADMIN, MANAGER and MEMBER, without permissions. `id` is None if Codegen's id cannot be read.
    """

    id: int | None = None
    name: str | None = None
    email: str | None = None
    role: str | None = None
    permissions: list[str] | None = None

    @classmethod
    def of(cls, user: User) -> "Member":
        """Make one from the models of the Codegen API."""
        return cls(id=user.id, name=user.name, email=user.email, role=user.role)


class ApiToken(Model):
    """An API token of a deployment. Only `create_api_token` returns its secret, in `token`."""

    id: str
    name: str
    prefix: str | None = None
    role: str | None = None
    organizations: list[int] | None = None
    created_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = None
    expired: bool | None = None
    token: str | None = Field(default=None, repr=False)


class AgentType(StrEnum):
    """The type of work that an agent is made for."""

    GENERAL = "general"
    CODE_REVIEW = "code_review"
    ISSUE_RESOLVER = "issue_resolver"
    DOCUMENTATION = "documentation"
    TESTING = "testing"


class AgentProfile(Model):
    """An agent, as a deployment returns it."""

    id: str
    name: str
    type: str
    version: int | None = None
    description: str | None = None
    configuration: dict[str, Any]
    system_prompt: str | None = None
    model: str | None = None
    repo_id: int | None = None
    tags: list[str] | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class Star(Model):
    """A starred run of the caller. In lists, `run` is the run card."""

    agent_run_id: int
    starred: bool
    starred_at: Timestamp | None = None
    note: str | None = None
    run: RunCard | None = None


class AuditEntry(Model):
    """An entry of the audit trail. Each act has two: one before it was done, and one with its outcome."""

    organization_id: int | None = None
    sequence: int
    id: str
    at: Timestamp | None = None
    act: str
    target: str | None = None
    details: dict[str, Any] | None = None
    actor: str
    token_id: str | None = None
    role: str | None = None
    request_id: str | None = None
    outcome: str
    status: int | None = None
    code: str | None = None
    attempt: int | None = None
    previous: str
    hash: str


class Doorbell(Model):
    """Whether Codegen calls the doorbell of a deployment: `off`, `on`, `forwarding` or `changed`.

    `webhook` is what else is configured at Codegen, `replaced` is the webhook that the doorbell replaced.
    """

    organization_id: int
    state: str
    webhook: WebhookConfig | None = None
    replaced: WebhookConfig | None = None
    since: Timestamp | None = None


class WebhookEndpoint(Model):
    """Where a deployment sends messages about runs. Only `create` and `rotate_secret` return the `secret`."""

    id: str
    url: str
    description: str | None = None
    events: list[str] | None = None
    format: str | None = None
    enabled: bool
    disabled_reason: str | None = None
    failing_since: Timestamp | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    secret: str | None = Field(None, repr=False)
    previous_secret_until: Timestamp | None = None


class WebhookAttempt(Model):
    """One try to deliver a message. Without an answer, `status` is None and `error` says why."""

    at: Timestamp
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None
    answer: str | None = None


class WebhookDelivery(Model):
    """A message to a webhook endpoint: `pending`, `delivered` or `failed`."""

    message_id: str
    type: str
    status: str
    created_at: Timestamp | None = None
    next_attempt_at: Timestamp | None = None
    reason: str | None = None
    attempts: list[WebhookAttempt] | None = None


class SentMessages(Model):
    """The messages that were put into the queue of a webhook endpoint, and whether there are more to send again."""

    message_ids: list[str]
    more: bool = False


class Health(Model):
    """The state of a deployment."""

    service: str
    status: str
    version: str
    timestamp: Timestamp | None = None
    uptime_seconds: float | None = None
