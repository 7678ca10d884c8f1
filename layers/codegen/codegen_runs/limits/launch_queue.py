"""The limits and the launch queue, as callers see them.

A member of an organization sees its organization's queued runs alone: their number and their places among each other.
Of the others, only the time of a launch depends, and that on how many organizations wait, rounded up to a power of two.
How many runs another organization has queued changes nothing that a caller sees.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, Field

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.events import timestamp
from codegen_runs.limits.buckets import LIMITS, RESERVED_CREATES, Buckets, limit_of
from codegen_runs.storage.buckets import Bucket, Closure

MOST_SHOWN = 500


class QueuePlace(BaseModel):
    """A run's place in the launch queue."""

    position: int = Field(description="How many queued runs of the organization are launched before this one.")
    expected_at: str = Field(
        description="When the launch is expected at the latest, unless further organizations or single runs get ahead."
    )


class LimitState(BaseModel):
    """One limit of the Codegen API, and what is left of it."""

    name: str
    calls: int
    window_seconds: float
    remaining: int
    opens_at: str | None = Field(None, description="When the next call is possible; null means now.")
    blocked_reason: str | None = Field(
        None, description="The Codegen API's reason for accepting no calls at the moment."
    )


class QueuedRun(QueuePlace):
    """A queued run of the organization."""

    run: str
    multi_run_id: str | None = None


class LaunchQueue(BaseModel):
    """The organization's part of the launch queue."""

    length: int = Field(description="How many of the organization's runs wait for their launch, at most 500.")
    runs: list[QueuedRun] = Field(description="These runs, in launch order.")


class RateLimits(BaseModel):
    """What is left of the limits of the Codegen API, and the launch queue."""

    background: list[LimitState] = Field(
        description="The limits of the deployment's own token, for launches and polling."
    )
    caller: list[LimitState] = Field(description="The limits of the caller's token.")
    queue: LaunchQueue


def places(org_id: int, backend: Backend) -> dict[str, QueuePlace]:
    """Return the place of each queued run of an organization, by key, in launch order. Raises `StorageUnavailable`.

    This reads the bucket and the part of the queue's index that belongs to the organization.
    """
    runs, now, limit = backend.runs, milliseconds(backend.clock.now()), limit_of("create")
    bucket = Buckets(runs, runs.deployment_quota(), backend.clock).read("create")
    queued = bucket.launch_turns.order(runs.queue(org_id, MOST_SHOWN))
    ahead = [_ahead(position, bucket) for position in range(len(queued))]
    closure = bucket.closure(str(org_id), now)
    opens = bucket.openings(limit, closure.until if closure else now, ahead, reserve=RESERVED_CREATES)
    return {
        run.key: QueuePlace(position=position, expected_at=timestamp(opens_at / 1000))
        for position, (run, opens_at) in enumerate(zip(queued, opens, strict=True))
    }


def launched_by(count: int, backend: Backend) -> int:
    """Return when so many queued runs of an organization are launched at the latest, in epoch milliseconds.

    It is the time of `expected_at`. Raises `StorageUnavailable`.
    """
    runs, now = backend.runs, milliseconds(backend.clock.now())
    bucket = Buckets(runs, runs.deployment_quota(), backend.clock).read("create")
    return bucket.opens_at(limit_of("create"), now, ahead=_ahead(count - 1, bucket), reserve=RESERVED_CREATES)


class Outlook(NamedTuple):
    """When further runs of an organization would be launched."""

    last_at: int
    """When the last one is launched at the latest, in epoch milliseconds."""
    closure: Closure | None
    """Why the upstream accepts no launches of the organization now; None if it does."""


def outlook(more: int, org_id: int, backend: Backend) -> Outlook:
    """Return when so many further runs of an organization would be launched if they were queued now.

    The launch is at the latest then, unless further organizations or single runs get ahead. Raises
    `StorageUnavailable`.
    """
    runs, now, limit = backend.runs, milliseconds(backend.clock.now()), limit_of("create")
    bucket = Buckets(runs, runs.deployment_quota(), backend.clock).read("create")
    queued = len(runs.queue(org_id, MOST_SHOWN))
    if not queued:  # The bucket counts the organizations that wait, and this one does not yet.
        bucket = bucket.model_copy(update={"organizations": bucket.organizations + 1})
    closure = bucket.closure(str(org_id), now)
    ahead = _ahead(queued + more - 1, bucket)
    return Outlook(
        bucket.opens_at(limit, closure.until if closure else now, ahead=ahead, reserve=RESERVED_CREATES), closure
    )


def rate_limits(*, org_id: int, caller: Caller, backend: Backend) -> RateLimits:
    """Return the limits and the queue for a member of an organization. Raises `StorageUnavailable`."""
    runs, clock = backend.runs, backend.clock
    # The poller stores the name of the deployment's quota, so that no other function needs the deployment's token.
    deployment = runs.deployment_quota()
    own = upstream.quota_of(caller) if caller.token else deployment
    queued = places(org_id, backend)
    watches = runs.get_many(org_id, list(queued))
    return RateLimits(
        background=_states(Buckets(runs, deployment, clock), org_id, clock),
        caller=_states(Buckets(runs, own, clock), org_id, clock),
        queue=LaunchQueue(
            length=len(queued),
            runs=[
                QueuedRun(run=key, multi_run_id=watches[key].multi_run_id, **place.model_dump())
                for key, place in queued.items()
                if key in watches
            ],
        ),
    )


def _ahead(position: int, bucket: Bucket) -> int:
    """Return how many runs of all organizations are launched at most before the one at a position of its own.

    Until then, every other organization has at most one launch more than this one (`storage.turns`).
    """
    return position + (position + 2) * max(0, bucket.organizations - 1)


def _states(buckets: Buckets, org_id: int, clock: Clock) -> list[LimitState]:
    now = milliseconds(clock.now())
    states = []
    for name in LIMITS:
        limit, bucket = limit_of(name), buckets.read(name)
        opens_at, remaining = bucket.opens_at(limit, now), bucket.room(limit, now)
        reason = bucket.blocked_reason if bucket.blocked_until > now else None
        if closure := bucket.closure(str(org_id), now):
            opens_at, remaining, reason = max(opens_at, closure.until), 0, closure.reason
        states.append(
            LimitState(
                name=name,
                calls=limit.calls,
                window_seconds=limit.seconds,
                remaining=remaining,
                opens_at=timestamp(opens_at / 1000) if opens_at > now else None,
                blocked_reason=reason,
            )
        )
    return states
