"""Counts of what a client sent and received: `api.metrics`."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._rate_limits import Allowance

KEPT_DURATIONS = 1000
"""Percentiles are of the durations of this many latest attempts."""


class Metrics:
    """Counts of one client and all of its views since the client was made or `reset` was called. Thread-safe.

    Attributes:
        requests: Attempts that were sent. A call with two retries counts three times.
        retries: Attempts after the first one of a call.
        failures: Attempts without a complete response: no connection, a timeout, a broken connection.
        statuses: Number of responses by HTTP status.
        cache_hits: Cached responses that the server confirmed with 304.
        cache_misses: Cacheable responses that the server sent in full.
        pauses: Calls that waited to keep within a rate limit.
        paused_seconds: Total time that those calls waited.
    """

    def __init__(self, allowances: "Callable[[], list[Allowance]]") -> None:
        self._lock = threading.Lock()
        self._allowances = allowances
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        self.requests = self.retries = self.failures = 0
        self.cache_hits = self.cache_misses = 0
        self.pauses, self.paused_seconds = 0, 0.0
        self.statuses: Counter[int] = Counter()
        self._durations: deque[float] = deque(maxlen=KEPT_DURATIONS)
        self._total = 0.0

    def count(self, status: int | None, seconds: float, *, retry: bool) -> None:
        """Count an attempt: its status (None without a response) and its duration."""
        with self._lock:
            self.requests += 1
            self.retries += retry
            if status is None:
                self.failures += 1
            else:
                self.statuses[status] += 1
            self._durations.append(seconds)
            self._total += seconds

    def count_cached(self, *, hit: bool) -> None:
        """Count a cacheable response: a hit if the server confirmed the cached one."""
        with self._lock:
            self.cache_hits += hit
            self.cache_misses += not hit

    def count_pause(self, seconds: float) -> None:
        """Count a call that waits to keep within a rate limit."""
        with self._lock:
            self.pauses += 1
            self.paused_seconds += seconds

    @property
    def errors(self) -> int:
        """Attempts without a response or with a status of 400 or more."""
        return self.failures + sum(count for status, count in self.statuses.items() if status >= 400)

    @property
    def error_rate(self) -> float:
        """Errors divided by requests, from 0 to 1; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """Cache hits divided by cacheable responses, from 0 to 1; 0 without any."""
        cacheable = self.cache_hits + self.cache_misses
        return self.cache_hits / cacheable if cacheable else 0.0

    @property
    def mean_seconds(self) -> float:
        """Mean duration of an attempt; 0 without requests."""
        return self._total / self.requests if self.requests else 0.0

    @property
    def rate_limits(self) -> "list[Allowance]":
        """The rate limits that the server has reported."""
        return self._allowances()

    def percentile_seconds(self, percent: float) -> float:
        """Return the duration that `percent` % of the latest attempts did not exceed; 0 without requests."""
        with self._lock:
            durations = sorted(self._durations)
        if not durations:
            return 0.0
        rank = max(0, -(-len(durations) * percent // 100) - 1)  # nearest-rank method, counted from 0
        return durations[min(int(rank), len(durations) - 1)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that can be dumped as JSON, for a log or a dashboard."""
        return {
            "requests": self.requests,
            "retries": self.retries,
            "errors": self.errors,
            "error_rate": self.error_rate,
            "failures": self.failures,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "seconds": {
                "mean": self.mean_seconds,
                "p50": self.percentile_seconds(50),
                "p95": self.percentile_seconds(95),
                "max": self.percentile_seconds(100),
            },
            "cache": {"hits": self.cache_hits, "misses": self.cache_misses, "hit_rate": self.cache_hit_rate},
            "pauses": self.pauses,
            "paused_seconds": self.paused_seconds,
            "rate_limits": [
                {"name": limit.name, "remaining": limit.remaining, "quota": limit.quota} for limit in self.rate_limits
            ],
        }

    def __repr__(self) -> str:
        return f"Metrics(requests={self.requests}, errors={self.errors}, cache_hits={self.cache_hits})"
