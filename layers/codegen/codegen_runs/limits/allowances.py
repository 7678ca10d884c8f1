"""What a request leaves of the limits that it draws on, told as in draft-ietf-httpapi-ratelimit-headers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """One limit of the Codegen API, and what is left of it.

    Attributes:
        name: The limit.
        calls: How many calls it admits.
        seconds: In how many seconds.
        left: How many calls are left now.
        reset: Seconds until there are more.
    """

    name: str
    calls: int
    seconds: int
    left: int
    reset: int


Noted = dict[str, Allowance]

_noted: ContextVar[Noted | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[Noted]:
    """Collect what is noted inside the block."""
    noted: Noted = {}
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


def note(allowance: Allowance) -> None:
    """Note what is left of a limit, for whoever answers the request at hand, if anybody does."""
    if (noted := _noted.get()) is not None:
        noted[allowance.name] = allowance


def headers(noted: Noted) -> dict[str, list[str]]:
    """Return the headers that tell what was noted; none where no limit was drawn on."""
    if not noted:
        return {}
    return {
        "RateLimit-Policy": [", ".join(f'"{each.name}";q={each.calls};w={each.seconds}' for each in noted.values())],
        "RateLimit": [", ".join(f'"{each.name}";r={each.left};t={each.reset}' for each in noted.values())],
    }
