"""Permits for calls to the upstream, shared by all functions that use the same token.

The upstream limits the calls per token and kind in a window of time. A bucket stores when its last permits were given,
so that no window of that length has more calls than the limit, however many functions take permits at the same time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from codegen_api import RateLimitError
from codegen_runs import settings
from codegen_runs.clock import Clock
from codegen_runs.limits.allowances import Allowance
from codegen_runs.storage.buckets import Bucket, Claim, Closure, Limit
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.storage.turns import Waiting

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Waiting)

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

# Of five permits, how many single runs get while both they and the launch queue wait. A single run weighs more than a
# queued one, because a person waits for the answer to its request.
REQUEST_SHARE = 2

# The most claims of a caller, and of all callers. A request without a claim waits behind those of its caller.
CLAIMS_PER_CALLER = 4
MOST_CLAIMS = 100

# Seconds for which the launch queue counts as waiting after the poller has read it. Ticks are a minute apart.
QUEUE_WAITS = 90.0


def limit_of(name: str) -> Limit:
    """Return the limit of this deployment, which may be a multiple of the documented one."""
    documented = LIMITS[name]
    return Limit(calls=documented.calls * settings.codegen_limit_factor(), seconds=documented.seconds)


class BucketStore(Protocol):
    """Stores buckets."""

    def get_bucket(self, quota: str, name: str) -> Bucket:
        """Return a bucket; an empty one if it is not stored."""
        ...

    def put_bucket(self, quota: str, name: str, bucket: Bucket) -> None:
        """Replace a bucket. Raises `ConditionFailed` if it was written since it was read."""
        ...


class Buckets:
    """The buckets of one token. Every method may raise `StorageUnavailable`.

    Args:
        store: Where they are stored.
        quota: A name for the token, not the token itself.
        clock: The time.
    """

    def __init__(self, store: BucketStore, quota: str, clock: Clock) -> None:
        self._store = store
        self._quota = quota
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
                self._store.put_bucket(self._quota, name, drawn)
            except ConditionFailed:
                continue
            self._seen[name] = drawn
            return granted

    def next_launches(self, queue: Sequence[T], most: int) -> list[T]:
        """Return the queued runs whose turns come next, at most `most`, of the first runs of every caller.

        Organizations for which the upstream accepts no launches are left out. How many organizations wait, and that any
        does, is noted in the bucket for those who only read it.
        """
        bucket, now = self.read("create"), self._now()
        queue = _open(queue, bucket, now)
        organizations = len({each.organization for each in queue})
        rounded = 1 << (organizations - 1).bit_length() if organizations else 0
        is_late = bucket.queue_waits_until < now + QUEUE_WAITS * 500
        if rounded != bucket.organizations or (queue and is_late):
            until = now + round(QUEUE_WAITS * 1000) if queue else 0
            changed = bucket.model_copy(update={"organizations": rounded, "queue_waits_until": until})
            try:
                self._store.put_bucket(self._quota, "create", changed)
            except ConditionFailed:
                logger.info("Another function wrote the bucket; the next round notes the queue.")
        return bucket.launch_turns.order(queue, most)

    def take_for_launches(self, queued: Sequence[T]) -> list[T]:
        """Take permits to launch queued runs; return the runs that got one, in the order of their turns.

        Permits are left for single runs: those that wait get their share.
        """
        limit = limit_of("create")
        while True:
            now = self._now()
            bucket = self.read("create")
            launched = bucket.launch_turns.order(queued, bucket.room(limit, now, _reserve(bucket, limit, now)))
            if not launched:
                return []
            turns = bucket.launch_turns
            for each in launched:
                turns = turns.served(each, now)
            drawn = bucket.give(limit, now, len(launched)).model_copy(update={"launch_turns": turns})
            try:
                self._store.put_bucket(self._quota, "create", drawn)
            except ConditionFailed:
                continue
            self._seen["create"] = drawn
            return launched

    def can_launch(self, queue: Sequence[Waiting]) -> bool:
        """Return whether the upstream accepts the launch of any of these queued runs, apart from the limit."""
        return bool(_open(queue, self.read("create"), self._now()))

    def launches_open_at(self) -> int:
        """Return when the next queued run can be launched, in epoch milliseconds."""
        bucket, limit, now = self.read("create"), limit_of("create"), self._now()
        return bucket.opens_at(limit, now, reserve=_reserve(bucket, limit, now))

    def claim(self, name: str, claim: Claim) -> bool:
        """Take a permit for a request if it is its turn; return whether it got one. Otherwise its claim is stored.

        It is the turn of a request if there is a permit for it and for all requests whose turns are before its own.
        """
        limit = limit_of(name)
        while True:
            now = self._now()
            bucket = self.read(name)
            wait, others = bucket.wait_of(claim, now)
            turn = _turn(wait, others, bucket)
            granted = turn < bucket.request_room(limit, now, _share(name))
            if granted:
                following = bucket.give_request(limit, now, wait, others)
            elif wait in bucket.claims or not _may_be_stored(wait, others):
                return False
            else:
                following = bucket.model_copy(update={"claims": (*others, wait)})
            try:
                self._store.put_bucket(self._quota, name, following)
            except ConditionFailed:
                continue
            self._seen[name] = following
            return granted

    def claim_opens_at(self, name: str, claim: Claim) -> int:
        """Return when a request gets its permit if no others come first, in epoch milliseconds."""
        now, bucket = self._now(), self.read(name)
        wait, others = bucket.wait_of(claim, now)
        turn = _turn(wait, others, bucket)
        return bucket.request_opens_at(limit_of(name), now, _share(name), ahead=turn)

    def give_up(self, name: str, claim: Claim, until: int) -> None:
        """Store that a request gives up, and that its caller may continue its wait by another one until then.

        A caller has at most one such wait.
        """
        while True:
            now = self._now()
            bucket = self.read(name)
            wait, others = bucket.wait_of(claim, now)
            flow = (claim.organization, claim.caller)
            has_one = any(other.given_up and (other.organization, other.caller) == flow for other in others)
            if not has_one and _may_be_stored(wait, others):
                others = (*others, wait.model_copy(update={"given_up": True, "until": until}))
            try:
                self._store.put_bucket(self._quota, name, bucket.model_copy(update={"claims": others}))
            except ConditionFailed:
                continue
            return

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
                self._store.put_bucket(self._quota, name, blocked)
            except ConditionFailed:
                continue
            self._seen[name] = blocked
            return until

    def close(self, name: str, org_id: int, seconds: float, reason: str) -> None:
        """Give no permits to launch runs of one organization for some seconds, because the upstream refuses them."""
        while True:
            now, bucket = self._now(), self.read(name)
            closure = Closure(until=now + math.ceil(seconds * 1000), reason=reason)
            try:
                self._store.put_bucket(self._quota, name, bucket.closing(str(org_id), closure, now))
            except ConditionFailed:
                continue
            return

    def block_after(self, name: str, error: RateLimitError) -> int:
        """Give no permits for as long as a 429 of the upstream says; return the end in epoch milliseconds."""
        return self.block(name, error.retry_after or DEFAULT_RETRY_AFTER, error.summary)

    def opens_at(self, name: str, *, ahead: int = 0, reserve: int = 0) -> int:
        """Return when the next permit can be given, after `ahead` others, in epoch milliseconds."""
        return self.read(name).opens_at(limit_of(name), self._now(), ahead=ahead, reserve=reserve)

    def read(self, name: str) -> Bucket:
        """Return one bucket."""
        self._seen[name] = bucket = self._store.get_bucket(self._quota, name)
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


def _open(queue: Sequence[T], bucket: Bucket, now: int) -> list[T]:
    return [each for each in queue if bucket.closure(each.organization, now) is None]


def _share(name: str) -> int:
    """Return how many permits of a window requests get while the launch queue waits as well."""
    calls = limit_of(name).calls
    return calls * REQUEST_SHARE // 5 if name == "create" else calls


def _reserve(bucket: Bucket, limit: Limit, now: int) -> int:
    return bucket.reserve(limit, now, least=RESERVED_CREATES, share=_share("create"))


def _turn(claim: Claim, others: Sequence[Claim], bucket: Bucket) -> int:
    """Return how many other claims have their turns before this one."""
    waiting = sorted([*others, claim], key=lambda each: (each.since, each.id))
    return bucket.request_turns.order(waiting).index(claim)


def _may_be_stored(claim: Claim, others: Sequence[Claim]) -> bool:
    return len(others) < MOST_CLAIMS and sum(other.caller == claim.caller for other in others) < CLAIMS_PER_CALLER
