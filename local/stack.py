"""The whole system on loopback: what template.yaml deploys, with other parameters.

    with Stack() as stack:
        httpx.get(f"{stack.api_url}/health")

The API and the fake Codegen live in threads of this process, AWS in a process of its own (see `aws`), which has the
processes of the functions.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal

from local import scheduler
from local.endpoint import Deployment, Endpoint, invocations
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve
from local.fake_codegen.server import listen
from local.gateway import Gateway
from local.template import TemplateError, load
from local.websocket import WebSocketGateway

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from types import TracebackType

    from starlette.types import ASGIApp

    from local.template import Template

_ROOT = Path(__file__).parent.parent
# How long AWS may take to end its functions and itself.
_END_SECONDS = 15
TEMPLATE = _ROOT / "template.yaml"


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
    websocket: int = 0
    codegen: int = 0
    aws: int = 0


@dataclass(frozen=True, slots=True)
class _Sockets:
    """What the APIs listen on; `management` is where functions post to WebSocket connections."""

    api: socket.socket
    websocket: socket.socket
    management: socket.socket


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
            with _port(self._ports.websocket):
                websocket_socket = stack.enter_context(listen(self._ports.websocket))
            management_socket = stack.enter_context(listen(0))
            if self.fake:
                with _port(self._ports.codegen):
                    url = stack.enter_context(serve(self.fake, port=self._ports.codegen))
                self.codegen = Codegen(url, DEMO_ORG_ID, DEMO_TOKEN)
            if not self._verbose and self.log_dir is None:
                self.log_dir = Path(stack.enter_context(TemporaryDirectory(prefix="codegen-runs-")))
            self.api_url, self.aws_url = _url(api_socket), _url(aws_socket)
            self.websocket_url = _url(websocket_socket).replace("http:", "ws:")
            self.aws = Endpoint(self.aws_url)
            parameters = {
                "AwsEndpointUrl": self.aws_url,
                "CodegenBaseUrl": self.codegen.base_url,
                "CodegenOrgId": str(self.codegen.org_id),
                **self._parameters,
            }
            secret = stack.enter_context(self._serve_aws(aws_socket, parameters, _url(management_socket)))
            self.template = load(self._template_path, {**parameters, "CodegenTokenSecret": secret})
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

    @contextmanager
    def _serve_aws(self, listening: socket.socket, parameters: dict[str, str], connections: str) -> Iterator[str]:
        """Run AWS, with the template deployed, in a process of its own and give the ARN of the secret."""
        deployment = Deployment(
            socket=listening.fileno(),
            template=str(self._template_path.resolve()),
            parameters=parameters,
            token=self.codegen.token,
            log_dir=None if self._verbose else str(self.log_dir),
            python=self._python,
            retry_scale=self._retry_scale,
            connections=connections,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "local.aws"],
            cwd=_ROOT,
            # What is set here for the real AWS, a profile for instance, is none of its business.
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[deployment.socket],
            start_new_session=True,  # Ctrl-C in a terminal is for this process, which ends that one
        )
        with process:
            listening.close()
            assert process.stdin
            assert process.stdout
            print(json.dumps(asdict(deployment)), file=process.stdin, flush=True)
            said = process.stdout.readline()
            if not said:
                raise RuntimeError("AWS did not start")
            answer = json.loads(said)
            if "error" in answer:
                raise TemplateError(answer["error"])
            try:
                yield answer["secret"]
            finally:
                process.stdin.close()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()

    @asynccontextmanager
    async def _serve_apis(self, sockets: _Sockets) -> AsyncIterator[None]:
        """Serve the APIs and the schedules on this event loop."""
        if self.template.api is None:
            raise TemplateError(f"{self.template.path}: there is no API")
        async with AsyncExitStack() as stack:
            functions = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self.aws_url, timeout=None, limits=httpx.Limits(), trust_env=False)
            )

            async def send(name: str, event: bytes) -> None:
                await functions.post(invocations(name), content=event, headers={"X-Amz-Invocation-Type": "Event"})

            gateway = Gateway(self.template.api, functions)
            await stack.enter_async_context(_http(gateway, sockets.api, access_log=self._verbose))
            if self.template.websocket_api:
                websocket = WebSocketGateway(self.template.websocket_api, functions)
                await stack.enter_async_context(_http(websocket.management, sockets.management, access_log=False))
                await stack.enter_async_context(websocket.serve(sockets.websocket))
            schedules = asyncio.create_task(scheduler.run(self.template.schedules, send, sleep=self._sleep))
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
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _without_query(record: logging.LogRecord) -> bool:
    """Take the query out of a line of the access log: it may hold a ticket."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


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
