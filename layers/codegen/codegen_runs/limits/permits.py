"""Permits for calls that a caller waits for, from the buckets that background work uses as well."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from codegen_api import RateLimitError
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.limits import allowances
from codegen_runs.limits.buckets import Buckets
from codegen_runs.problems import RateLimited, StorageUnavailable
from codegen_runs.storage.buckets import Claim

logger = logging.getLogger(__name__)

# The most seconds that a request waits for a permit before it is refused.
PATIENCE = 8.0

# After the time that Retry-After names: seconds in which a refused caller may send the request again without losing its
# turn to those who have sent theirs in the meantime.
RETRY_SECONDS = 10.0


class NoPermit(RateLimited):
    """The limit of the Codegen API is used up, so the request was not sent."""

    code = "limit_used_up"


@contextmanager
def permit(limit: str, caller: Caller, org_id: int, backend: Backend) -> Iterator[None]:
    """Take a permit for the one call that the block makes. If the upstream answers 429, block the bucket for everyone.

    Callers without a token of their own share the bucket of the deployment. While more requests wait than there are
    permits, they get them in turn, by organization and then by caller. A refused caller keeps its turn if it sends the
    request again when Retry-After says. What is left of the limit is noted for the
    answer. If the buckets cannot be read, the call is made without a permit. Raises `NoPermit`.
    """
    buckets = Buckets(backend.runs, upstream.quota_of(caller), backend.clock)
    try:
        try:
            _wait(buckets, limit, _claim(caller, org_id, backend.clock), backend.clock)
        except StorageUnavailable:
            logger.warning("Could not read the limits of the Codegen API.", exc_info=True)
        try:
            yield
        except RateLimitError as error:
            _block(buckets, limit, error)
            raise
    finally:
        if allowance := buckets.allowance(limit):
            allowances.note(allowance)


def _block(buckets: Buckets, limit: str, error: RateLimitError) -> None:
    try:
        buckets.block_after(limit, error)
    except StorageUnavailable:
        logger.warning("Could not store that the Codegen API refuses calls.", exc_info=True)


def _claim(caller: Caller, org_id: int, clock: Clock) -> Claim:
    now = clock.now()
    return Claim(
        id=secrets.token_hex(6),
        organization=str(org_id),
        caller=caller.id,
        since=milliseconds(now),
        until=milliseconds(now + PATIENCE),
    )


def _wait(buckets: Buckets, limit: str, claim: Claim, clock: Clock) -> None:
    until = clock.now() + PATIENCE
    while not buckets.claim(limit, claim):
        opens_at = buckets.claim_opens_at(limit, claim) / 1000
        if opens_at > until or clock.now() >= until:
            buckets.give_up(limit, claim, milliseconds(max(opens_at, clock.now()) + RETRY_SECONDS))
            seconds = opens_at - clock.now()
            raise NoPermit(
                f"The Codegen API accepts no more such calls for {seconds:.0f} s.", retry_after=max(1.0, seconds)
            )
        # At most a second, because a request whose turn comes first may give up.
        clock.sleep(min(1.0, max(0.05, opens_at - clock.now())))
