"""A client of the Codegen API.

    from codegen_api import CodegenAPI

    with CodegenAPI(org_id=1, token="YOUR_TOKEN") as api:
        task = api.run_task("Fix the flaky test in tests/test_clock.py")
        for event in task.stream():
            print(event.text)
        print(task.result)

`AsyncCodegenAPI` is the same with `await`. Whatever fails raises a `CodegenAPIError`; `api.with_deadline(5)` is the
same client with 5 seconds for everything that is asked of it. `api.runs`, `api.users`, `api.repos`, ... are the
operations of the API one by one.
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
    InvalidResponseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    TaskTimeoutError,
    ValidationError,
)
from ._models import (
    AgentRun,
    AgentRunLog,
    AgentRunLogs,
    Harness,
    Integration,
    Integrations,
    ModelOption,
    ModelProvider,
    Models,
    Organization,
    OrganizationSettings,
    Page,
    PullRequest,
    Repo,
    SandboxAnalysis,
    SetupCommands,
    User,
    Webhook,
    parse_timestamp,
)
from ._retry import Attempt, RetryPolicy
from ._settings import Id
from ._version import __version__

if TYPE_CHECKING:
    from ._account import ApiToken, Member, OrganizationDetails, Usage
    from ._agent import Agent, AgentProfile, AgentType, AsyncAgent
    from ._batch import Outcome
    from ._config import ConfigurationWarning
    from ._limits import Allowance
    from ._metrics import Metrics
    from ._multi_run import Answer, Candidate, MultiRun, Star
    from ._shortcuts import create_async_client, create_client, run_task, run_task_async
    from ._stream import TaskEvent
    from ._task import AsyncTask, Task
    from ._task_state import TaskStatus

# Imported on first use: programs that start fast, such as Lambda functions, do without.
_LAZY = {
    "Agent": "_agent",
    "AgentProfile": "_agent",
    "AgentType": "_agent",
    "Allowance": "_limits",
    "Answer": "_multi_run",
    "ApiToken": "_account",
    "AsyncAgent": "_agent",
    "AsyncTask": "_task",
    "Candidate": "_multi_run",
    "ConfigurationWarning": "_config",
    "Member": "_account",
    "Metrics": "_metrics",
    "MultiRun": "_multi_run",
    "OrganizationDetails": "_account",
    "Outcome": "_batch",
    "Star": "_multi_run",
    "Task": "_task",
    "TaskEvent": "_stream",
    "TaskStatus": "_task_state",
    "Usage": "_account",
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
    "CodegenAPI",
    "CodegenAPIError",
    "ConfigurationError",
    "ConfigurationWarning",
    "ConflictError",
    "DeadlineExceededError",
    "Harness",
    "Id",
    "Integration",
    "Integrations",
    "InvalidResponseError",
    "Member",
    "Metrics",
    "ModelOption",
    "ModelProvider",
    "Models",
    "MultiRun",
    "NotFoundError",
    "NotSupportedError",
    "Organization",
    "OrganizationDetails",
    "OrganizationSettings",
    "Outcome",
    "Page",
    "PermissionDeniedError",
    "PullRequest",
    "QuotaExceededError",
    "RateLimitError",
    "Repo",
    "RetryPolicy",
    "SandboxAnalysis",
    "ServerError",
    "SetupCommands",
    "Star",
    "Task",
    "TaskEvent",
    "TaskStatus",
    "TaskTimeoutError",
    "Usage",
    "User",
    "ValidationError",
    "Webhook",
    "__version__",
    "create_async_client",
    "create_client",
    "parse_timestamp",
    "run_task",
    "run_task_async",
]
