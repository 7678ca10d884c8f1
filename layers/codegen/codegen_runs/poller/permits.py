"""Permits that the threads of a poller take together."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from codegen_runs.limits.buckets import Buckets


@dataclass
class _Request:
    """A thread that waits for a permit. `is_granted` is None until it is known."""

    is_granted: bool | None = None


class SharedPermits:
    """Takes the permits of all threads that wait for one in one write of the bucket.

    A write for each would make the threads wait for each other, or fail each other's conditional writes.

    Args:
        buckets: The buckets of the deployment's token.
    """

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._waiting: dict[str, list[_Request]] = {}
        self._adding = Lock()
        self._taking = Lock()

    def take(self, limit: str) -> bool:
        """Take a permit for one call; return whether there was one. Raises `StorageUnavailable`."""
        request = _Request()
        with self._adding:
            self._waiting.setdefault(limit, []).append(request)
        with self._taking:
            if request.is_granted is None:
                with self._adding:
                    waiting = self._waiting.pop(limit)
                try:
                    granted = self._buckets.take(limit, len(waiting))
                except BaseException:
                    with self._adding:  # The other threads try it themselves.
                        self._waiting.setdefault(limit, []).extend(each for each in waiting if each is not request)
                    raise
                for number, each in enumerate(waiting):
                    each.is_granted = number < granted
        return bool(request.is_granted)
