"""A client of the Codegen API.

    from codegen_api import CodegenAPI

    api = CodegenAPI(org_id=1, token="YOUR_TOKEN")
    run = api.runs.create("Fix the flaky test in tests/test_clock.py")
    print(run.id, run.status, run.web_url)

`AsyncCodegenAPI` is the same with `await`. Whatever fails raises a `CodegenAPIError`; `api.with_deadline(5)` is the
same client with 5 seconds for everything that is asked of it.
"""

from ._client import AsyncCodegenAPI, CodegenAPI
from ._errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CodegenAPIError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from ._models import (
    AgentRun,
    AgentRunLog,
    AgentRunLogs,
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
from .resources.runs import Harness

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AgentRun",
    "AgentRunLog",
    "AgentRunLogs",
    "AsyncCodegenAPI",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "CodegenAPI",
    "CodegenAPIError",
    "ConfigurationError",
    "DeadlineExceededError",
    "Harness",
    "Id",
    "Integration",
    "Integrations",
    "InvalidResponseError",
    "ModelOption",
    "ModelProvider",
    "Models",
    "NotFoundError",
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
    "User",
    "ValidationError",
    "Webhook",
    "__version__",
    "parse_timestamp",
]
