"""A token bucket: when its last permits were given, and how many more a window of time has room for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

# Seconds that are added to each window, because a call arrives at the upstream some time after its permit was given.
MARGIN = 2.0


class Limit(BaseModel):
    """The number of calls that are allowed in a window of some seconds."""

    model_config = ConfigDict(frozen=True)

    calls: int
    seconds: float


class Bucket(BaseModel):
    """The permits of one limit. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    given: tuple[int, ...] = ()
    """When the permits of the current window were given, oldest first."""
    blocked_until: int = 0
    """Until when the upstream refuses calls, from the Retry-After of its 429."""
    blocked_reason: str | None = None
    rev: int = 0

    def room(self, limit: Limit, now: int, reserve: int = 0) -> int:
        """Return how many permits can be given now if `reserve` of them are left for others."""
        if now < self.blocked_until:
            return 0
        return max(0, limit.calls - reserve - len(self._within(limit, now)))

    def opens_at(self, limit: Limit, now: int, *, ahead: int = 0, reserve: int = 0) -> int:
        """Return when the next permit can be given, after `ahead` others and with `reserve` left for others."""
        at, given = max(now, self.blocked_until), list(self._within(limit, now))
        most = max(1, limit.calls - reserve)
        for _ in range(ahead + 1):
            if len(given) >= most:
                at = max(at, given[-most] + _window(limit))
            given.append(at)
        return at

    def more_at(self, limit: Limit, now: int) -> int:
        """Return when there will be more room than now; `now` if all permits are available."""
        given = self._within(limit, now)
        return max(self.blocked_until, given[0] + _window(limit) if given else now)

    def give(self, limit: Limit, now: int, count: int) -> Bucket:
        """Return the bucket with permits given now."""
        return self.model_copy(update={"given": (*self._within(limit, now), *[now] * count)})

    def _within(self, limit: Limit, now: int) -> tuple[int, ...]:
        return tuple(at for at in self.given if at > now - _window(limit))


def _window(limit: Limit) -> int:
    return round((limit.seconds + MARGIN) * 1000)
