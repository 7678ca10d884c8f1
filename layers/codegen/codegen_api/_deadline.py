"""Deadlines, and the timeouts that follow from them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

INSTANT = 0.01
"""Seconds too few to do anything in. Not 0: a socket told to wait 0 s does not wait, it becomes non-blocking."""


class Deadline:
    """A moment on a clock, or never."""

    __slots__ = ("_at", "_clock")

    def __init__(self, at: float, clock: Callable[[], float]) -> None:
        self._at = at
        self._clock = clock

    @property
    def remaining(self) -> float:
        """Seconds left; infinite for never."""
        return self._at - self._clock()

    @property
    def passed(self) -> bool:
        """Whether too little is left to do anything with."""
        return self.remaining < INSTANT


class PhaseTimeouts(dict[str, float | None]):
    """Time limits by phase (connect, write, read, pool), in seconds, that shrink as a deadline comes nearer.

    The transport looks a limit up when its phase begins. So the phases of one attempt share what is left, where fixed
    limits would grant it to each of them anew.
    """

    def __init__(self, limits: Mapping[str, float | None], deadline: Deadline) -> None:
        super().__init__(limits)
        self._deadline = deadline

    def get(self, phase: str, default: Any = None) -> Any:
        """Return the phase's limit, cut to what is left."""
        limit = super().get(phase, default)
        left = max(INSTANT, self._deadline.remaining)
        if limit is None:
            return None if left == math.inf else left
        return min(limit, left)
