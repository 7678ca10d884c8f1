"""A client of the Codegen API.

    from codegen_api import CodegenAPI

    with CodegenAPI(org_id=1, token="YOUR_TOKEN") as api:
        task = api.run_task("Fix the flaky test in tests/test_clock.py")
        for event in task.stream():
            print(event.text)
        print(task.result)

`AsyncCodegenAPI` is the same with `await`. Every failure raises a `CodegenAPIError`. `api.with_deadline(5)` returns the
same client with 5 seconds for all of its calls together. `api.runs`, `api.users`, `api.repos`, ... have the single
operations of the API.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._client import AsyncCodegenAPI, CodegenAPI
from ._errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CodegenAPIError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    InvalidArgumentError,
    InvalidResponseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ResponseTooLargeError,
    ServerError,
    TaskTimeoutError,
    ValidationError,
)
from ._ids import Id, as_path
from ._models import (
    AgentRun,
    AgentRunLog,
    AgentRunLogs,
    CheckSuiteSettings,
    CliRules,
    EditedPullRequest,
    Harness,
    Integration,
    Integrations,
    ModelOption,
    ModelProvider,
    Models,
    OAuthProvider,
    OAuthProviders,
    Organization,
    OrganizationSettings,
    Page,
    PullRequest,
    PullRequestState,
    Repo,
    SandboxAnalysis,
    SetupCommands,
    SlackToken,
    User,
    Webhook,
    WebhookConfig,
    parse_timestamp,
)
from ._pagination import AsyncPagedList, PagedList
from ._protocol import Response
from ._retry import Attempt, RetryPolicy
from ._statuses import MultiRunStatus, RunStatus, TaskStatus
from ._timestamps import Timestamp
from ._version import __version__

if TYPE_CHECKING:
    from ._agent import Agent, AsyncAgent
    from ._batch import Outcome
    from ._config_file import ConfigurationWarning
    from ._deployment_models import (
        AgentProfile,
        AgentType,
        AllowedAction,
        Answer,
        ApiToken,
        Candidate,
        ChatAnswer,
        Checkpoint,
        ComparedCandidate,
        Comparison,
        ControlledRun,
        CursorPage,
        Health,
        LaunchQueue,
        Lineage,
        Member,
        MultiRun,
        MultiRunEstimate,
        OrganizationDetails,
        Pick,
        PullRequestLink,
        QueuedRun,
        RateLimit,
        RateLimits,
        RestoredRun,
        RunCard,
        RunCardLogs,
        RunCardPage,
        RunSnapshot,
        SentPrompt,
        Star,
        StreamTicket,
        ToolUse,
        Usage,
    )
    from ._events import Event, EventPage
    from ._events import Event as TaskEvent
    from ._metrics import Metrics
    from ._rate_limits import Allowance
    from ._raw import RawResponse
    from ._shortcuts import create_async_client, create_client, run_task, run_task_async
    from ._streams import AsyncStream, Stream
    from ._task import AsyncTask, Task
    from .resources.chat import AsyncChatSession, ChatSession
    from .resources.multi_runs import SynthesisOptions, Variant

# Imported on first use, so that programs without them, such as Lambda functions, start faster.
_LAZY = {
    "Agent": "_agent",
    "AgentProfile": "_deployment_models",
    "AgentType": "_deployment_models",
    "Allowance": "_rate_limits",
    "AllowedAction": "_deployment_models",
    "Answer": "_deployment_models",
    "ApiToken": "_deployment_models",
    "AsyncAgent": "_agent",
    "AsyncChatSession": "resources.chat",
    "AsyncStream": "_streams",
    "AsyncTask": "_task",
    "Candidate": "_deployment_models",
    "ChatAnswer": "_deployment_models",
    "ChatSession": "resources.chat",
    "Checkpoint": "_deployment_models",
    "ComparedCandidate": "_deployment_models",
    "Comparison": "_deployment_models",
    "ConfigurationWarning": "_config_file",
    "ControlledRun": "_deployment_models",
    "CursorPage": "_deployment_models",
    "Event": "_events",
    "EventPage": "_events",
    "Health": "_deployment_models",
    "LaunchQueue": "_deployment_models",
    "Lineage": "_deployment_models",
    "Member": "_deployment_models",
    "Metrics": "_metrics",
    "MultiRun": "_deployment_models",
    "MultiRunEstimate": "_deployment_models",
    "OrganizationDetails": "_deployment_models",
    "Outcome": "_batch",
    "Pick": "_deployment_models",
    "PullRequestLink": "_deployment_models",
    "QueuedRun": "_deployment_models",
    "RateLimit": "_deployment_models",
    "RateLimits": "_deployment_models",
    "RawResponse": "_raw",
    "RestoredRun": "_deployment_models",
    "RunCard": "_deployment_models",
    "RunCardLogs": "_deployment_models",
    "RunCardPage": "_deployment_models",
    "RunSnapshot": "_deployment_models",
    "SentPrompt": "_deployment_models",
    "Star": "_deployment_models",
    "Stream": "_streams",
    "StreamTicket": "_deployment_models",
    "SynthesisOptions": "resources.multi_runs",
    "Task": "_task",
    "ToolUse": "_deployment_models",
    "Usage": "_deployment_models",
    "Variant": "resources.multi_runs",
    "create_async_client": "_shortcuts",
    "create_client": "_shortcuts",
    "run_task": "_shortcuts",
    "run_task_async": "_shortcuts",
}
_RENAMED = {"TaskEvent": "Event"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    real = _RENAMED.get(name, name)
    if real not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[real]}", __name__), real)
    globals()[name] = value
    return value


__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "Agent",
    "AgentProfile",
    "AgentRun",
    "AgentRunLog",
    "AgentRunLogs",
    "AgentType",
    "Allowance",
    "AllowedAction",
    "Answer",
    "ApiToken",
    "AsyncAgent",
    "AsyncChatSession",
    "AsyncCodegenAPI",
    "AsyncPagedList",
    "AsyncStream",
    "AsyncTask",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Candidate",
    "ChatAnswer",
    "ChatSession",
    "CheckSuiteSettings",
    "Checkpoint",
    "CliRules",
    "CodegenAPI",
    "CodegenAPIError",
    "ComparedCandidate",
    "Comparison",
    "ConfigurationError",
    "ConfigurationWarning",
    "ConflictError",
    "ControlledRun",
    "CursorPage",
    "DeadlineExceededError",
    "EditedPullRequest",
    "Event",
    "EventPage",
    "Harness",
    "Health",
    "Id",
    "Integration",
    "Integrations",
    "InvalidArgumentError",
    "InvalidResponseError",
    "LaunchQueue",
    "Lineage",
    "Member",
    "Metrics",
    "ModelOption",
    "ModelProvider",
    "Models",
    "MultiRun",
    "MultiRunEstimate",
    "MultiRunStatus",
    "NotFoundError",
    "NotSupportedError",
    "OAuthProvider",
    "OAuthProviders",
    "Organization",
    "OrganizationDetails",
    "OrganizationSettings",
    "Outcome",
    "Page",
    "PagedList",
    "PermissionDeniedError",
    "Pick",
    "PullRequest",
    "PullRequestLink",
    "PullRequestState",
    "QueuedRun",
    "QuotaExceededError",
    "RateLimit",
    "RateLimitError",
    "RateLimits",
    "RawResponse",
    "Repo",
    "Response",
    "ResponseTooLargeError",
    "RestoredRun",
    "RetryPolicy",
    "RunCard",
    "RunCardLogs",
    "RunCardPage",
    "RunSnapshot",
    "RunStatus",
    "SandboxAnalysis",
    "SentPrompt",
    "ServerError",
    "SetupCommands",
    "SlackToken",
    "Star",
    "Stream",
    "StreamTicket",
    "SynthesisOptions",
    "Task",
    "TaskEvent",
    "TaskStatus",
    "TaskTimeoutError",
    "Timestamp",
    "ToolUse",
    "Usage",
    "User",
    "ValidationError",
    "Variant",
    "Webhook",
    "WebhookConfig",
    "__version__",
    "as_path",
    "create_async_client",
    "create_client",
    "parse_timestamp",
    "run_task",
    "run_task_async",
]
