"""One worker process and the Runtime API that feeds it, with the time that each of its steps takes.

Both sides of every comparison run the local stack's own loop (`local/functions/runtime.py`), because the one that AWS
ships for containers has wheels for Linux only. The two times measured are from the start of the process to its first
`GET /next`, which is Lambda's Init Duration, and from the first byte of an event to the last byte of its answer.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local.functions.worker import RUNTIME, runtime_environment

if TYPE_CHECKING:
    from types import TracebackType

    from local.template import Function

_TIMEOUT = 60.0


class WorkerError(Exception):
    """A worker did not answer, so nothing was measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's answer, and the seconds that it took."""

    result: Any
    seconds: float


class Worker:
    """A new process with one handler in it, while its context lasts.

    Args:
        python: The interpreter.
        function: The function that it runs, with its environment.
        log_dir: The folder in which the worker's standard output and error go to `<function>.log`.

    Attributes:
        init_seconds: The time from the start of the process until it requested its first event.
    """

    init_seconds: float

    def __init__(self, python: Path, function: Function, log_dir: Path) -> None:
        self._python = python
        self._function = function
        self._log = log_dir / f"{function.name}.log"

    def __enter__(self) -> Self:
        """Start the process and wait until it requests an event.

        Raises:
            WorkerError: the process cannot import its handler, or dies.
        """
        with socket.create_server(("127.0.0.1", 0)) as listening, self._log.open("wb") as log:
            listening.settimeout(_TIMEOUT)
            host, port = listening.getsockname()
            # As in Lambda, where /opt and /var/task are read-only, no start leaves bytecode for the next one.
            environment = runtime_environment(self._function, f"{host}:{port}") | {"PYTHONDONTWRITEBYTECODE": "1"}
            started = time.perf_counter()
            self._process = subprocess.Popen(
                [self._python, "-P", "-u", RUNTIME],
                env=environment,
                cwd=self._function.code_dir,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                self._connection, _ = listening.accept()
                self._connection.settimeout(_TIMEOUT)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._requests = self._connection.makefile("rb")
                self._next()
            except BaseException as error:
                self._kill()
                raise self._failure() from error
            self.init_seconds = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        self._requests.close()
        self._connection.close()
        self._kill()

    def invoke(self, event: Any) -> Answer:
        """Hand over an event, and wait for its answer and for the request of the next event.

        Raises:
            WorkerError: the handler raises, or the process dies.
        """
        body = json.dumps(event).encode()
        request_id = str(uuid.uuid4())
        deadline = round((time.time() + self._function.timeout) * 1000)
        head = (
            "HTTP/1.1 200 OK\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self._function.arn}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        self._connection.sendall(head.encode() + body)
        target, answer = self._request()
        seconds = time.perf_counter() - started
        if not target.endswith(f"/{request_id}/response"):
            raise WorkerError(f"{self._function.name}: {answer.decode()}")
        self._connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        self._next()
        return Answer(json.loads(answer), seconds)

    def _next(self) -> None:
        target, body = self._request()
        if not target.endswith("/invocation/next"):
            raise WorkerError(f"{self._function.name}: {body.decode()}")

    def _request(self) -> tuple[str, bytes]:
        """Read one request of the worker and return its target and its body."""
        try:
            line = self._requests.readline().decode()
            headers = http.client.parse_headers(self._requests)
            body = self._requests.read(int(headers["Content-Length"] or 0))
        except OSError as error:
            raise self._failure() from error
        if not line:
            raise self._failure()
        return line.split()[1], body

    def _failure(self) -> WorkerError:
        return WorkerError(f"{self._function.name} did not answer:\n{self._log.read_text('utf-8')}")

    def _kill(self) -> None:
        self._process.kill()
        self._process.communicate()
