"""Time as a value that is passed to functions, so that tests do not wait."""

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
        """Wait for `seconds`."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)


def milliseconds(seconds: float) -> int:
    """Convert epoch seconds to whole milliseconds, the unit in which times are stored."""
    return round(seconds * 1000)


class Stopwatch:
    """Measures the seconds during which at least one `with` block of it runs, in any thread."""

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
