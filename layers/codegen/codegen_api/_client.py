"""The two clients. They differ in how they wait and in nothing else."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx

from ._core import Core
from ._driver import AsyncDriver, Driver
from ._errors import ConfigurationError
from ._retry import RetryPolicy
from ._settings import DEFAULT_BASE_URL, Id, Token, as_id, normalize_base_url
from .resources.integrations import AsyncIntegrationsResource, IntegrationsResource
from .resources.models import AsyncModelsResource, ModelsResource
from .resources.organizations import AsyncOrganizationsResource, OrganizationsResource
from .resources.repos import AsyncReposResource, ReposResource
from .resources.runs import AsyncRunsResource, RunsResource
from .resources.sandboxes import AsyncSandboxesResource, SandboxesResource
from .resources.setup_commands import AsyncSetupCommandsResource, SetupCommandsResource
from .resources.users import AsyncUsersResource, UsersResource


def _configure(
    org_id: Id | None,
    token: str | None,
    base_url: str | None,
    timeout: float | httpx.Timeout,
    retry: RetryPolicy,
    deadline: float | None,
    clock: Callable[[], float],
    headers: Mapping[str, str] | None,
) -> Core:
    env = os.environ
    if org_id is None:
        org_id = env.get("CODEGEN_ORG_ID") or None
    # Only None means the environment: an empty token, lost somewhere on the way, must not act as somebody else's.
    if token is None:
        token = env.get("CODEGEN_API_TOKEN") or env.get("CODEGEN_TOKEN") or None
    if token is None:
        raise ConfigurationError("no token: pass token or set CODEGEN_API_TOKEN")
    try:
        org = None if org_id is None else as_id(org_id)
    except ValueError:
        raise ConfigurationError(f"an organization's id is a whole number, not {org_id!r}") from None
    return Core(
        base_url=normalize_base_url(base_url or env.get("CODEGEN_BASE_URL") or DEFAULT_BASE_URL),
        token=Token(token),
        org_id=org,
        timeout=httpx.Timeout(timeout),
        retry=retry,
        budget=deadline,
        clock=clock,
        headers=dict(headers or {}),
    )


async def _sleep(seconds: float) -> None:
    import asyncio  # a blocking client need not pay for it

    await asyncio.sleep(seconds)


D = TypeVar("D", Driver, AsyncDriver)


class _Client(Generic[D]):
    """What the two clients share."""

    _driver: D
    _owns_http: bool

    def _drive(self, driver: D) -> None:
        raise NotImplementedError

    def with_deadline(self, seconds: float) -> Self:
        """Return a view of this client whose calls, taken together, end within `seconds` from now.

        The limit covers every attempt, every pause and every page; when it strikes, DeadlineExceededError. An answer
        that is already there is never thrown away for it. The view shares the connections and lives no longer than
        this client; closing the view closes nothing.
        """
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        view._owns_http = False
        view._drive(self._driver.within(seconds))
        return view

    def __repr__(self) -> str:
        core = self._driver.core
        return f"{type(self).__name__}(org_id={core.org_id}, base_url={core.base_url!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a client holds a token and open connections: it is not to be pickled or copied")


class CodegenAPI(_Client[Driver]):
    """A blocking client of the Codegen API.

    Args:
        org_id: The organization of calls that name none; `CODEGEN_ORG_ID` if None. Without either, a call that needs
            one raises ConfigurationError.
        token: `CODEGEN_API_TOKEN` or `CODEGEN_TOKEN` if None.
        base_url: With or without `/v1` and a slash at the end; `CODEGEN_BASE_URL`, else the public API, if None.
        timeout: Seconds for each phase of one attempt (connect, write, read, pool).
        retry: What is sent again, and when.
        deadline: Seconds each call may take with all its retries. To bound several calls, see `with_deadline`.
        http_client: A client to share, for its connection pool; it is not closed with this one. Where it has an `auth`
            of its own, that one has the last word about the token.
        transport: A transport to build the client with (tests).
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
        headers: Sent with every request.

    Raises:
        ConfigurationError: There is no token, or a value cannot be used.
    """

    def __init__(
        self,
        org_id: Id | None = None,
        token: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout = 30.0,
        *,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        deadline: float | None = None,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        core = _configure(org_id, token, base_url, timeout, retry, deadline, clock, headers)
        self._owns_http = http_client is None
        self._drive(Driver(core, http_client or httpx.Client(transport=transport), sleep))

    def _drive(self, driver: Driver) -> None:
        self._driver = driver
        self.runs = RunsResource(driver)
        self.users = UsersResource(driver)
        self.organizations = OrganizationsResource(driver)
        self.repos = ReposResource(driver)
        self.integrations = IntegrationsResource(driver)
        self.models = ModelsResource(driver)
        self.setup_commands = SetupCommandsResource(driver)
        self.sandboxes = SandboxesResource(driver)

    def close(self) -> None:
        """Close the connections, unless the client was given them."""
        if self._owns_http:
            self._driver.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncCodegenAPI(_Client[AsyncDriver]):
    """An asynchronous client of the Codegen API, for asyncio. Its arguments are those of `CodegenAPI`."""

    def __init__(
        self,
        org_id: Id | None = None,
        token: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout = 30.0,
        *,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        deadline: float | None = None,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = _sleep,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        core = _configure(org_id, token, base_url, timeout, retry, deadline, clock, headers)
        self._owns_http = http_client is None
        self._drive(AsyncDriver(core, http_client or httpx.AsyncClient(transport=transport), sleep))

    def _drive(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self.runs = AsyncRunsResource(driver)
        self.users = AsyncUsersResource(driver)
        self.organizations = AsyncOrganizationsResource(driver)
        self.repos = AsyncReposResource(driver)
        self.integrations = AsyncIntegrationsResource(driver)
        self.models = AsyncModelsResource(driver)
        self.setup_commands = AsyncSetupCommandsResource(driver)
        self.sandboxes = AsyncSandboxesResource(driver)

    async def aclose(self) -> None:
        """Close the connections, unless the client was given them."""
        if self._owns_http:
            await self._driver.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
