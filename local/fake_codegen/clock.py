"""The fake's time: real time, or a time that a test sets."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A clock that never goes back, so that its time also serves to measure durations.

    `ahead` is the sum of the seconds that it was advanced by.
    """

    ahead: float

    def now(self) -> datetime:
        """Return the time in UTC, to the microsecond."""
        ...

    def advance(self, seconds: float) -> None:
        """Jump ahead by `seconds`."""
        ...


class SystemClock:
    """Real time since the clock was created, plus the seconds that it was advanced by."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._offset = datetime.now(UTC) - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._offset + timedelta(seconds=time.monotonic())

    def advance(self, seconds: float) -> None:
        """Jump ahead by `seconds`."""
        _refuse_going_back(seconds)
        self._offset += timedelta(seconds=seconds)
        self.ahead += seconds


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = datetime(2025, 6, 21, 11, 20, 4, 338398, tzinfo=UTC)) -> None:
        self.ahead = 0.0
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Jump ahead by `seconds`."""
        _refuse_going_back(seconds)
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self.ahead += seconds


def _refuse_going_back(seconds: float) -> None:
    if seconds < 0:
        raise ValueError(f"A clock only goes forward, not by {seconds} s.")


def timestamp(moment: datetime) -> str:
    """Write a time as observed upstream: a space, microseconds, no time zone (`2025-06-21 11:20:04.338398`)."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
