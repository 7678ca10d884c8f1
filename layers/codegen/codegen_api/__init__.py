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
from ._protocol import Response
from ._retry import Attempt, RetryPolicy
from ._version import __version__

if TYPE_CHECKING:
    from ._agent import Agent, AsyncAgent
    from ._batch import Outcome
    from ._config_file import ConfigurationWarning
    from ._deployment_models import (
        AgentProfile,
        AgentType,
        Answer,
        ApiToken,
        Candidate,
        ComparedCandidate,
        Comparison,
        Member,
        MultiRun,
        OrganizationDetails,
        Star,
        Usage,
    )
    from ._metrics import Metrics
    from ._rate_limits import Allowance
    from ._shortcuts import create_async_client, create_client, run_task, run_task_async
    from ._task import AsyncTask, Task
    from ._task_events import TaskEvent
    from ._task_state import TaskStatus

# Imported on first use, so that programs without them, such as Lambda functions, start faster.
_LAZY = {
    "Agent": "_agent",
    "AgentProfile": "_deployment_models",
    "AgentType": "_deployment_models",
    "Allowance": "_rate_limits",
    "Answer": "_deployment_models",
    "ApiToken": "_deployment_models",
    "AsyncAgent": "_agent",
    "AsyncTask": "_task",
    "Candidate": "_deployment_models",
    "ComparedCandidate": "_deployment_models",
    "Comparison": "_deployment_models",
    "ConfigurationWarning": "_config_file",
    "Member": "_deployment_models",
    "Metrics": "_metrics",
    "MultiRun": "_deployment_models",
    "OrganizationDetails": "_deployment_models",
    "Outcome": "_batch",
    "Star": "_deployment_models",
    "Task": "_task",
    "TaskEvent": "_task_events",
    "TaskStatus": "_task_state",
    "Usage": "_deployment_models",
    "create_async_client": "_shortcuts",
    "create_client": "_shortcuts",
    "run_task": "_shortcuts",
    "run_task_async": "_shortcuts",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
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
    "Answer",
    "ApiToken",
    "AsyncAgent",
    "AsyncCodegenAPI",
    "AsyncTask",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Candidate",
    "CheckSuiteSettings",
    "CliRules",
    "CodegenAPI",
    "CodegenAPIError",
    "ComparedCandidate",
    "Comparison",
    "ConfigurationError",
    "ConfigurationWarning",
    "ConflictError",
    "DeadlineExceededError",
    "EditedPullRequest",
    "Harness",
    "Id",
    "Integration",
    "Integrations",
    "InvalidArgumentError",
    "InvalidResponseError",
    "Member",
    "Metrics",
    "ModelOption",
    "ModelProvider",
    "Models",
    "MultiRun",
    "NotFoundError",
    "NotSupportedError",
    "OAuthProvider",
    "OAuthProviders",
    "Organization",
    "OrganizationDetails",
    "OrganizationSettings",
    "Outcome",
    "Page",
    "PermissionDeniedError",
    "PullRequest",
    "PullRequestState",
    "QuotaExceededError",
    "RateLimitError",
    "Repo",
    "Response",
    "ResponseTooLargeError",
    "RetryPolicy",
    "SandboxAnalysis",
    "ServerError",
    "SetupCommands",
    "SlackToken",
    "Star",
    "Task",
    "TaskEvent",
    "TaskStatus",
    "TaskTimeoutError",
    "Usage",
    "User",
    "ValidationError",
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
