"""A token bucket as it is stored: when its last permits were given, and how many more fit into a window of time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

# Seconds that a window is taken to be longer than it is: a call arrives upstream some time after its permit.
MARGIN = 2.0


class Limit(BaseModel):
    """So many calls in so many seconds."""

    model_config = ConfigDict(frozen=True)

    calls: int
    seconds: float


class Bucket(BaseModel):
    """One limit's permits. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    given: tuple[int, ...] = ()
    """When the permits of the current window were given, oldest first."""
    blocked_until: int = 0
    """Until when the upstream takes nothing, as it said itself."""
    blocked_reason: str | None = None
    rev: int = 0

    def room(self, limit: Limit, now: int, reserve: int = 0) -> int:
        """Count the permits that can be given now, leaving `reserve` of them to others."""
        if now < self.blocked_until:
            return 0
        return max(0, limit.calls - reserve - len(self._within(limit, now)))

    def opens_at(self, limit: Limit, now: int, *, ahead: int = 0, reserve: int = 0) -> int:
        """Tell when a permit can be given to one who waits behind `ahead` others."""
        at, given = max(now, self.blocked_until), list(self._within(limit, now))
        most = max(1, limit.calls - reserve)
        for _ in range(ahead + 1):
            if len(given) >= most:
                at = max(at, given[-most] + _window(limit))
            given.append(at)
        return at

    def more_at(self, limit: Limit, now: int) -> int:
        """Tell when there is more room than now; `now` where there can be none."""
        given = self._within(limit, now)
        return max(self.blocked_until, given[0] + _window(limit) if given else now)

    def give(self, limit: Limit, now: int, count: int) -> Bucket:
        """Return the bucket with permits given now."""
        return self.model_copy(update={"given": (*self._within(limit, now), *[now] * count)})

    def _within(self, limit: Limit, now: int) -> tuple[int, ...]:
        return tuple(at for at in self.given if at > now - _window(limit))


def _window(limit: Limit) -> int:
    return round((limit.seconds + MARGIN) * 1000)
