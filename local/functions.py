"""The functions of the template, running as they run in Lambda.

A function is a pool of worker processes (`runtime.py`). A worker is started when an event finds no idle one, has
exactly the environment that the template gives the function and the Lambda runtime adds, is fed through the Lambda
Runtime API one event at a time, and is killed when an event takes longer than the function's timeout. Where Lambda
would refuse an event for want of capacity, the event waits: a laptop is not a region.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import PIPE, STDOUT
from base64 import b64decode
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h11

from local.template import REGION

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from concurrent.futures import Future

    from local.template import Function

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# Lambda gives a module ten seconds to import. Many workers may start at once here, on few cores.
_INIT_TIMEOUT = 60.0
# A process costs about 50 MB, and there are as many functions as endpoints.
_IDLE_SECONDS = 300.0
# Bytes.
_ANSWER_LIMIT = 6 * 1024 * 1024 + 100
_RUNTIME = Path(__file__).with_name("runtime.py")


# What the environment names a program by that starts the runtime in its own way, and how many events a function with
# one, which streams, handles at a time.
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
_MOST_STREAMS = 16
_ERROR_TRAILER = b"lambda-runtime-function-error-body"

Sink = Callable[[bytes], None]
"""Takes the parts of a streamed answer."""


class UnknownFunctionError(Exception):
    """No function has this name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function answered: JSON, either its result or, with `is_error`, the description of its error."""

    payload: bytes
    is_error: bool = False

    @classmethod
    def error(cls, error_type: str, message: str) -> Answer:
        """Describe an error that the function could not describe itself."""
        return cls(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True)


def runtime_environment(function: Function, runtime_api: str) -> dict[str, str]:
    """Return the whole environment of a worker: the template's variables and Lambda's, nothing of this process's."""
    # A layer's folder is its source here, or what `sam build` made of it, which has the packages under python/.
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
        **function.environment,
    }


def _command(function: Function, python: str) -> list[str]:
    """Return what starts a worker; the template names a wrapper by where its layer is in Lambda, /opt."""
    # -P: a script's own folder, here that of the local stack, is nothing a handler may import from.
    command = [python, "-P", "-u", str(_RUNTIME)]
    if wrapper := function.environment.get(_WRAPPER):
        places = (layer / wrapper.removeprefix("/opt/") for layer in function.layers)
        command.insert(0, next((str(place) for place in places if place.is_file()), wrapper))
    return command


def _changed_at(function: Function) -> int:
    """Return when the source of a function was last changed: an edit needs no restart. What is built stays as it is."""
    folders = [function.code_dir, *(layer for layer in function.layers if not (layer / "python").is_dir())]
    return max(map(_newest, folders), default=0)


def _newest(folder: Path | str) -> int:
    """Return when the newest source in a folder was changed. Each event waits for this: `Path.rglob` takes 3 ms."""
    newest = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                newest = max(newest, _newest(entry.path))
            elif entry.name.endswith(".py"):
                newest = max(newest, entry.stat().st_mtime_ns)
    return newest


class Functions:
    """The Lambda service: functions by name. Made on the event loop that it then lives on.

    Args:
        functions: What there is to invoke.
        log_dir: Where each function writes `<name>.log`. None: to this process's standard error.
        python: The interpreter of the workers.
        max_workers: How many events one function handles at a time.
        clock: Counts seconds. A worker that had nothing to do for five minutes is ended with the next event.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        *,
        log_dir: Path | None = None,
        python: str = sys.executable,
        max_workers: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pools = {function.name: _Pool(function, python, log_dir, max_workers, clock) for function in functions}
        self._events: set[asyncio.Task[None]] = set()

    async def invoke(self, name: str, event: bytes, sink: Sink | None = None) -> Answer:
        """Hand `event` (JSON) to the function and return what it answers.

        What a function streams goes to the sink as it comes; what is returned then is empty, or what ended it.

        Raises:
            UnknownFunctionError: no function has this name.
        """
        await asyncio.gather(*(pool.retire() for pool in self._pools.values()))
        answer = await self._pool(name).invoke(event, sink)
        if len(answer.payload) > _ANSWER_LIMIT:
            message = f"Response payload size exceeded maximum allowed payload size ({_ANSWER_LIMIT} bytes)."
            answer = Answer.error("Function.ResponseSizeTooLarge", message)
        return answer

    async def send(self, name: str, event: bytes) -> None:
        """Hand `event` (JSON) to the function and wait for nothing. Lambda would repeat a failed event; this does not.

        Raises:
            UnknownFunctionError: no function has this name.
        """
        self._pool(name)
        task = asyncio.create_task(self._handle(name, event))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Await one of the coroutines of this object in another thread than the loop's."""
        return self.begin(coroutine).result()

    def begin(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start one of the coroutines of this object from another thread than the loop's."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def close(self) -> None:
        """Know no function any more, end every worker, and wait until it is gone."""
        pools, self._pools = self._pools, {}
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in pools.values()))

    async def _handle(self, name: str, event: bytes) -> None:
        answer = await self.invoke(name, event)
        if answer.is_error:
            error = json.loads(answer.payload)
            _log.warning("%s: %s: %s", name, error.get("errorType"), error.get("errorMessage"))

    def _pool(self, name: str) -> _Pool:
        if name not in self._pools:
            raise UnknownFunctionError(name)
        return self._pools[name]


