"""Rate limits as a server reports them, and the pauses that keep within them.

Three forms are read: `RateLimit` of the IETF draft (`"create";r=3;t=20`), the three older headers
(`RateLimit-Remaining`, `-Reset`, `-Limit`, also with the prefix `X-`), and the `Retry-After` of a 429.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

LOW_SHARE = 0.1
"""If less than this share of a quota remains, the remaining requests are spread over the time until the reset."""

_ITEM = re.compile(r'"?([\w.-]+)"?((?:\s*;\s*\w+\s*=\s*\d+)+)')
_PARAMETER = re.compile(r"(\w+)\s*=\s*(\d+)")


class Allowance(NamedTuple):
    """What remains of a rate limit.

    Attributes:
        name: The server's name of the limit, or the operation if the server sends none.
        remaining: Number of requests left until the reset.
        quota: Number of requests that the limit allows; None if the server does not report it.
        resets_at: Time of the reset, in seconds of the client's clock.
    """

    name: str
    remaining: int
    quota: int | None
    resets_at: float

    def pause(self, now: float) -> float:
        """Return the seconds to wait before the next request."""
        left = self.resets_at - now
        if left <= 0:
            return 0.0
        if self.remaining <= 0:
            return left
        low = self.quota is not None and self.remaining < self.quota * LOW_SHARE
        return left / (self.remaining + 1) if low else 0.0


class RateLimits:
    """The rate limits that a server has reported, by operation (see `Call.operation`). Thread-safe."""

    def __init__(self, unix_time: Callable[[], float] = time.time) -> None:
        self._unix_time = unix_time
        self._lock = threading.Lock()
        self._names: dict[str, tuple[str, ...]] = {}
        self._allowances: dict[str, Allowance] = {}

    def pause(self, operation: str, now: float) -> float:
        """Return the seconds to wait before a request of this operation. `now` is in seconds of the client's clock.

        The request counts at once, so that concurrent requests do not all use the last one that remains.
        """
        with self._lock:
            allowances = [self._allowances[name] for name in self._names.get(operation, ())]
            for allowance in allowances:
                self._allowances[allowance.name] = allowance._replace(remaining=max(0, allowance.remaining - 1))
        return max((allowance.pause(now) for allowance in allowances), default=0.0)

    def update(
        self, operation: str, headers: Mapping[str, str], now: float, *, refused_for: float | None = None
    ) -> None:
        """Read the rate limits in a response. `refused_for` is the `Retry-After` of a 429, in seconds."""
        reported = _read(operation, headers, now, self._unix_time)
        if refused_for is not None:
            names = [allowance.name for allowance in reported] or self._names.get(operation, (operation,))
            reported = [Allowance(name, 0, None, now + refused_for) for name in names]
        if reported:
            with self._lock:
                self._names[operation] = tuple(allowance.name for allowance in reported)
                self._allowances.update({allowance.name: allowance for allowance in reported})

    def known(self) -> list[Allowance]:
        """Return all known rate limits."""
        with self._lock:
            return list(self._allowances.values())


def _read(operation: str, headers: Mapping[str, str], now: float, unix_time: Callable[[], float]) -> list[Allowance]:
    quotas = {name: values.get("q") for name, values in _items(headers.get("ratelimit-policy", ""))}
    reported = [
        Allowance(name, values["r"], quotas.get(name), now + values["t"])
        for name, values in _items(headers.get("ratelimit", ""))
        if {"r", "t"} <= values.keys()
    ]
    for prefix in () if reported else ("ratelimit", "x-ratelimit"):
        remaining, reset, quota = (headers.get(f"{prefix}-{word}", "") for word in ("remaining", "reset", "limit"))
        if remaining.isdecimal() and reset.isdecimal():
            # Some servers send the seconds until the reset, others its Unix time.
            seconds = int(reset) if int(reset) < 1_000_000_000 else int(reset) - unix_time()
            return [Allowance(operation, int(remaining), int(quota) if quota.isdecimal() else None, now + seconds)]
    return reported


def _items(header: str) -> list[tuple[str, dict[str, int]]]:
    return [
        (item[1], {name: int(value) for name, value in _PARAMETER.findall(item[2])}) for item in _ITEM.finditer(header)
    ]
