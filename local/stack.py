"""The whole system on loopback: what template.yaml deploys, with other parameters.

    with Stack() as stack:
        httpx.get(f"{stack.api_url}/health")

The API, the AWS stand-in and the fake Codegen live in threads of this process, the functions in processes of their own.
There can be one stack per process at a time (see `aws`).
"""

from __future__ import annotations

import asyncio
import errno
import sys
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal

from local import aws, scheduler
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve
from local.fake_codegen.server import listen
from local.functions import Functions
from local.gateway import Gateway
from local.template import TemplateError, load

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from types import TracebackType

    from starlette.types import ASGIApp

    from local.aws import Aws
    from local.template import Template

TEMPLATE = Path(__file__).parent.parent / "template.yaml"
_SECRET_NAME = "codegen-token"


class PortTakenError(Exception):
    """Something else listens on a port of the stack."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken")
        self.port = port


@dataclass(frozen=True, slots=True)
class Codegen:
    """A Codegen API, an organization there, and a token of somebody in it."""

    base_url: str
    org_id: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen on 127.0.0.1; 0 is any free port."""

    api: int = 0
    codegen: int = 0
    aws: int = 0


class Stack:
    """One running system, as long as its context lasts.

    Args:
        template: The template to run, also one that `sam build` wrote.
        codegen: The Codegen API to work with. None: a fake one.
        fake: The fake to serve, where its world or its clock matters.
        ports: Where to listen.
        parameters: Further parameters of the template.
        log_dir: Where each function writes its log; a temporary folder if None.
        verbose: Functions write to standard error instead, and the API a line for each request.
        python: The interpreter that the functions run on.
        retry_scale: What Step Functions' delays before a Retry are multiplied with.
        sleep: How the scheduler waits.
    """

    api_url: str
    aws_url: str
    template: Template
    aws: Aws
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
        verbose: bool = False,
        python: str = sys.executable,
        retry_scale: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.fake = None if codegen else fake or FakeCodegen()
        self.log_dir = log_dir
        self._template_path = template
        if codegen:
            self.codegen = codegen
        self._ports = ports
        self._parameters = parameters or {}
        self._verbose = verbose
        self._python = python
        self._retry_scale = retry_scale
        self._sleep = sleep

    def __enter__(self) -> Self:
        """Start everything; the API answers when this returns.

        Raises:
            PortTakenError: a port is not free.
            TemplateError: the template cannot be run here.
        """
        with ExitStack() as stack:
            with _port(self._ports.api):
                api_socket = stack.enter_context(listen(self._ports.api))
            with _port(self._ports.aws):
                aws_socket = stack.enter_context(listen(self._ports.aws))
            if self.fake:
                with _port(self._ports.codegen):
                    url = stack.enter_context(serve(self.fake, port=self._ports.codegen))
                self.codegen = Codegen(url, DEMO_ORG_ID, DEMO_TOKEN)
            self.aws = stack.enter_context(aws.serve(aws_socket, retry_scale=self._retry_scale))
            self.aws_url = self.aws.url
            self.api_url = _url(api_socket)
            self.template = load(
                self._template_path,
                {
                    "AwsEndpointUrl": self.aws_url,
                    "CodegenBaseUrl": self.codegen.base_url,
                    "CodegenOrgId": str(self.codegen.org_id),
                    "CodegenTokenSecret": self.aws.create_secret(_SECRET_NAME, self.codegen.token),
                    **self._parameters,
                },
            )
            self.aws.create(self.template)
            if not self._verbose and self.log_dir is None:
                self.log_dir = Path(stack.enter_context(TemporaryDirectory(prefix="codegen-runs-")))
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._serve(api_socket)))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End everything; no process is left."""
        self._running.close()

    @asynccontextmanager
    async def _serve(self, listening: socket.socket) -> AsyncIterator[None]:
        """Serve the functions, the API and the schedules on this event loop."""
        if self.template.api is None:
            raise TemplateError(f"{self.template.path}: there is no API")
        async with AsyncExitStack() as stack:
            functions = Functions(
                self.template.functions.values(),
                log_dir=None if self._verbose else self.log_dir,
                python=self._python,
            )
            stack.push_async_callback(functions.close)
            self.aws.functions = functions
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=self.aws_url,
                    timeout=None,
                    limits=httpx.Limits(),
                    trust_env=False,
                )
            )
            gateway = Gateway(self.template.api, client)
            await stack.enter_async_context(_http(gateway, listening, access_log=self._verbose))
            schedules = asyncio.create_task(scheduler.run(self.template.schedules, functions.send, sleep=self._sleep))
            stack.callback(schedules.cancel)
            yield


@asynccontextmanager
async def _http(app: ASGIApp, listening: socket.socket, *, access_log: bool) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_level="info" if access_log else "warning",
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


@contextmanager
def _port(port: int) -> Iterator[None]:
    """Say which port it is that cannot be listened on."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(port) from None
        raise


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"http://{host}:{port}"