class _Pool:
    """The workers of one function."""

    def __init__(
        self,
        function: Function,
        python: str,
        log_dir: Path | None,
        max_workers: int,
        clock: Callable[[], float],
    ) -> None:
        self._function = function
        self._clock = clock
        self._python = python
        self._log_path = log_dir / f"{function.name}.log" if log_dir else None
        # A function that streams has a worker for each viewer.
        self._slots = asyncio.Semaphore(_MOST_STREAMS if _WRAPPER in function.environment else max_workers)
        # Each with the time since when; the one that worked last comes last.
        self._idle: list[tuple[float, Worker]] = []
        self._busy: set[Worker] = set()

    async def invoke(self, event: bytes, sink: Sink | None) -> Answer:
        async with self._slots:
            worker = await self._worker()
            self._busy.add(worker)
            try:
                answer = await worker.invoke(event, sink)
            except asyncio.CancelledError:
                await worker.end()
                raise
            finally:
                self._busy.remove(worker)
                if worker.is_alive:
                    self._idle.append((self._clock(), worker))
                else:
                    await worker.end()
            return answer

    async def _worker(self) -> Worker:
        """Take an idle worker that has the code as it now is, or start one."""
        changed_at = _changed_at(self._function)
        while self._idle:
            _, worker = self._idle.pop()
            if worker.is_alive and worker.changed_at == changed_at:
                return worker
            await worker.end()
        return await Worker.start(self._function, self._python, self._log_path)

    async def retire(self) -> None:
        """End the workers that have had nothing to do for long."""
        while self._idle and self._idle[0][0] < self._clock() - _IDLE_SECONDS:
            _, worker = self._idle.pop(0)
            await worker.end()

    async def close(self) -> None:
        workers = [*(worker for _, worker in self._idle), *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))


@dataclass(eq=False)
class _Invocation:
    """One event on its way through a worker."""

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

    `changed_at` tells which version of the code the process has (see `_changed_at`).
    """

    _server: asyncio.Server
    _process: asyncio.subprocess.Process
    _exit: asyncio.Task[None]

    def __init__(self, function: Function) -> None:
        self.changed_at = _changed_at(function)
        self._function = function
        self._inbox: asyncio.Queue[_Invocation | None] = asyncio.Queue()
        self._invocation: _Invocation | None = None
        self._init_error: Answer | None = None

    @classmethod
    async def start(cls, function: Function, python: str, log_path: Path | None) -> Worker:
        """Start a process; it imports its handler while the first event already waits for it."""
        worker = cls(function)
        worker._server = await asyncio.start_server(worker._serve, "127.0.0.1", 0)
        host, port = worker._server.sockets[0].getsockname()
        with ExitStack() as stack:
            worker._process = await asyncio.create_subprocess_exec(
                *_command(function, python),
                env=runtime_environment(function, f"{host}:{port}"),
                stdin=PIPE,
                stdout=stack.enter_context(log_path.open("ab")) if log_path else 2,
                stderr=STDOUT,
                # Ctrl-C in a terminal is for the stack, which ends its workers itself.
                start_new_session=True,
            )
        worker._exit = asyncio.create_task(worker._watch())
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the process can take another event."""
        return self._process.returncode is None and self._init_error is None

    async def invoke(self, event: bytes, sink: Sink | None = None) -> Answer:
        """Hand over one event and return the answer, which may be that the process died or took too long."""
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
        """End the process, and what it may have started, now."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End the process, if it has not ended by itself, and what it may have started."""
        self.kill()
        await self._exit
        self._server.close()
        await self._server.wait_closed()

    async def _watch(self) -> None:
        """When the process ends, its event has an answer and its Runtime API nobody to talk to."""
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
            pass  # the process is gone, which `_watch` sees
        finally:
            writer.close()

    def _sink(self, request: h11.Request) -> Sink | None:
        """Return where the body of a request goes that is the streamed answer to the event."""
        streams = (b"lambda-runtime-function-response-mode", b"streaming") in request.headers
        return self._invocation.sink if streams and self._invocation else None

    async def _respond(self, target: str, body: bytes) -> tuple[list[tuple[str, str]], bytes] | None:
        """Answer one request with headers and a body, or None when nothing is left to say."""
        path = target.removeprefix("/2018-06-01/runtime/")
        if path == "invocation/next":
            invocation = await self._inbox.get()
            if invocation is None:
                return None
            invocation.taken.set()
            deadline = int((time.time() + self._function.timeout) * 1000)
            return [
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
