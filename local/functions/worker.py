"""One worker: a process with one handler in it, and the Lambda Runtime API that feeds it.

The process is forked (`forking.py`) or started, and runs `runtime.py` with exactly the environment that the template
gives the function and that Lambda adds, and the settings of this machine's network.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import uuid
from asyncio.subprocess import PIPE, STDOUT
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import h11

from local.template import REGION

if TYPE_CHECKING:
    from local.functions.forking import ForkServers
    from local.template import Function

RUNTIME = Path(__file__).with_name("runtime.py")
"""The program that runs in a worker's process."""

# Lambda allows ten seconds for the import of a module. Here many workers may start at once, on few cores.
_INIT_TIMEOUT = 60.0
_TRACE = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})")
# The variable with a program that starts the runtime in its own way.
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
_PROXIES = [
    spelling for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for spelling in (name, name.upper())
]
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_ERROR_TRAILER = b"lambda-runtime-function-error-body"

Sink = Callable[[bytes], None]
"""Takes the parts of a streamed answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A function's answer as JSON: its result or, with `is_error`, the description of its error."""

    payload: bytes
    is_error: bool = False

    @classmethod
    def error(cls, error_type: str, message: str) -> Answer:
        """Describe an error on behalf of a function that could not do it itself."""
        return cls(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True)


def network_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that say how to reach other machines.

    Lambda sets none of them, but a machine behind a proxy reaches the Codegen API only with them.
    """
    settings = {name: environment[name] for name in _PROXIES if environment.get(name)}
    settings |= {name: str(Path(environment[name]).absolute()) for name in _CERTIFICATES if environment.get(name)}
    # The functions use httpx, which does not know the variable of `requests`.
    if (bundle := settings.get("REQUESTS_CA_BUNDLE")) and not settings.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        settings["SSL_CERT_DIR" if Path(bundle).is_dir() else "SSL_CERT_FILE"] = bundle
    return settings


def runtime_environment(function: Function, runtime_api: str) -> dict[str, str]:
    """Return the whole environment of a worker: the template's variables, Lambda's, and the network settings."""
    # A layer's folder is its source, or what `sam build` made of it, which has the packages under python/.
    layers = [layer / "python" if (layer / "python").is_dir() else layer for layer in function.layers]
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": "local",
        "LAMBDA_TASK_ROOT": str(function.code_dir),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, layers)),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
        **network_settings(os.environ),
        **function.environment,
    }


def changed_at(function: Function) -> int:
    """Return when the source of a function last changed (ns), so that an edit needs no restart.

    A built layer does not count: it does not change.
    """
    return max(_newest(function.code_dir), _layers_changed_at(function))


def _layers_changed_at(function: Function) -> int:
    return max((_newest(layer) for layer in function.layers if not (layer / "python").is_dir()), default=0)


def trace_of(request_id: str) -> str:
    """Return the trace of an event. Its calls of AWS carry it, so it tells which event they are made for."""
    digits = request_id.replace("-", "")
    return f"Root=1-{digits[:8]}-{digits[8:]};Sampled=0"


def request_of(trace: str) -> str | None:
    """Return the id of the event that a trace is of; None if it is of none."""
    found = _TRACE.match(trace)
    return str(uuid.UUID(found[1] + found[2])) if found else None


def _newest(folder: Path | str) -> int:
    """Return when the newest source in a folder changed. Each event waits for this: `Path.rglob` would take 3 ms."""
    newest = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
                newest = max(newest, _newest(entry.path))
            elif entry.name.endswith(".py"):
                newest = max(newest, entry.stat().st_mtime_ns)
    return newest


def _command(function: Function, python: str) -> list[str]:
    """Return the command line of a worker. The template gives a wrapper's path as it is in Lambda, under /opt."""
    # -P: the runtime's own folder is part of the local stack, which a handler must not be able to import.
    command = [python, "-P", "-u", str(RUNTIME)]
    if wrapper := function.environment.get(_WRAPPER):
        places = (layer / wrapper.removeprefix("/opt/") for layer in function.layers)
        command.insert(0, next((str(place) for place in places if place.is_file()), wrapper))
    return command


class _Process(Protocol):
    """A process, started or forked."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it runs."""

    async def wait(self) -> int:
        """Wait until it has ended, and return its status."""


@dataclass(eq=False)
class _Invocation:
    """One event and, in the end, its answer."""

    event: bytes
    sink: Sink | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, answer: Answer) -> None:
        self.taken.set()
        if not self.answer.done():
            self.answer.set_result(answer)


