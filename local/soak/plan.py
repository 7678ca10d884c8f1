"""What each caller does and when. It follows from the seed alone, so that a soak can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


class Action(StrEnum):
    """What a caller does at one step."""

    START_RUN = "start_run"
    START_MULTI_RUN = "start_multi_run"
    LIST_RUNS = "list_runs"
    LIST_MULTI_RUNS = "list_multi_runs"
    STAR = "star"
    CREATE_AGENT = "create_agent"


class View(StrEnum):
    """How a run is watched."""

    STREAM = "stream"
    LONG_POLL = "long_poll"
    WEBSOCKET = "websocket"


@dataclass(frozen=True)
class Load:
    """How much happens: `callers` at the same time for `seconds`, each with about `pause` seconds between two steps."""

    seed: int
    callers: int
    seconds: float
    pause: float = 20.0


@dataclass(frozen=True)
class Step:
    """One step of a caller.

    Attributes:
        at: Seconds after the start.
        caller: The number of the caller.
        action: What it does.
        key: The Idempotency-Key of a request that starts something; it also names the run in the upstream's history.
        repeats: Whether the request is sent twice, with the same key.
        ending: The last status of the runs that are started.
        lasts: Seconds that a run takes.
        steps: The number of actions in the log of a run.
        view: How the run is watched.
        cuts: After how many events the viewer is disconnected, one number for each connection but the last.
    """

    at: float
    caller: int
    action: Action
    key: str
    repeats: bool
    ending: str
    lasts: float
    steps: int
    view: View
    cuts: tuple[int, ...]


_ACTIONS = {
    Action.START_RUN: 40,
    Action.START_MULTI_RUN: 8,
    Action.LIST_RUNS: 25,
    Action.LIST_MULTI_RUNS: 12,
    Action.STAR: 15,
    Action.CREATE_AGENT: 10,
}
_ENDINGS = {"COMPLETE": 80, "FAILED": 8, "MAX_ITERATIONS_REACHED": 6, "TIMEOUT": 6}


def make(load: Load) -> tuple[Step, ...]:
    """Return all steps, in the order of their time."""
    steps = [step for caller in range(load.callers) for step in _of(caller, load)]
    return tuple(sorted(steps, key=lambda step: (step.at, step.caller)))


def _of(caller: int, load: Load) -> list[Step]:
    random = Random(f"{load.seed}:{caller}")
    steps: list[Step] = []
    # Each caller has a first step, and together they take as many steps in each second from the beginning.
    at = random.uniform(0, min(load.pause, load.seconds))
    while at < load.seconds:
        steps.append(
            Step(
                at=at,
                caller=caller,
                action=_choice(random, _ACTIONS),
                key=f"soak-{load.seed}-{caller}-{len(steps)}",
                repeats=random.random() < 0.2,
                ending=_choice(random, _ENDINGS),
                lasts=random.uniform(1, 8),
                steps=random.randint(1, 12),
                view=random.choice(tuple(View)),
                cuts=tuple(random.randint(0, 6) for _ in range(random.randint(0, 4))),
            )
        )
        at += random.uniform(0.5, 1.5) * load.pause
    return steps


def _choice(random: Random, weights: dict[_T, int]) -> _T:
    return random.choices(list(weights), list(weights.values()))[0]
