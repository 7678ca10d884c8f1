"""Outages of the Codegen API: while it does not respond, the poller makes one call at a time instead of one per run.

An outage begins when the calls for several runs fail and none succeeds in between, or the call for the only run. So the
fault of one run among others is no outage. During an outage one call, a *probe*, is made every few seconds, each time
for another run. The first answer ends the outage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Protocol

from codegen_api import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    CodegenAPIError,
    InvalidResponseError,
    RateLimitError,
    ResponseTooLargeError,
    ServerError,
)
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.problems import CredentialsRefused
from codegen_runs.storage.outages import Outage
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)

Place = tuple[int, str]
"""The organization and the key of a watch."""

# Seconds from one probe to the next.
PROBE_INTERVALS = (1.0, 2.0, 5.0)

# The calls of so many runs fail before that is an outage, unless there are fewer runs.
SUSPECTS = 3


class OutageStore(Protocol):
    """Stores the outage."""

    def get_outage(self) -> Outage:
        """Return the outage; the default if none is stored."""
        ...

    def put_outage(self, outage: Outage) -> None:
        """Replace the outage. Raises `ConditionFailed` if it was written since it was read."""
        ...


class Outages:
    """The outage, from the view of one poller. Every method may raise `StorageUnavailable`.

    Args:
        store: Where it is stored, for the next poller.
        clock: The time.
    """

    def __init__(self, store: OutageStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._outage = Outage()
        self._suspects: set[str] = set()
        self._prober: int | None = None

    @property
    def current(self) -> Outage:
        """The outage, or one without `since` while Codegen responds."""
        return self._outage

    def read(self) -> None:
        """Continue with what the last poller stored."""
        self._outage = self._store.get_outage()
        self._prober = None

    def may_call(self) -> bool:
        """Return whether this thread may make a call now. During an outage, only the first one gets the probe.

        The thread calls `done` in any case, whether it makes the call or not.
        """
        with self._lock:
            if self._outage.since is None:
                return True
            if self._prober is not None or not self._is_probe_due():
                return False
            self._prober = get_ident()
            return True

    def done(self) -> None:
        """Leave the next probe to another thread."""
        with self._lock:
            if self._prober == get_ident():
                self._prober = None

    def is_probe_due(self) -> bool:
        """Return whether no call may be made during an outage but a probe, and that now."""
        return self._outage.since is not None and self._is_probe_due()

    @contextmanager
    def call(self, run: str, *, of: int) -> Iterator[None]:
        """Make the block's one call, for which `may_call` was true, and note its outcome.

        Args:
            run: The key of the run that the call is about.
            of: How many runs are followed at the moment.
        """
        try:
            yield
        except (CodegenAPIError, CredentialsRefused) as error:
            if no_answer(error):
                self._failed(run, of, error)
            else:
                self._answered()
            raise
        self._answered()

    def in_turn(self, runs: Sequence[Place]) -> list[Place]:
        """Return runs in the order in which they are tried, so that each probe is made for another run."""
        first = self._outage.probes % len(runs) if runs and self._outage.since is not None else 0
        return [*runs[first:], *runs[:first]]

    def _failed(self, run: str, of: int, error: CodegenAPIError | CredentialsRefused) -> None:
        with self._lock:
            self._suspects.add(run)
            before = self._outage
            if before.since is None and len(self._suspects) < min(SUSPECTS, max(1, of)):
                return
            now = milliseconds(self._clock.now())
            if before.since is not None and self._prober != get_ident():
                return  # This call had begun before the outage was noticed.
            if before.since is None:
                logger.warning("The Codegen API does not respond.", exc_info=error)
            interval = PROBE_INTERVALS[min(before.probes, len(PROBE_INTERVALS) - 1)]
            self._put(
                before.model_copy(
                    update={
                        "since": before.since or now,
                        "probes": before.probes + 1,
                        "probe_at": now + milliseconds(interval),
                        "reason": error.summary,
                    }
                )
            )

    def _answered(self) -> None:
        with self._lock:
            self._suspects.clear()
            if self._outage.since is not None:
                logger.warning("The Codegen API responds again.")
                self._put(Outage(rev=self._outage.rev))

    def _is_probe_due(self) -> bool:
        return milliseconds(self._clock.now()) >= self._outage.probe_at

    def _put(self, outage: Outage) -> None:
        try:
            self._store.put_outage(outage)
        except ConditionFailed:  # by a poller whose lease has ended
            self._outage = self._store.get_outage()
        else:
            self._outage = outage.model_copy(update={"rev": outage.rev + 1})


def no_answer(error: Exception) -> bool:
    """Return whether an error means that Codegen did not answer a call.

    Codegen answers in JSON. A proxy in front of it may answer in HTML, with any status.
    """
    match error:
        case RateLimitError() | ResponseTooLargeError():
            return False
        case CredentialsRefused() | AuthenticationError() | ServerError() | APIConnectionError():
            return True
        case InvalidResponseError():
            return True
        case APIStatusError():
            return not isinstance(error.body, dict)
    return False
