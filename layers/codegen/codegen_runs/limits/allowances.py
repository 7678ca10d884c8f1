"""What is left of the limits that a request draws on, noted for the headers of its answer."""

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
