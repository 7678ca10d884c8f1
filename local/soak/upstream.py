"""What goes wrong at the fake Codegen: a share of its calls, chosen by the seed."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from local.fake_codegen import Trouble
from local.fake_codegen.trouble import Troubles
from local.soak.histories import Fault

# Longer than the stack waits for an answer.
_HANG_SECONDS = 30.0

KINDS = (
    Trouble("error", status=500),
    Trouble("error", status=429, retry_after=1),
    Trouble("html", status=502),
    Trouble("hang", seconds=_HANG_SECONDS),
    Trouble("cut"),
    Trouble("slow", seconds=1.5),
    Trouble("lost_answer"),
    Trouble("truncated"),
    Trouble("empty"),
)
"""Each trouble, with the same share."""


@dataclass
class SeededTroubles(Troubles):
    """Trouble for a share of the calls. Whether the n-th call of an operation meets it follows from the seed alone.

    Attributes:
        seed: The seed.
        share: The share of the calls, from 0 to 1.
        on: Whether there is trouble now.
        met: Those that there were.
    """

    seed: int = 0
    share: float = 0.0
    on: bool = False
    met: list[Fault] = field(default_factory=list)
    _calls: Counter[str] = field(default_factory=Counter)

    def next(self, operation: str) -> Trouble | None:
        """Return the trouble for the next call of `operation`."""
        if not self.on:
            return None
        self._calls[operation] += 1
        random = Random(f"{self.seed}:{operation}:{self._calls[operation]}")
        if random.random() >= self.share:
            return None
        trouble = random.choice(KINDS)
        self.met.append(Fault(f"{trouble.kind} {trouble.status or ''}".strip(), operation, time.time()))
        return trouble
