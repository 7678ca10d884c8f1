"""A client of the Codegen API.

    from codegen_api import CodegenAPI

    api = CodegenAPI(org_id=1, token="YOUR_TOKEN")
    run = api.runs.create("Fix the flaky test in tests/test_clock.py")
    print(run.id, run.status, run.web_url)

`AsyncCodegenAPI` is the same with `await`. Whatever fails raises a `CodegenAPIError`; `api.with_deadline(5)` is the
same client with 5 seconds for everything that is asked of it.
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
    from ._config import ConfigurationWarning
    from ._limits import Allowance
    from ._metrics import Metrics

# Imported on first use: programs that start fast, such as Lambda functions, do without.
_LAZY = {
    "Allowance": "_limits",
    "ConfigurationWarning": "_config",
    "Metrics": "_metrics",
}


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
    "AgentRun",
    "AgentRunLog",
    "AgentRunLogs",
    "Allowance",
    "AsyncCodegenAPI",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
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
    "Metrics",
    "ModelOption",
    "ModelProvider",
    "Models",
    "NotFoundError",
    "NotSupportedError",
    "Organization",
    "OrganizationSettings",
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
    "TaskTimeoutError",
    "User",
    "ValidationError",
    "Webhook",
    "__version__",
    "parse_timestamp",
]
