"""The whole system on loopback: what template.yaml deploys, with other parameters.

    with Stack() as stack:
        httpx.get(f"{stack.api_url}/health")

The API Gateways, the scheduler and the fake Codegen run in threads of this process. The AWS stand-in runs in a process
of its own (`aws.process`), which starts the processes of the functions.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn, Self

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal

from local import loopback, queues, scheduler
from local.aws.endpoint import Endpoint
from local.aws.process import Deployment, deployed
from local.data import data, origin
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, Persistence, serve
from local.functions.client import FunctionsClient
from local.functions.pool import MAX_WORKERS
from local.gateway import Gateway
from local.request_log import RequestLog
from local.template import TemplateError, load
from local.websocket import WebSocketGateway

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType

    from starlette.types import ASGIApp

    from local.aws.faults import Faults
    from local.template import Template

TEMPLATE = Path(__file__).parents[1] / "template.yaml"


@dataclass(frozen=True, slots=True)
class Codegen:
    """A Codegen API, an organization there, and the token of one of its members."""

    base_url: str
    org_id: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports to listen on at 127.0.0.1; 0 is any free port."""

    api: int = 0
    websocket: int = 0
    codegen: int = 0
    aws: int = 0


@dataclass(frozen=True, slots=True)
class _Sockets:
    """The listening sockets of the APIs. Functions post to WebSocket connections at `management`."""

    api: socket.socket
    websocket: socket.socket
    management: socket.socket


