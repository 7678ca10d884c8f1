"""Start workers by forking: a fork server has the packages of the layer imported, which takes most of a start.

There is one fork server for each version of the layer and for each environment of the interpreter, such as the paths of
its modules. `fork_server.py` is its program. Linux only: on macOS a process cannot be forked safely after imports.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FORK_SERVER = Path(__file__).with_name("fork_server.py")
"""The program of a fork server."""

PACKAGES = ("codegen_api", "codegen_runs")
"""The packages that a fork server imports, with what they import."""

# What the interpreter and the imported modules read when they start. Workers that differ in it have different fork
# servers.
_READ_AT_START = re.compile(
    r"(PYTHON|PYDANTIC_|POWERTOOLS_|LC_|LD_)\w+"
    r"|LANG|LOG_LEVEL|HOME|PATH|TZ|AWS_EXECUTION_ENV|AWS_LAMBDA_LOG_LEVEL|AWS_LAMBDA_INITIALIZATION_TYPE"
)


def read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a worker's environment that its fork server has."""
    return {name: value for name, value in environment.items() if _READ_AT_START.fullmatch(name)}


class Forked:
    """A process that a fork server has forked.

    Attributes:
        pid: Its id, which is also that of its session.
        returncode: Its exit status, or the negative number of the signal that ended it. None: it runs.
    """

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reader = reader
        self._writer = writer

    async def wait(self) -> int:
        """Wait until the process has ended, and return its status. Kill it if its fork server has ended."""
        status = await self._reader.readline()
        self._writer.close()
        if status:
            self.returncode = int(status)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.returncode = -signal.SIGKILL
        return self.returncode


class ForkServers:
    """The fork servers of a stack, which start when they are needed.

    Args:
        python: The interpreter of the workers.
        runtime: The program that runs in a worker's process.
    """

    def __init__(self, python: str, runtime: Path) -> None:
        self._python = python
        self._runtime = runtime
        # Each with the version of the layer that it has imported.
        self._servers: dict[tuple[tuple[str, str], ...], tuple[int, _ForkServer]] = {}
        self._replaced: list[_ForkServer] = []
        self._starting = asyncio.Lock()

    async def fork(self, environment: Mapping[str, str], version: int, log: int) -> Forked:
        """Start a worker.

        Args:
            environment: The whole environment of the worker.
            version: When the layer last changed (ns). A fork server that has imported an earlier version is replaced.
            log: The file descriptor of its standard output and error.

        Raises:
            OSError: no process could be started.
        """
        for _ in range(2):  # again, because a fork server can have died
            server = await self._server(environment, version)
            if forked := await server.fork(environment, log):
                return forked
            self._replace(server)
        raise OSError("The fork server starts no process.")

    async def close(self) -> None:
        """End all fork servers, and workers that still run."""
        for _, server in (*self._servers.values(),):
            self._replace(server)
        await asyncio.gather(*(server.end() for server in self._replaced))

    async def _server(self, environment: Mapping[str, str], version: int) -> _ForkServer:
        read = read_at_start(environment)
        key = tuple(sorted(read.items()))
        async with self._starting:
            if found := self._servers.get(key):
                if found[0] == version:
                    return found[1]
                self._replace(found[1])
            server = await _ForkServer.start(self._python, self._runtime, read)
            self._servers[key] = version, server
            return server

    def _replace(self, server: _ForkServer) -> None:
        """Use a fork server no more. It continues until its workers have ended."""
        server.close()
        self._servers = {key: found for key, found in self._servers.items() if found[1] is not server}
        self._replaced = [each for each in self._replaced if each.is_running and each is not server] + [server]


class _ForkServer:
    """One fork server."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        # It holds the standard input of the workers.
        self._process = process
        self._control = control

    @classmethod
    async def start(cls, python: str, runtime: Path, environment: Mapping[str, str]) -> _ForkServer:
        # Messages, so that nothing has to tell where one ends.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                # -P: this folder is part of the local stack, which a handler must not be able to import.
                *(python, "-P", "-u", str(FORK_SERVER), str(runtime), str(theirs.fileno()), *PACKAGES),
                env=environment,
                stdin=PIPE,
                stdout=2,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(process, ours)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def fork(self, environment: Mapping[str, str], log: int) -> Forked | None:
        """Start a worker, or return None if that fails."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # This may block for as long as an import takes, when hundreds of workers start at once.
                message = json.dumps(dict(environment)).encode()
                socket.send_fds(self._control, [message], [log, theirs.fileno()])
            except OSError:
                ours.close()
                return None
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            pid = await reader.readline()
        except BaseException:
            writer.close()  # the process ends, because it gets no answer
            raise
        if not pid:
            writer.close()
            return None
        writer.write(b"\n")
        return Forked(int(pid), reader, writer)

    def close(self) -> None:
        """Let it end when its workers have ended."""
        self._control.close()

    async def end(self) -> None:
        self.close()
        if self._process.stdin:
            self._process.stdin.close()
        await self._process.wait()
