"""Functions by name, each with a pool of worker processes.

A worker starts when an event finds no idle one. It handles one event at a time and is killed when an event takes longer
than the function's timeout. Where Lambda would throttle an event, the event waits: one machine has less capacity than a
region. Functions that hold their answers back for events to come occupy a worker for each viewer, even for viewers who
have gone, so all functions share some spare workers for events that have waited for five seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from local.functions.forking import ForkServers
from local.functions.worker import RUNTIME, Answer, Worker, changed_at

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from local.functions.worker import Sink
    from local.template import Function

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# A process takes about 50 MB, and there are as many functions as endpoints.
_IDLE_SECONDS = 300.0
# Lambda's limit for an answer, in bytes.
_ANSWER_LIMIT = 6 * 1024 * 1024 + 100
# A start costs more time of the processor than most events, so events that only come at once do not get a spare worker.
PATIENCE = 5.0
"""Seconds that an event waits for a worker of its function before a spare one will do, if nothing else is said."""

MAX_WORKERS = 4
"""How many events a function handles at a time, if nothing else is said."""

SPARE_WORKERS = 8
"""How many more events all functions together handle at a time, if nothing else is said."""


class UnknownFunctionError(Exception):
    """No function has this name."""


class Functions:
    """The Lambda service. Create it on the event loop that it is used on.

    Args:
        functions: The functions that can be invoked.
        log_dir: The folder in which each function writes `<name>.log`. None: this process's standard error.
        python: The interpreter of the workers.
        max_workers: The number of events that one function handles at a time, without spare workers.
        spare_workers: The number of workers for events, of any function, that have waited for long.
        patience: Seconds that an event waits for a worker of its function before a spare one will do.
        clock: Returns monotonic seconds. A worker that has been idle for five minutes ends when the next event comes.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        *,
        log_dir: Path | None = None,
        python: str = sys.executable,
        max_workers: int = MAX_WORKERS,
        spare_workers: int = SPARE_WORKERS,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        spare = _Spare(asyncio.Semaphore(spare_workers), patience)
        self._fork_servers = ForkServers(python, RUNTIME) if sys.platform == "linux" else None
        self._pools = {
            function.name: _Pool(function, python, self._fork_servers, log_dir, max_workers, spare, clock)
            for function in functions
        }
        self._events: set[asyncio.Task[None]] = set()

    async def invoke(self, name: str, event: bytes, sink: Sink | None = None) -> Answer:
        """Invoke a function with an event (JSON) and return its answer.

        Parts of a streamed answer go to the sink as they arrive. The answer returned is then empty, or the error that
        ended the stream.

        Raises:
            UnknownFunctionError: no function has this name.
        """
        for pool in self._pools.values():
            await pool.retire()
        answer = await self._pool(name).invoke(event, sink)
        if len(answer.payload) > _ANSWER_LIMIT:
            message = f"Response payload size exceeded maximum allowed payload size ({_ANSWER_LIMIT} bytes)."
            answer = Answer.error("Function.ResponseSizeTooLarge", message)
        return answer

    async def send(self, name: str, event: bytes) -> None:
        """Invoke a function with an event (JSON) without waiting for it. Unlike Lambda, do not retry a failed event.

        Raises:
            UnknownFunctionError: no function has this name.
        """
        self._pool(name)
        task = asyncio.create_task(self._handle(name, event))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    def kill(self, name: str) -> bool:
        """Kill a process that handles an event of a function. Return whether there was one."""
        return self._pool(name).kill()

    def handling(self, request_id: str) -> tuple[str, Worker] | None:
        """Return the process that handles the event with this id, with the name of its function."""
        found = ((name, pool.handling(request_id)) for name, pool in self._pools.items())
        return next(((name, worker) for name, worker in found if worker), None)

    def set_clock(self, name: str, offset: float) -> None:
        """Set the clocks of a function's processes some seconds ahead of the true time, from their next events on."""
        self._pool(name).set_clock(offset)

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run one of this object's coroutines from another thread and return its result."""
        return self.begin(coroutine).result()

    def begin(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start one of this object's coroutines from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def close(self) -> None:
        """Refuse further events, end every worker, and wait until all processes are gone."""
        pools, self._pools = self._pools, {}
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in pools.values()))
        if self._fork_servers:
            await self._fork_servers.close()

    async def _handle(self, name: str, event: bytes) -> None:
        answer = await self.invoke(name, event)
        if answer.is_error:
            error = json.loads(answer.payload)
            _log.warning("%s: %s: %s", name, error.get("errorType"), error.get("errorMessage"))

    def _pool(self, name: str) -> _Pool:
        if name not in self._pools:
            raise UnknownFunctionError(name)
        return self._pools[name]


@dataclass(frozen=True)
class _Spare:
    """The slots of the spare workers, and how long an event waits for one of its function before."""

    slots: asyncio.Semaphore
    patience: float


class _Pool:
    """The workers of one function."""

    def __init__(
        self,
        function: Function,
        python: str,
        fork_servers: ForkServers | None,
        log_dir: Path | None,
        max_workers: int,
        spare: _Spare,
        clock: Callable[[], float],
    ) -> None:
        self._function = function
        self._clock = clock
        self._python = python
        self._fork_servers = fork_servers
        self._log_path = log_dir / f"{function.name}.log" if log_dir else None
        self._slots = asyncio.Semaphore(max_workers)
        self._spare = spare
        # Each with the time at which it became idle, the most recent last.
        self._idle: list[tuple[float, Worker]] = []
        self._busy: set[Worker] = set()
        self._is_closed = False

    async def invoke(self, event: bytes, sink: Sink | None) -> Answer:
        slots = await self._slot()
        try:
            worker = await self._worker()
            if self._is_closed:  # while the event waited for a process
                await worker.end()
                raise UnknownFunctionError(self._function.name)
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
        finally:
            slots.release()

    async def _slot(self) -> asyncio.Semaphore:
        """Wait until this function may handle one event more. Return what to release after it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._spare.patience):
                    await self._slots.acquire()
                    return self._slots
            if not self._spare.slots.locked():
                await self._spare.slots.acquire()
                return self._spare.slots

    async def _worker(self) -> Worker:
        """Return an idle worker that runs the current code, or start one."""
        if self._is_closed:
            raise UnknownFunctionError(self._function.name)
        current = changed_at(self._function)
        while self._idle:
            _, worker = self._idle.pop()
            if worker.is_alive and worker.changed_at == current:
                return worker
            await worker.end()
        return await Worker.start(self._function, self._python, self._log_path, self._fork_servers)

    def kill(self) -> bool:
        for worker in self._busy:
            worker.kill()
            return True
        return False

    def handling(self, request_id: str) -> Worker | None:
        return next((worker for worker in self._busy if worker.handles(request_id)), None)

    def set_clock(self, offset: float) -> None:
        for worker in (*self._busy, *(worker for _, worker in self._idle)):
            worker.clock_offset = offset

    async def retire(self) -> None:
        """End the workers that have been idle for too long."""
        while self._idle and self._idle[0][0] < self._clock() - _IDLE_SECONDS:
            _, worker = self._idle.pop(0)
            await worker.end()

    async def close(self) -> None:
        self._is_closed = True
        workers = [*(worker for _, worker in self._idle), *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))