class Stack:
    """One running system, while its context lasts.

    Args:
        template: The template to run: this repository's, or one that `sam build` wrote.
        codegen: The Codegen API to use. None: a fake one.
        fake: The fake to serve, for a caller that controls its state or its clock.
        ports: The ports to listen on.
        parameters: Further parameters of the template.
        log_dir: The folder in which each function writes its log. None: a temporary one.
        on_request: Called with a readable line for each request of the API.
        python: The interpreter of the functions.
        retry_scale: The factor by which Step Functions' delays before a Retry are multiplied.
        sleep: How the scheduler waits for a number of seconds.
        data_folder: The folder in which the tables, the running executions and the state of the fake are kept. None: in
            memory only.
        base_path: The base path of the API, such as `/codegen`, as a custom domain may have one.
        faults: The faults that calls of the AWS stand-in can meet, once they are turned on.
        max_workers: The number of events that one function handles at a time, without spare workers.

    Attributes:
        api_url, websocket_url, aws_url: Where the stack answers, from the start on.
        aws: The AWS stand-in.
        codegen: The Codegen API that it uses, real or fake.
        fake: The fake Codegen, or None if the stack uses a real one.
        template: The template, with its parameters resolved.
        log_dir: The folder of the functions' logs.
    """

    api_url: str
    websocket_url: str
    aws_url: str
    template: Template
    aws: Endpoint
    codegen: Codegen

    def __init__(
        self,
        template: Path = TEMPLATE,
        *,
        codegen: Codegen | None = None,
        fake: FakeCodegen | None = None,
        ports: Ports = Ports(),
        parameters: Mapping[str, str] | None = None,
        log_dir: Path | None = None,
        on_request: Callable[[str], None] | None = None,
        python: str = sys.executable,
        retry_scale: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        data_folder: Path | None = None,
        base_path: str = "",
        faults: Faults | None = None,
        max_workers: int = MAX_WORKERS,
    ) -> None:
        self.fake = None if codegen else fake or FakeCodegen()
        self.log_dir = log_dir
        self._template_path = template
        if codegen:
            self.codegen = codegen
        self._ports = ports
        self._parameters = parameters or {}
        self._on_request = on_request
        self._python = python
        self._retry_scale = retry_scale
        self._sleep = sleep
        self._data_folder = data_folder
        self._base_path = base_path
        self._faults = faults
        self._max_workers = max_workers
        self._failures: SimpleQueue[Exception] = SimpleQueue()

    def __enter__(self) -> Self:
        """Start everything; the API answers when this returns.

        Raises:
            DataError: the data folder cannot be used.
            PortTakenError: another program listens on a port.
            TemplateError: the template cannot be run here.
        """
        with ExitStack() as stack:
            kept = None
            if self._data_folder:
                kept = stack.enter_context(data(self._data_folder))
            api_socket = stack.enter_context(loopback.listen(self._ports.api))
            aws_socket = stack.enter_context(loopback.listen(self._ports.aws))
            websocket_socket = stack.enter_context(loopback.listen(self._ports.websocket))
            management_socket = stack.enter_context(loopback.listen())
            if self.fake:
                keep = None
                if kept:
                    persistence = Persistence(self.fake, kept.codegen, on_failure=self._failures.put)
                    stack.callback(persistence.close)
                    keep = persistence.keep
                base_url = stack.enter_context(serve(self.fake, port=self._ports.codegen, keep=keep))
                self.codegen = Codegen(base_url, DEMO_ORG_ID, DEMO_TOKEN)
            if self.log_dir is None:
                self.log_dir = Path(stack.enter_context(TemporaryDirectory(prefix="codegen-runs-")))
            self.api_url, self.aws_url = loopback.url(api_socket) + self._base_path, loopback.url(aws_socket)
            self.websocket_url = loopback.url(websocket_socket, "ws")
            self.aws = Endpoint(self.aws_url)
            variables = {"AWS_ENDPOINT_URL": self.aws_url, "PRIVATE_WEBHOOKS": "true"}
            parameters = {
                "CodegenBaseUrl": self.codegen.base_url,
                "CodegenOrgId": str(self.codegen.org_id),
                **self._parameters,
            }
            deployment = Deployment(
                template=str(self._template_path.resolve()),
                parameters=parameters,
                variables=variables,
                token=self.codegen.token,
                log_dir=str(self.log_dir),
                python=self._python,
                retry_scale=self._retry_scale,
                connections=loopback.url(management_socket),
                journal=str(kept.tables) if kept else None,
                faults=asdict(self._faults) if self._faults else None,
                max_workers=self._max_workers,
                codegen="the fake Codegen" if self.fake else origin(self.codegen.base_url),
            )
            secret = stack.enter_context(deployed(deployment, aws_socket, self._failures.put))
            self.template = load(self._template_path, {**parameters, "CodegenTokenSecret": secret}, variables)
            portal = stack.enter_context(start_blocking_portal())
            sockets = _Sockets(api_socket, websocket_socket, management_socket)
            stack.enter_context(portal.wrap_async_context_manager(self._serve_apis(sockets)))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End everything; no process is left."""
        self._running.close()

    def wait(self) -> NoReturn:
        """Wait until the stack fails.

        Raises:
            DataError: the state cannot be kept any more.
            RuntimeError: the AWS stand-in has ended.
        """
        raise self._failures.get()

    @asynccontextmanager
    async def _serve_apis(self, sockets: _Sockets) -> AsyncIterator[None]:
        """Serve the APIs and the schedules on this event loop."""
        if self.template.api is None:
            raise TemplateError(f"{self.template.path}: there is no API")
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self.aws_url, timeout=None, limits=httpx.Limits(), trust_env=False)
            )
            functions = FunctionsClient(http)
            gateway: ASGIApp = Gateway(self.template.api, functions, base_path=self._base_path)
            if self._on_request:
                gateway = RequestLog(gateway, self._on_request)
            await stack.enter_async_context(_http(gateway, sockets.api))
            if self.template.websocket_api:
                websocket = WebSocketGateway(self.template.websocket_api, functions)
                await stack.enter_async_context(_http(websocket.management, sockets.management))
                await stack.enter_async_context(websocket.serve(sockets.websocket))
            schedules = asyncio.create_task(scheduler.run(self.template.schedules, functions.send, sleep=self._sleep))
            stack.callback(schedules.cancel)
            deliveries = asyncio.create_task(queues.run(self.template.event_sources, http, functions))
            stack.callback(deliveries.cancel)
            yield


@asynccontextmanager
async def _http(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Serve an ASGI app on this event loop while the context lasts."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
