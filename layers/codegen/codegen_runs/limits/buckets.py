"""Permits for calls to the upstream, shared by all functions that use the same token.

The upstream limits the calls per token and kind in a window of time. A bucket stores when its last permits were given,
so that no window of that length has more calls than the limit, however many functions take permits at the same time.
"""

from __future__ import annotations

import math
from typing import Protocol

from codegen_api import RateLimitError
from codegen_runs import settings
from codegen_runs.clock import Clock
from codegen_runs.limits.allowances import Allowance
from codegen_runs.storage.buckets import Bucket, Limit
from codegen_runs.storage.table import ConditionFailed

# From the descriptions of the operations in the upstream's OpenAPI document.
LIMITS = {
    "create": Limit(calls=10, seconds=60),
    "logs": Limit(calls=60, seconds=60),
    "pull_requests": Limit(calls=30, seconds=60),
    "setup": Limit(calls=5, seconds=60),
    "standard": Limit(calls=60, seconds=30),
    "webhook_test": Limit(calls=10, seconds=60),
}

# Seconds without permits after a 429 without Retry-After.
DEFAULT_RETRY_AFTER = 10.0

# Permits to create runs that the launch queue leaves for callers who start a single run.
RESERVED_CREATES = 2


def limit_of(name: str) -> Limit:
    """Return the limit of this deployment, which may be a multiple of the documented one."""
    documented = LIMITS[name]
    return Limit(calls=documented.calls * settings.codegen_limit_factor(), seconds=documented.seconds)


class BucketStore(Protocol):
    """Stores buckets."""

    def get_bucket(self, budget: str, name: str) -> Bucket:
        """Return a bucket; an empty one if it is not stored."""
        ...

    def put_bucket(self, budget: str, name: str, bucket: Bucket) -> None:
        """Replace a bucket. Raises `ConditionFailed` if it was written since it was read."""
        ...


class Buckets:
    """The buckets of one token. Every method may raise `StorageUnavailable`.

    Args:
        store: Where they are stored.
        budget: A name for the token, not the token itself.
        clock: The time.
    """

    def __init__(self, store: BucketStore, budget: str, clock: Clock) -> None:
        self._store = store
        self._budget = budget
        self._clock = clock
        self._seen: dict[str, Bucket] = {}

    def take(self, name: str, count: int = 1, *, reserve: int = 0) -> int:
        """Take up to `count` permits for calls that are made at once, leaving `reserve`; return how many were taken."""
        limit = limit_of(name)
        while True:
            now = self._now()
            bucket = self.read(name)
            granted = min(count, bucket.room(limit, now, reserve))
            if not granted:
                return 0
            drawn = bucket.give(limit, now, granted)
            try:
                self._store.put_bucket(self._budget, name, drawn)
            except ConditionFailed:
                continue
            self._seen[name] = drawn
            return granted

    def block(self, name: str, seconds: float, reason: str) -> int:
        """Give no permits for some seconds, because the upstream refuses calls.

        Returns:
            The end of the block in epoch milliseconds. A longer block that was set before stays.
        """
        until = self._now() + math.ceil(seconds * 1000)
        while True:
            bucket = self.read(name)
            if bucket.blocked_until >= until:
                return bucket.blocked_until
            try:
                blocked = bucket.model_copy(update={"blocked_until": until, "blocked_reason": reason})
                self._store.put_bucket(self._budget, name, blocked)
            except ConditionFailed:
                continue
            self._seen[name] = blocked
            return until

    def block_after(self, name: str, error: RateLimitError) -> int:
        """Give no permits for as long as a 429 of the upstream says; return the end in epoch milliseconds."""
        return self.block(name, error.retry_after or DEFAULT_RETRY_AFTER, str(error))

    def opens_at(self, name: str, *, ahead: int = 0, reserve: int = 0) -> int:
        """Return when the next permit can be given, after `ahead` others, in epoch milliseconds."""
        return self.read(name).opens_at(limit_of(name), self._now(), ahead=ahead, reserve=reserve)

    def read(self, name: str) -> Bucket:
        """Return one bucket."""
        self._seen[name] = bucket = self._store.get_bucket(self._budget, name)
        return bucket

    def allowance(self, name: str) -> Allowance | None:
        """Return what is left of a limit, from the last bucket that was read or written here; None if there is none."""
        if (bucket := self._seen.get(name)) is None:
            return None
        limit, now = limit_of(name), self._now()
        return Allowance(
            name=name,
            calls=limit.calls,
            seconds=math.ceil(limit.seconds),
            left=bucket.room(limit, now),
            reset=math.ceil((bucket.more_at(limit, now) - now) / 1000),
        )

    def _now(self) -> int:
        return math.ceil(self._clock.now() * 1000)
