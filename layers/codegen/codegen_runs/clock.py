"""Time as a value that can be handed over, so that no test has to wait for it."""

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)


def milliseconds(seconds: float) -> int:
    """Return epoch seconds in the unit in which times are stored: whole milliseconds."""
    return round(seconds * 1000)


class Stopwatch:
    """Adds up the seconds in which at least one `with` block of it was being run, in whatever thread."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = 0.0
        self._now = now
        self._running = 0
        self._started = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._running == 0:
                self._started = self._now()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0:
                self.seconds += self._now() - self._started


waiting_for_codegen = Stopwatch()
"""How long this process has waited for the Codegen API."""
