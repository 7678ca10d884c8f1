"""The lease of the poller: only its holder works."""

from __future__ import annotations

from codegen_runs.clock import Clock, milliseconds
from codegen_runs.storage.runs import Lease, RunsTable

LEASE = "poller"
LEASE_SECONDS = 30.0


class PollerLease:
    """The poller's lease, from the view of one poller.

    Clocks differ, so a poller does not compare the expiry in another poller's lease with its own time. It takes a lease
    only after it has seen it unchanged, by its own clock, for as long as a lease lasts.

    Args:
        runs: Where the lease is stored.
        clock: The clock of this poller.
        holder: Names this poller.
    """

    def __init__(self, runs: RunsTable, clock: Clock, holder: str) -> None:
        self._runs = runs
        self._clock = clock
        self._holder = holder
        # The lease that was read last, and when it was first read unchanged.
        self._seen: Lease | None = None
        self._seen_at = 0

    def acquire(self) -> bool:
        """Take or extend the lease; return whether it is now held."""
        now = self._now()
        abandoned = self._seen if now >= self._seen_at + LEASE_SECONDS * 1000 else None
        until = milliseconds(self._clock.now() + LEASE_SECONDS)
        if self._runs.acquire_lease(LEASE, self._holder, now, until, abandoned=abandoned):
            return True
        self._is_taken()
        return False

    def wait(self, until: float) -> bool:
        """Wait until the lease is free, at most until the epoch second `until`; return whether it is now held."""
        while self._clock.now() < until:
            self._clock.sleep(1.0)
            if not self._is_taken() and self.acquire():
                return True
        return False

    def release(self) -> None:
        """Give the lease back."""
        self._runs.release_lease(LEASE, self._holder)

    def _is_taken(self) -> bool:
        """Read the lease; return whether a poller seems to hold it."""
        found = self._runs.lease(LEASE)
        if found != self._seen:
            self._seen, self._seen_at = found, self._now()
        return found is not None and self._now() < self._seen_at + LEASE_SECONDS * 1000

    def _now(self) -> int:
        return milliseconds(self._clock.now())
