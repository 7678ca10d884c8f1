"""The AWS stand-in in a process of its own, with a template deployed to it.

moto keeps one state per process. In a process of its own, the stand-in shares it with no test that uses moto itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from local.functions.pool import MAX_WORKERS
from local.journal import DataError
from local.template import TemplateError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).parents[2]
# How long the process may take to end its functions and itself.
_END_SECONDS = 15
# The errors that the process reports, by name.
_ERRORS: dict[str, type[Exception]] = {error.__name__: error for error in (DataError, TemplateError)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the process deploys.

    Attributes:
        template: The path of the template.
        parameters: Its parameters, except for the ARN of the secret, which exists only after the start.
        variables: Environment variables of its functions, in place of the values that the template declares.
        token: The value of the secret.
        log_dir: The folder in which each function writes its log. None: standard error.
        python: The interpreter of the functions.
        retry_scale: The factor by which Step Functions' delays before a Retry are multiplied.
        connections: The URL of the management API of the WebSocket API.
        codegen: The Codegen API that the tables are about, in a form that is the same at each start.
        journal: The file in which the tables and the running executions are kept. None: in memory only.
        faults: The faults of the services, as the fields of `faults.Faults`. None: none.
        max_workers: The number of events that one function handles at a time.
    """

    template: str
    parameters: dict[str, str]
    variables: dict[str, str]
    token: str
    log_dir: str | None
    python: str
    retry_scale: float
    connections: str
    codegen: str = ""
    journal: str | None = None
    faults: dict[str, Any] | None = None
    max_workers: int = MAX_WORKERS


@contextmanager
def deployed(
    deployment: Deployment, listening: socket.socket, on_failure: Callable[[Exception], None]
) -> Iterator[str]:
    """Run the process, which takes over the socket, and yield the ARN of the secret.

    Args:
        deployment: What to deploy.
        listening: A TCP socket on 127.0.0.1.
        on_failure: Called from another thread when the process ends, or cannot keep the tables any more.

    Raises:
        DataError: the journal cannot be used.
        RuntimeError: the process ended before it was ready.
        TemplateError: the definition of a state machine cannot be read.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "local.aws", str(listening.fileno())],
        cwd=_ROOT,
        # Settings for the real AWS, for instance a profile, must not reach the process.
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[listening.fileno()],
        start_new_session=True,  # Ctrl-C in a terminal is for this process only, which then ends that one
    )
    with process:
        listening.close()
        assert process.stdin
        assert process.stdout
        print(json.dumps(asdict(deployment)), file=process.stdin, flush=True)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("The AWS stand-in did not start.")
        answer = json.loads(line)
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["message"])
        watching = threading.Thread(target=_watch, args=(process.stdout, on_failure), name="aws-watch", daemon=True)
        watching.start()
        try:
            yield answer["secret"]
        finally:
            process.stdin.close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            watching.join()


def _watch(output: IO[str], on_failure: Callable[[Exception], None]) -> None:
    """Report the first line that the process writes after its start, or its end."""
    line = output.readline()
    if line:
        on_failure(DataError(json.loads(line)["message"]))
    else:
        on_failure(RuntimeError("The AWS stand-in has ended."))
