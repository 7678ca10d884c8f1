"""What a client has sent and how that went: `api.metrics`."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._rate_limits import Allowance

KEPT = 1000
"""How many of the latest durations are kept to tell percentiles from."""


class Metrics:
    """Counts of one client and all of its views, from their first request on. Several threads may count at once.

    Attributes:
        requests: Attempts that were sent; a call that was repeated twice counts three.
        retries: Attempts after the first of their call.
        failures: Attempts without an answer: no connection, a timeout, an answer cut off.
        statuses: How many answers there were of each HTTP status.
        cache_hits: Answers that the server confirmed and did not send again.
        cache_misses: Answers that had to be sent whole although they may be kept.
        pauses: Calls that waited so as not to hit a rate limit.
        paused_seconds: How long those waited, altogether.
    """

    def __init__(self, allowances: "Callable[[], list[Allowance]]") -> None:
        self._lock = threading.Lock()
        self._allowances = allowances
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.requests = self.retries = self.failures = 0
        self.cache_hits = self.cache_misses = 0
        self.pauses, self.paused_seconds = 0, 0.0
        self.statuses: Counter[int] = Counter()
        self._durations: deque[float] = deque(maxlen=KEPT)
        self._total = 0.0

    def count(self, status: int | None, seconds: float, *, retry: bool) -> None:
        """Count an attempt: the status of its answer, None without one, and how long it took."""
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
        """Count an answer that is kept: whether what was kept could be used."""
        with self._lock:
            self.cache_hits += hit
            self.cache_misses += not hit

    def count_pause(self, seconds: float) -> None:
        """Count a call that waits for a rate limit."""
        with self._lock:
            self.pauses += 1
            self.paused_seconds += seconds

    @property
    def errors(self) -> int:
        """Attempts that failed, or were answered with a status of 400 or more."""
        return self.failures + sum(count for status, count in self.statuses.items() if status >= 400)

    @property
    def error_rate(self) -> float:
        """The share of errors among the requests, from 0 to 1; 0 before the first."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """The share of hits among answers that may be kept, from 0 to 1; 0 before the first."""
        asked = self.cache_hits + self.cache_misses
        return self.cache_hits / asked if asked else 0.0

    @property
    def mean_seconds(self) -> float:
        """The mean duration of an attempt; 0 before the first."""
        return self._total / self.requests if self.requests else 0.0

    @property
    def rate_limits(self) -> "list[Allowance]":
        """What the server has told of its rate limits."""
        return self._allowances()

    def percentile_seconds(self, percent: float) -> float:
        """Return the duration that `percent` of the latest attempts did not exceed; 0 before the first."""
        with self._lock:
            durations = sorted(self._durations)
        if not durations:
            return 0.0
        place = max(0, -(-len(durations) * percent // 100) - 1)  # the nearest rank, counted from 0
        return durations[min(int(place), len(durations) - 1)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON, to log it or to send it to a dashboard."""
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