class Worker:
    """One process with one handler in it, and the Runtime API that feeds it.

    Attributes:
        changed_at: The version of the code that the process runs; see the function of that name.
        clock_offset: How many seconds the clock of the process is ahead, from the next event on.
    """

    _server: asyncio.Server
    _process: _Process
    _exit: asyncio.Task[None]

    def __init__(self, function: Function) -> None:
        self.changed_at = changed_at(function)
        self.clock_offset = 0.0
        self._function = function
        self._inbox: asyncio.Queue[_Invocation | None] = asyncio.Queue()
        self._invocation: _Invocation | None = None
        self._init_error: Answer | None = None

    @classmethod
    async def start(
        cls, function: Function, python: str, log_path: Path | None, fork_servers: ForkServers | None = None
    ) -> Worker:
        """Start a process and return without waiting until it has imported its handler.

        Args:
            function: The function that it runs.
            python: The interpreter.
            log_path: The file of its standard output and error. None: this process's standard error.
            fork_servers: What forks the process. None: it is started. One with a wrapper is started always.

        Raises:
            OSError: the process could not be started.
        """
        worker = cls(function)
        worker._server = await asyncio.start_server(worker._serve, "127.0.0.1", 0)
        host, port = worker._server.sockets[0].getsockname()
        environment = runtime_environment(function, f"{host}:{port}")
        try:
            with ExitStack() as stack:
                log = stack.enter_context(log_path.open("ab")).fileno() if log_path else 2
                if fork_servers and not function.environment.get(_WRAPPER):
                    worker._process = await fork_servers.fork(environment, _layers_changed_at(function), log)
                else:
                    worker._process = await asyncio.create_subprocess_exec(
                        *_command(function, python),
                        env=environment,
                        stdin=PIPE,
                        stdout=log,
                        stderr=STDOUT,
                        # Ctrl-C in a terminal is for the stack only, which then ends its workers.
                        start_new_session=True,
                    )
        except BaseException:
            worker._server.close()
            raise
        worker._exit = asyncio.create_task(worker._watch())
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the process can take another event."""
        return self._process.returncode is None and self._init_error is None

    def handles(self, request_id: str) -> bool:
        """Return whether the process handles the event with this id."""
        return self._invocation is not None and self._invocation.request_id == request_id

    async def invoke(self, event: bytes, sink: Sink | None = None) -> Answer:
        """Hand over one event and return its answer: an error as well when the process dies or takes too long."""
        self._invocation = invocation = _Invocation(event, sink)
        self._inbox.put_nowait(invocation)
        try:
            async with asyncio.timeout(_INIT_TIMEOUT):
                await invocation.taken.wait()
            async with asyncio.timeout(self._function.timeout):
                return await invocation.answer
        except TimeoutError:
            self.kill()
            await self._exit
            return Answer.error(
                "Sandbox.Timedout",
                f"RequestId: {invocation.request_id} Error: Task timed out after {self._function.timeout:.2f} seconds",
            )

    def kill(self) -> None:
        """Kill the process, and any processes that it has started."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and the event loop has not noticed yet
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process if it still runs, wait until it is gone, and close its Runtime API."""
        self.kill()
        await self._exit
        self._server.close()
        await self._server.wait_closed()

    async def _watch(self) -> None:
        """Wait until the process ends, then answer the event it was handling and release its connection."""
        status = await self._process.wait()
        self._inbox.put_nowait(None)
        if self._invocation:
            reason = f"exit status {status}" if status >= 0 else f"signal: {str(signal.strsignal(-status)).lower()}"
            message = f"RequestId: {self._invocation.request_id} Error: Runtime exited with error: {reason}"
            self._invocation.settle(self._init_error or Answer.error("Runtime.ExitError", message))

    # --- the Runtime API ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = None, b""
        sink: Sink | None = None
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    request, body, sink = event, b"", self._sink(event)
                elif isinstance(event, h11.Data) and sink:
                    sink(bytes(event.data))
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage) and request:
                    target, trailers = request.target.decode(), dict(event.headers)
                    if _ERROR_TRAILER in trailers:
                        target, body = target.replace("/response", "/error"), b64decode(trailers[_ERROR_TRAILER])
                    response = await self._respond(target, body)
                    if response is None:
                        break
                    headers, payload = response
                    for part in (
                        h11.Response(status_code=200 if payload else 202, headers=headers),
                        h11.Data(payload),
                        h11.EndOfMessage(),
                    ):
                        writer.write(connection.send(part) or b"")
                    connection.start_next_cycle()
                else:
                    break
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the process is gone; `_watch` answers its event
        finally:
            writer.close()

    def _sink(self, request: h11.Request) -> Sink | None:
        """Return the sink of the current event if this request is a streamed answer to it."""
        streams = (b"lambda-runtime-function-response-mode", b"streaming") in request.headers
        return self._invocation.sink if streams and self._invocation else None

    async def _respond(self, target: str, body: bytes) -> tuple[list[tuple[str, str]], bytes] | None:
        """Return the headers and the body of the response, or None once the worker has ended."""
        path = target.removeprefix("/2018-06-01/runtime/")
        if path == "invocation/next":
            invocation = await self._inbox.get()
            if invocation is None:
                return None
            invocation.taken.set()
            deadline = int((time.time() + self.clock_offset + self._function.timeout) * 1000)
            return [
                ("Local-Clock-Offset", str(self.clock_offset)),
                ("Lambda-Runtime-Trace-Id", trace_of(invocation.request_id)),
                ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
                ("Lambda-Runtime-Deadline-Ms", str(deadline)),
                ("Lambda-Runtime-Invoked-Function-Arn", self._function.arn),
                ("Content-Length", str(len(invocation.event))),
            ], invocation.event
        if path == "init/error":
            self._init_error = Answer(body, is_error=True)
        elif self._invocation and path.startswith(f"invocation/{self._invocation.request_id}/"):
            self._invocation.settle(Answer(body, is_error=path.endswith("/error")))
        return [("Content-Length", "0")], b""
