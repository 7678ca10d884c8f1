"""What a client learns from responses and shares with all of its views.

Many clients, such as those of Lambda functions, never meet an `ETag` or a rate limit. So the cache and the rate limits
are imported with the first response that has one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._metrics import Metrics

if TYPE_CHECKING:
    from ._cache import Cache, CachedResponse
    from ._rate_limits import Allowance, RateLimits

_RATE_LIMIT_HEADERS = ("ratelimit", "ratelimit-remaining", "x-ratelimit-remaining")


class ClientState:
    """The metrics, the cache and the rate limits of one client.

    Args:
        caching: Whether to cache responses that have an `ETag`.
        pacing: Whether to pause requests that would exceed a rate limit.
    """

    def __init__(self, *, caching: bool, pacing: bool) -> None:
        self.metrics = Metrics(self._known_rate_limits)
        self.deployment: bool | None = None
        """Whether the server is a deployment of Codegen Runs; None until it was asked."""
        self._caching = caching
        self._pacing = pacing
        self._cache: Cache | None = None
        self._rate_limits: RateLimits | None = None

    def cached(self, url: str) -> "CachedResponse | None":
        """Return the cached response for a URL."""
        return self._cache.get(url) if self._cache else None

    def cache(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        """Cache a response to a GET if it has an `ETag`."""
        if not self._caching or "etag" not in headers:
            return
        if self._cache is None:
            from ._cache import Cache

            self._cache = Cache()
        if self._cache.put(url, headers, content):
            self.metrics.count_cached(hit=False)

    def pause(self, operation: str, now: float, *, max_seconds: float) -> float:
        """Return the seconds to wait before a request of this operation: 0 if it would be more than `max_seconds`."""
        seconds = self._rate_limits.pause(operation, now) if self._rate_limits else 0.0
        if not 0 < seconds <= max_seconds:
            return 0.0
        self.metrics.count_pause(seconds)
        return seconds

    def update_rate_limits(
        self, operation: str, headers: Mapping[str, str], now: float, *, refused_for: float | None
    ) -> None:
        """Read the rate limits in a response. `refused_for` is the `Retry-After` of a 429, in seconds."""
        if not self._pacing or (refused_for is None and not any(name in headers for name in _RATE_LIMIT_HEADERS)):
            return
        if self._rate_limits is None:
            from ._rate_limits import RateLimits

            self._rate_limits = RateLimits()
        self._rate_limits.update(operation, headers, now, refused_for=refused_for)

    def _known_rate_limits(self) -> "list[Allowance]":
        return self._rate_limits.known() if self._rate_limits else []
