"""Deadlines, and the timeouts derived from them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

INSTANT = 0.01
"""Seconds too few to do anything in. Not 0, because a timeout of 0 s makes a socket non-blocking."""


class Deadline:
    """A time on a clock, or never."""

    __slots__ = ("_at", "_clock")

    def __init__(self, at: float, clock: Callable[[], float]) -> None:
        self._at = at
        self._clock = clock

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a deadline."""
        return self._at - self._clock()

    @property
    def passed(self) -> bool:
        """Whether too little time is left to do anything."""
        return self.remaining < INSTANT


class PhaseTimeouts(dict[str, float | None]):
    """Timeouts by phase (connect, write, read, pool), in seconds, none longer than the time left until a deadline.

    The transport reads a timeout when its phase begins. So the phases of one attempt share the time that is left; with
    fixed timeouts, each phase could use all of it.
    """

    def __init__(self, limits: Mapping[str, float | None], deadline: Deadline) -> None:
        super().__init__(limits)
        self._deadline = deadline

    def get(self, phase: str, default: Any = None) -> Any:
        """Return the timeout of a phase, at most the time left."""
        limit = super().get(phase, default)
        left = max(INSTANT, self._deadline.remaining)
        if limit is None:
            return None if left == math.inf else left
        return min(limit, left)
