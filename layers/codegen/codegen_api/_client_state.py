"""What a client learns from the answers it gets, and shares with all of its views.

Most clients meet no `ETag` and no rate limit in their life, a Lambda function's for one, so the modules for these are
imported by the first answer that has some.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._metrics import Metrics

if TYPE_CHECKING:
    from ._cache import Cache, Kept
    from ._rate_limits import Allowance, Limits

_LIMIT_HEADERS = ("ratelimit", "ratelimit-remaining", "x-ratelimit-remaining")


class Memory:
    """What one client knows from its answers.

    Args:
        caching: Whether to keep answers that have an `ETag`.
        pacing: Whether to wait where the server says that the next request would be too many.
    """

    def __init__(self, *, caching: bool, pacing: bool) -> None:
        self.metrics = Metrics(self._allowances)
        self.deployment: bool | None = None
        """Whether the server is a deployment of Codegen Runs; None until somebody has asked."""
        self._caching = caching
        self._pacing = pacing
        self._cache: Cache | None = None
        self._limits: Limits | None = None

    def kept(self, url: str) -> "Kept | None":
        """Return what is kept of an address."""
        return self._cache.find(url) if self._cache else None

    def keep(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        """Keep an answer to a GET, where it has an `ETag`."""
        if not self._caching or "etag" not in headers:
            return
        if self._cache is None:
            from ._cache import Cache

            self._cache = Cache()
        if self._cache.keep(url, headers, content):
            self.metrics.count_cached(hit=False)

    def pause(self, kind: str, now: float, *, most: float) -> float:
        """Return the seconds to wait before a request of this kind: 0 where it would be more than `most`."""
        seconds = self._limits.pause(kind, now) if self._limits else 0.0
        if not 0 < seconds <= most:
            return 0.0
        self.metrics.count_pause(seconds)
        return seconds

    def heed(self, kind: str, headers: Mapping[str, str], now: float, *, refused_for: float | None) -> None:
        """Take in what an answer tells of rate limits; `refused_for` is the Retry-After of a 429."""
        if not self._pacing or (refused_for is None and not any(name in headers for name in _LIMIT_HEADERS)):
            return
        if self._limits is None:
            from ._rate_limits import Limits

            self._limits = Limits()
        self._limits.learn(kind, headers, now, refused_for=refused_for)

    def _allowances(self) -> "list[Allowance]":
        """List what is known of the server's rate limits; for the metrics."""
        return self._limits.state() if self._limits else []
