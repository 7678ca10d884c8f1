"""Rate limits as a server tells them, and how long to wait so as not to hit one.

Read are `RateLimit` as in the IETF's draft (`"create";r=3;t=20`), the three headers that came before it
(`RateLimit-Remaining`, `-Reset`, `-Limit`, also with `X-` in front), and `Retry-After` of a 429.
"""

import re
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

LOW = 0.1
"""The share of a quota below which what is left is spread over the time until there is more."""

_ITEM = re.compile(r'"?([\w.-]+)"?((?:\s*;\s*\w+\s*=\s*\d+)+)')
_PARAMETER = re.compile(r"(\w+)\s*=\s*(\d+)")


class Allowance(NamedTuple):
    """What a server still admits.

    Attributes:
        name: The limit, in the server's words; empty where it has none.
        remaining: How many requests.
        quota: Of how many; None where it does not say.
        resets_at: When there is more, in seconds of the client's clock.
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
        low = self.quota is not None and self.remaining < self.quota * LOW
        return left / (self.remaining + 1) if low else 0.0


class Limits:
    """What a client has heard of rate limits, by kind of request. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, tuple[str, ...]] = {}
        self._allowances: dict[str, Allowance] = {}

    def pause(self, kind: str, now: float) -> float:
        """Return the seconds that a request of this kind should wait, `now` being seconds of the client's clock.

        A request that is let go counts at once, so that those of other threads do not all take the last place.
        """
        with self._lock:
            allowances = [self._allowances[name] for name in self._names.get(kind, ())]
            for allowance in allowances:
                self._allowances[allowance.name] = allowance._replace(remaining=max(0, allowance.remaining - 1))
        return max((allowance.pause(now) for allowance in allowances), default=0.0)

    def learn(self, kind: str, headers: Mapping[str, str], now: float, *, refused_for: float | None = None) -> None:
        """Take in what an answer to a request of this kind tells; `refused_for` is the Retry-After of a 429."""
        told = _told(kind, headers, now)
        if refused_for is not None:
            names = [allowance.name for allowance in told] or self._names.get(kind, (kind,))
            told = [Allowance(name, 0, None, now + refused_for) for name in names]
        if told:
            with self._lock:
                self._names[kind] = tuple(allowance.name for allowance in told)
                self._allowances.update({allowance.name: allowance for allowance in told})

    def state(self) -> list[Allowance]:
        """List what is known."""
        with self._lock:
            return list(self._allowances.values())


def _told(kind: str, headers: Mapping[str, str], now: float) -> list[Allowance]:
    quotas = {name: values.get("q") for name, values in _items(headers.get("ratelimit-policy", ""))}
    told = [
        Allowance(name, values["r"], quotas.get(name), now + values["t"])
        for name, values in _items(headers.get("ratelimit", ""))
        if {"r", "t"} <= values.keys()
    ]
    for prefix in () if told else ("ratelimit", "x-ratelimit"):
        remaining, reset, quota = (headers.get(f"{prefix}-{word}", "") for word in ("remaining", "reset", "limit"))
        if remaining.isdecimal() and reset.isdecimal():
            # Some servers send seconds, others the moment in Unix time.
            seconds = int(reset) if int(reset) < 1_000_000_000 else int(reset) - time.time()
            return [Allowance(kind, int(remaining), int(quota) if quota.isdecimal() else None, now + seconds)]
    return told


def _items(header: str) -> list[tuple[str, dict[str, int]]]:
    return [
        (item[1], {name: int(value) for name, value in _PARAMETER.findall(item[2])}) for item in _ITEM.finditer(header)
    ]
