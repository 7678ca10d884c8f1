"""The two clients. They differ only in how they wait."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

import httpx

from ._client_state import ClientState
from ._core import Core
from ._docstrings import docstrings_from
from ._driver import AsyncDriver, Driver
from ._ids import Id, as_path
from ._protocol import RawCall, Response
from ._resource import resource_property
from ._retry import RetryPolicy
from ._settings import POLL_INTERVAL, TASK_TIMEOUT, Settings, as_timeout, check_headers, read_settings

if TYPE_CHECKING:
    from ._batch import Outcome, Progress
    from ._loops import LoopClients
    from ._metrics import Metrics
    from ._task import AsyncTask, Task
    from ._task_state import RunOptions
    from .resources.agents import AgentsResource, AsyncAgentsResource
    from .resources.audit import AsyncAuditResource, AuditResource
    from .resources.budgets import AsyncBudgetsResource, BudgetsResource
    from .resources.chat import AsyncChatResource, ChatResource
    from .resources.checkpoints import AsyncCheckpointsResource, CheckpointsResource
    from .resources.cli_rules import AsyncCliRulesResource, CliRulesResource
    from .resources.doorbell import AsyncDoorbellResource, DoorbellResource
    from .resources.integrations import AsyncIntegrationsResource, IntegrationsResource
    from .resources.mcp_providers import AsyncMcpProvidersResource, McpProvidersResource
    from .resources.members import AsyncMembersResource, MembersResource
    from .resources.models import AsyncModelsResource, ModelsResource
    from .resources.multi_runs import AsyncMultiRunsResource, MultiRunsResource
    from .resources.oauth_tokens import AsyncOauthTokensResource, OauthTokensResource
    from .resources.organizations import AsyncOrganizationsResource, OrganizationsResource
    from .resources.pull_requests import AsyncPullRequestsResource, PullRequestsResource
    from .resources.rate_limits import AsyncRateLimitsResource, RateLimitsResource
    from .resources.repos import AsyncReposResource, ReposResource
    from .resources.run_cards import AsyncRunCardsResource, RunCardsResource
    from .resources.runs import AsyncRunsResource, RunsResource
    from .resources.sandboxes import AsyncSandboxesResource, SandboxesResource
    from .resources.service import AsyncServiceResource, ServiceResource
    from .resources.setup_commands import AsyncSetupCommandsResource, SetupCommandsResource
    from .resources.slack_connect import AsyncSlackConnectResource, SlackConnectResource
    from .resources.starred_runs import AsyncStarredRunsResource, StarredRunsResource
    from .resources.stream_tickets import AsyncStreamTicketsResource, StreamTicketsResource
    from .resources.usage import AsyncUsageResource, UsageResource
    from .resources.users import AsyncUsersResource, UsersResource
    from .resources.webhook_endpoints import AsyncWebhookEndpointsResource, WebhookEndpointsResource
    from .resources.webhooks import AsyncWebhooksResource, WebhooksResource


def _core(
    settings: Settings,
    deadline: float | None,
    clock: Callable[[], float],
    headers: Mapping[str, str] | None,
    caching: bool,
    pacing: bool,
) -> Core:
    check_headers(headers or {})
    return Core(
        *settings,
        call_seconds=deadline,
        clock=clock,
        headers=dict(headers or {}),
        state=ClientState(caching=caching, pacing=pacing),
    )


def _http(kind: "Callable[..., C]", core: Core, transport: object | None) -> "C":
    if transport is not None:
        return kind(transport=transport, trust_env=False)
    from ._network import connect  # a client with a transport does not need it

    return connect(kind, core.base_url)


def _loop_clients(core: Core, transport: httpx.AsyncBaseTransport | None) -> "LoopClients":
    from ._loops import LoopClients  # a blocking client does not need it

    return LoopClients(partial(_http, httpx.AsyncClient, core, transport))


async def _sleep(seconds: float) -> None:
    import asyncio  # a blocking client does not need it

    await asyncio.sleep(seconds)


def _raw_call(
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    content: bytes | None,
    content_type: str | None,
    max_bytes: int | None,
) -> RawCall:
    """Return the call of `request`."""
    return RawCall(
        method,
        as_path(path),
        params=params or {},
        max_bytes=max_bytes,
        content=content,
        content_type=content_type,
    )


C = TypeVar("C", httpx.Client, httpx.AsyncClient)
D = TypeVar("D", Driver, AsyncDriver)


class _Client(Generic[D]):
    """What both clients share."""

    _driver: D
    _owns_http: bool

    @resource_property
    def runs(self) -> "tuple[type[RunsResource], type[AsyncRunsResource]]":
        """Agent runs, as the Codegen API returns them."""
        from .resources.runs import AsyncRunsResource, RunsResource

        return RunsResource, AsyncRunsResource

    @resource_property
    def agents(self) -> "tuple[type[AgentsResource], type[AsyncAgentsResource]]":
        """Agents of a deployment."""
        from .resources.agents import AgentsResource, AsyncAgentsResource

        return AgentsResource, AsyncAgentsResource

    @resource_property
    def multi_runs(self) -> "tuple[type[MultiRunsResource], type[AsyncMultiRunsResource]]":
        """Multi-runs of a deployment."""
        from .resources.multi_runs import AsyncMultiRunsResource, MultiRunsResource

        return MultiRunsResource, AsyncMultiRunsResource

    @resource_property
    def starred_runs(self) -> "tuple[type[StarredRunsResource], type[AsyncStarredRunsResource]]":
        """Starred runs of a deployment."""
        from .resources.starred_runs import AsyncStarredRunsResource, StarredRunsResource

        return StarredRunsResource, AsyncStarredRunsResource

    @resource_property
    def users(self) -> "tuple[type[UsersResource], type[AsyncUsersResource]]":
        """Users and their API tokens."""
        from .resources.users import AsyncUsersResource, UsersResource

        return UsersResource, AsyncUsersResource

    @resource_property
    def organizations(self) -> "tuple[type[OrganizationsResource], type[AsyncOrganizationsResource]]":
        """Organizations, their settings, members and usage."""
        from .resources.organizations import AsyncOrganizationsResource, OrganizationsResource

        return OrganizationsResource, AsyncOrganizationsResource

    @resource_property
    def repos(self) -> "tuple[type[ReposResource], type[AsyncReposResource]]":
        """Repositories."""
        from .resources.repos import AsyncReposResource, ReposResource

        return ReposResource, AsyncReposResource

    @resource_property
    def integrations(self) -> "tuple[type[IntegrationsResource], type[AsyncIntegrationsResource]]":
        """Integrations."""
        from .resources.integrations import AsyncIntegrationsResource, IntegrationsResource

        return IntegrationsResource, AsyncIntegrationsResource

    @resource_property
    def models(self) -> "tuple[type[ModelsResource], type[AsyncModelsResource]]":
        """Language models."""
        from .resources.models import AsyncModelsResource, ModelsResource

        return ModelsResource, AsyncModelsResource

    @resource_property
    def setup_commands(self) -> "tuple[type[SetupCommandsResource], type[AsyncSetupCommandsResource]]":
        """Setup commands of repositories."""
        from .resources.setup_commands import AsyncSetupCommandsResource, SetupCommandsResource

        return SetupCommandsResource, AsyncSetupCommandsResource

    @resource_property
    def sandboxes(self) -> "tuple[type[SandboxesResource], type[AsyncSandboxesResource]]":
        """Sandboxes."""
        from .resources.sandboxes import AsyncSandboxesResource, SandboxesResource

        return SandboxesResource, AsyncSandboxesResource

    @resource_property
    def webhooks(self) -> "tuple[type[WebhooksResource], type[AsyncWebhooksResource]]":
        """The webhook of an organization."""
        from .resources.webhooks import AsyncWebhooksResource, WebhooksResource

        return WebhooksResource, AsyncWebhooksResource

    @resource_property
    def mcp_providers(self) -> "tuple[type[McpProvidersResource], type[AsyncMcpProvidersResource]]":
        """OAuth providers of MCP servers."""
        from .resources.mcp_providers import AsyncMcpProvidersResource, McpProvidersResource

        return McpProvidersResource, AsyncMcpProvidersResource

    @resource_property
    def oauth_tokens(self) -> "tuple[type[OauthTokensResource], type[AsyncOauthTokensResource]]":
        """OAuth tokens of the current user."""
        from .resources.oauth_tokens import AsyncOauthTokensResource, OauthTokensResource

        return OauthTokensResource, AsyncOauthTokensResource

    @resource_property
    def cli_rules(self) -> "tuple[type[CliRulesResource], type[AsyncCliRulesResource]]":
        """Rules for command line tools."""
        from .resources.cli_rules import AsyncCliRulesResource, CliRulesResource

        return CliRulesResource, AsyncCliRulesResource

    @resource_property
    def pull_requests(self) -> "tuple[type[PullRequestsResource], type[AsyncPullRequestsResource]]":
        """Pull requests."""
        from .resources.pull_requests import AsyncPullRequestsResource, PullRequestsResource

        return PullRequestsResource, AsyncPullRequestsResource

    @resource_property
    def slack_connect(self) -> "tuple[type[SlackConnectResource], type[AsyncSlackConnectResource]]":
        """Connections of Slack accounts."""
        from .resources.slack_connect import AsyncSlackConnectResource, SlackConnectResource

        return SlackConnectResource, AsyncSlackConnectResource

    @resource_property
    def run_cards(self) -> "tuple[type[RunCardsResource], type[AsyncRunCardsResource]]":
        """Run cards: runs as a user interface shows them."""
        from .resources.run_cards import AsyncRunCardsResource, RunCardsResource

        return RunCardsResource, AsyncRunCardsResource

    @resource_property
    def checkpoints(self) -> "tuple[type[CheckpointsResource], type[AsyncCheckpointsResource]]":
        """Checkpoints of runs, to restore and to fork."""
        from .resources.checkpoints import AsyncCheckpointsResource, CheckpointsResource

        return CheckpointsResource, AsyncCheckpointsResource

    @resource_property
    def chat(self) -> "tuple[type[ChatResource], type[AsyncChatResource]]":
        """Conversations with agents."""
        from .resources.chat import AsyncChatResource, ChatResource

        return ChatResource, AsyncChatResource

    @resource_property
    def members(self) -> "tuple[type[MembersResource], type[AsyncMembersResource]]":
        """Members of an organization and their roles."""
        from .resources.members import AsyncMembersResource, MembersResource

        return MembersResource, AsyncMembersResource

    @resource_property
    def usage(self) -> "tuple[type[UsageResource], type[AsyncUsageResource]]":
        """The usage of an organization."""
        from .resources.usage import AsyncUsageResource, UsageResource

        return UsageResource, AsyncUsageResource

    @resource_property
    def budgets(self) -> "tuple[type[BudgetsResource], type[AsyncBudgetsResource]]":
        """The budgets of an organization."""
        from .resources.budgets import AsyncBudgetsResource, BudgetsResource

        return BudgetsResource, AsyncBudgetsResource

    @resource_property
    def audit(self) -> "tuple[type[AuditResource], type[AsyncAuditResource]]":
        """Who did what in an organization."""
        from .resources.audit import AsyncAuditResource, AuditResource

        return AuditResource, AsyncAuditResource

    @resource_property
    def rate_limits(self) -> "tuple[type[RateLimitsResource], type[AsyncRateLimitsResource]]":
        """Rate limits and the launch queue."""
        from .resources.rate_limits import AsyncRateLimitsResource, RateLimitsResource

        return RateLimitsResource, AsyncRateLimitsResource

    @resource_property
    def stream_tickets(self) -> "tuple[type[StreamTicketsResource], type[AsyncStreamTicketsResource]]":
        """Tickets that open a stream in a browser."""
        from .resources.stream_tickets import AsyncStreamTicketsResource, StreamTicketsResource

        return StreamTicketsResource, AsyncStreamTicketsResource

    @resource_property
    def webhook_endpoints(self) -> "tuple[type[WebhookEndpointsResource], type[AsyncWebhookEndpointsResource]]":
        """Endpoints that get signed messages about runs."""
        from .resources.webhook_endpoints import AsyncWebhookEndpointsResource, WebhookEndpointsResource

        return WebhookEndpointsResource, AsyncWebhookEndpointsResource

    @resource_property
    def doorbell(self) -> "tuple[type[DoorbellResource], type[AsyncDoorbellResource]]":
        """The doorbell, with which a deployment reads a run as soon as it ends."""
        from .resources.doorbell import AsyncDoorbellResource, DoorbellResource

        return DoorbellResource, AsyncDoorbellResource

    @resource_property
    def service(self) -> "tuple[type[ServiceResource], type[AsyncServiceResource]]":
        """The deployment itself."""
        from .resources.service import AsyncServiceResource, ServiceResource

        return ServiceResource, AsyncServiceResource

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        on_response: Callable[[Response], object] | None = None,
    ) -> Self:
        """Return a view of this client with other options. What is None stays.

        The view uses the connections of this client: it works until this client is closed, and closing the view has no
        effect.

        Args:
            timeout: Seconds for each phase of one attempt (connect, write, read, pool).
            retry: Which requests to retry, and when.
            headers: Additional headers of every request.
            on_response: Called with each response: its `status`, `headers`, `content` and `request_id`.
        """
        check_headers(headers or {})
        core = self._driver.core.with_options(
            timeout=as_timeout(timeout), retry=retry, headers=headers, on_response=on_response
        )
        return self._view(core)

    def with_deadline(self, seconds: float) -> Self:
        """Return a view of this client whose calls must all end within `seconds` from now.

        The deadline covers every attempt, every pause and every page. A call that exceeds it raises
        DeadlineExceededError, but a response that has arrived is always returned.
        """
        return self._view(self._driver.core.with_deadline(seconds))

    def with_more(self, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None) -> Self:
        """Return a view of this client that sends more than its methods have arguments for.

        For a parameter or a field that the Codegen API has and this client does not know yet. An argument of a method
        takes precedence over a parameter or a field of the same name.

        Args:
            query: Query parameters; a list is sent as repeated parameters.
            body: Fields of JSON bodies.
        """
        return self._view(self._driver.core.with_more(query or {}, body or {}))

    def _view(self, core: Core) -> Self:
        view = object.__new__(type(self))
        view._owns_http = False
        view._driver = self._driver.with_core(core)
        return view

    @property
    def metrics(self) -> "Metrics":
        """Counts of what this client and its views sent and received."""
        return self._driver.core.state.metrics

    @property
    def org_id(self) -> int | None:
        """The organization of calls that name none; None if there is no default."""
        return self._driver.core.org_id

    @property
    def base_url(self) -> str:
        """The address of the server, without a slash at its end."""
        return self._driver.core.base_url

    def __repr__(self) -> str:
        core = self._driver.core
        return f"{type(self).__name__}(org_id={core.org_id}, base_url={core.base_url!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a client cannot be pickled or copied, because it holds a token and open connections")


class CodegenAPI(_Client[Driver]):
    """A blocking client of the Codegen API.

    Args:
        org_id: The default organization of calls. If None: `CODEGEN_ORG_ID`. Without a default, a call that needs an
            organization raises ConfigurationError.
        token: The API token. If None: `CODEGEN_API_TOKEN`, else `CODEGEN_TOKEN`. Only if None,
            `~/.codegen/config.json` is read, for each setting that neither an argument nor the environment gives.
        base_url: The URL of the server, with or without `/v1` and a trailing slash. If None: `CODEGEN_BASE_URL`, else
            the public Codegen API.
        timeout: Seconds for each phase of one attempt (connect, write, read, pool). If None: `CODEGEN_TIMEOUT`, else
            30.0.
        retry: Which requests to retry, and when. If None: `CODEGEN_MAX_RETRIES` retries, else 3.
        deadline: Seconds that each call may take with all its retries. See `with_deadline` to limit several calls.
        http_client: An HTTP client whose connections to use. Closing this client does not close it. If it has its own
            `auth`, that may replace the token.
        transport: The transport of the HTTP client, for tests.
        clock: Returns monotonic seconds.
        sleep: Sleeps for a number of seconds.
        headers: Additional headers of every request.
        caching: Whether to cache responses that have an `ETag`. The server confirms each before it is used again.
        pacing: Whether to pause before a request that would exceed a rate limit which the server has reported.

    Raises:
        ConfigurationError: There is no token, or a value is invalid.
    """

    def __init__(
        self,
        org_id: Id | None = None,
        token: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        headers: Mapping[str, str] | None = None,
        caching: bool = True,
        pacing: bool = True,
    ) -> None:
        settings = read_settings(org_id, token, base_url, timeout, retry)
        core = _core(settings, deadline, clock, headers, caching, pacing)
        self._owns_http = http_client is None
        self._driver = Driver(core, http_client or _http(httpx.Client, core, transport), sleep)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """Call an operation that this client does not know, and return its `status`, `headers` and `content`.

        Errors and retries are those of the other operations.

        Args:
            method: The HTTP method, in capital letters.
            path: The path from `/v1/` on, percent-encoded, without a query.
            params: Query parameters; a list is sent as repeated parameters.
            content: The body.
            content_type: The media type of the body.
            max_bytes: The most bytes that the response body may have. A larger one raises ResponseTooLargeError.

        Raises:
            InvalidArgumentError: The path is not in its normal form: it has a segment that is empty, begins with a dot
                or is encoded in an unusual way.
        """
        return self._driver.perform(_raw_call(method, path, params, content, content_type, max_bytes))

    def run_task(self, prompt: str, **options: "Unpack[RunOptions]") -> "Task":
        """Start a task: an agent run to wait for. The options are those of `api.runs.create`.

        On a deployment, `agent_id` selects one of its agents, and an idempotency key ensures that retries start the
        task only once. The Codegen API supports neither.
        """
        from ._task import Task
        from ._task_flows import start

        return Task(self._driver, self._driver.run(start(self._driver.core, prompt, **options)))

    def get_task(self, task_id: Id, *, org_id: Id | None = None) -> "Task":
        """Read a task by its id."""
        from ._task import Task
        from ._task_flows import find

        return Task(self._driver, self._driver.run(find(self._driver.core, task_id, org_id)))

    def wait_for_task(
        self,
        task_id: Id,
        timeout: float | None = TASK_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        *,
        org_id: Id | None = None,
    ) -> "Task":
        """Wait until a task ends. Raise TaskTimeoutError after `timeout` seconds; None for no limit."""
        task = self.get_task(task_id, org_id=org_id)
        return task.wait_for_completion(timeout, poll_interval)

    def run_tasks(
        self,
        prompts: Sequence[str],
        *,
        max_concurrent: int = 5,
        timeout: float | None = TASK_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        on_progress: "Progress[Task] | None" = None,
        **options: "Unpack[RunOptions]",
    ) -> "list[Outcome[Task]]":
        """Run a task for each prompt, wait for all of them, and return the outcomes in the order of the prompts.

        A task that fails, cannot be started or does not end in time has an outcome, too, and does not stop the others.
        A task that a rate limit refuses is started later.

        Args:
            prompts: One for each task.
            max_concurrent: Maximum number of tasks that run at the same time.
            timeout: Seconds to wait for each task; None for no limit.
            poll_interval: Seconds between two polls.
            on_progress: Called with each final outcome, the number of final outcomes so far, and the number of
                prompts.
            options: The options of `run_task`, for all tasks.
        """
        from ._batch import run_batch
        from ._task import Task

        core, make_task = self._driver.core, partial(Task, self._driver)
        return self._driver.run(
            run_batch(core, make_task, prompts, max_concurrent, timeout, poll_interval, on_progress, options)
        )

    def health_check(self) -> dict[str, Any]:
        """Check whether the API can be used: `status` is `healthy`, or `unhealthy` with an `error`. Raise nothing."""
        from ._health import check_health

        return self._driver.run(check_health(self._driver.core))

    def close(self) -> None:
        """Close the connections, unless the client was made with an `http_client`."""
        if self._owns_http:
            self._driver.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@docstrings_from(CodegenAPI)
class AsyncCodegenAPI(_Client[AsyncDriver]):
    """An asynchronous client of the Codegen API, for asyncio. It has the arguments and methods of `CodegenAPI`."""

    def __init__(
        self,
        org_id: Id | None = None,
        token: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        *,
        retry: RetryPolicy | None = None,
        deadline: float | None = None,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
        headers: Mapping[str, str] | None = None,
        caching: bool = True,
        pacing: bool = True,
    ) -> None:
        settings = read_settings(org_id, token, base_url, timeout, retry)
        core = _core(settings, deadline, clock, headers, caching, pacing)
        self._owns_http = http_client is None
        self._driver = AsyncDriver(core, http_client or _loop_clients(core, transport), sleep)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """Call an operation that this client does not know, as `CodegenAPI.request` does."""
        return await self._driver.perform(_raw_call(method, path, params, content, content_type, max_bytes))

    async def run_task(self, prompt: str, **options: "Unpack[RunOptions]") -> "AsyncTask":
        """Start a task, as `CodegenAPI.run_task` does."""
        from ._task import AsyncTask
        from ._task_flows import start

        return AsyncTask(self._driver, await self._driver.run(start(self._driver.core, prompt, **options)))

    async def get_task(self, task_id: Id, *, org_id: Id | None = None) -> "AsyncTask":
        """Read a task, as `CodegenAPI.get_task` does."""
        from ._task import AsyncTask
        from ._task_flows import find

        return AsyncTask(self._driver, await self._driver.run(find(self._driver.core, task_id, org_id)))

    async def wait_for_task(
        self,
        task_id: Id,
        timeout: float | None = TASK_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        *,
        org_id: Id | None = None,
    ) -> "AsyncTask":
        """Wait until a task ends, as `CodegenAPI.wait_for_task` does."""
        task = await self.get_task(task_id, org_id=org_id)
        return await task.wait_for_completion(timeout, poll_interval)

    async def run_tasks(
        self,
        prompts: Sequence[str],
        *,
        max_concurrent: int = 5,
        timeout: float | None = TASK_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        on_progress: "Progress[AsyncTask] | None" = None,
        **options: "Unpack[RunOptions]",
    ) -> "list[Outcome[AsyncTask]]":
        """Run a task for each prompt, as `CodegenAPI.run_tasks` does."""
        from ._batch import run_batch
        from ._task import AsyncTask

        core, make_task = self._driver.core, partial(AsyncTask, self._driver)
        return await self._driver.run(
            run_batch(core, make_task, prompts, max_concurrent, timeout, poll_interval, on_progress, options)
        )

    async def health_check(self) -> dict[str, Any]:
        """Check the API, as `CodegenAPI.health_check` does."""
        from ._health import check_health

        return await self._driver.run(check_health(self._driver.core))

    async def close(self) -> None:
        """Close the connections, as `CodegenAPI.close` does."""
        if self._owns_http:
            await self._driver.http.aclose()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
