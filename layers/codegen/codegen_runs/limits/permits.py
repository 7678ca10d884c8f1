"""Permits for calls that a caller waits for, from the same buckets that background work draws on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from codegen_api import RateLimitError
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.limits import allowances
from codegen_runs.limits.buckets import Buckets
from codegen_runs.problems import RateLimited, StorageUnavailable

logger = logging.getLogger(__name__)

# Seconds that a caller is made to wait for a permit before she is told to come back.
PATIENCE = 8.0


class NoPermit(RateLimited):
    """The limit of the Codegen API is used up, so the request was not sent."""

    code = "limit_used_up"


@contextmanager
def permit(limit: str, caller: Caller, backend: Backend) -> Iterator[None]:
    """Make one call inside the block with a permit; what the upstream says of its limit there is remembered for all.

    What is left of the limit is noted for the answer. Where the buckets cannot be read, the upstream judges by itself.
    Raises `NoPermit`.
    """
    buckets = Buckets(backend.runs, upstream.budget_of(caller), backend.clock)
    try:
        try:
            _wait(buckets, limit, backend.clock)
        except StorageUnavailable:
            logger.warning("The limits of the Codegen API could not be read.", exc_info=True)
        try:
            yield
        except RateLimitError as error:
            _remember(buckets, limit, error)
            raise
    finally:
        if allowance := buckets.allowance(limit):
            allowances.note(allowance)


def _remember(buckets: Buckets, limit: str, error: RateLimitError) -> None:
    try:
        buckets.block_after(limit, error)
    except StorageUnavailable:
        logger.warning("A limit of the Codegen API could not be noted.", exc_info=True)


def _wait(buckets: Buckets, limit: str, clock: Clock) -> None:
    until = clock.now() + PATIENCE
    while not buckets.take(limit):
        opens_at = buckets.opens_at(limit) / 1000
        if opens_at > until:
            seconds = opens_at - clock.now()
            raise NoPermit(
                f"The Codegen API accepts no more such calls for {seconds:.0f} s.", retry_after=max(1.0, seconds)
            )
        clock.sleep(max(0.05, opens_at - clock.now()))
