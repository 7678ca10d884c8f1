"""What is left of the limits that a request uses, collected for the headers of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """One limit of the Codegen API, and what is left of it.

    Attributes:
        name: The name of the limit.
        calls: The number of calls that it allows in a window.
        seconds: The length of the window in seconds.
        left: The number of calls that are left now.
        reset: Seconds until more calls are left.
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
    """Collect what `note` gets while the block runs."""
    noted: Noted = {}
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


def note(allowance: Allowance) -> None:
    """Note what is left of a limit, for the answer to the current request. Without a request this has no effect."""
    if (noted := _noted.get()) is not None:
        noted[allowance.name] = allowance
