"""How a run is doing, beside where it stands: whether it still gives signs of life, and whether we could see them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from codegen_runs.events import timestamp
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

# Seconds without a new log entry. An agent that thinks or runs a test suite is silent for a minute or two.
QUIET = 120
STALLED = 900

# Failed polls in a row: one may be chance.
UNREACHABLE_AFTER = 2

# Seconds by which a poll may be late before it is said that nobody looks. The schedule starts the poller every minute.
LATE = 180


class RunHealth(StrEnum):
    """How a run is doing."""

    OK = "ok"
    QUIET = "quiet"
    STALLED = "stalled"
    UNREACHABLE = "unreachable"


class Assessment(NamedTuple):
    """A run's health, and a sentence about it."""

    health: RunHealth
    detail: str


def assess(watch: Watch, *, now: float) -> Assessment:
    """Assess a run at `now`, in epoch seconds."""
    if watch.status.terminal:
        return Assessment(RunHealth.OK, "The run has ended.")
    if watch.failures >= UNREACHABLE_AFTER:
        times = f"{watch.failures} times in a row"
        return Assessment(RunHealth.UNREACHABLE, f"The Codegen API could not be asked about the run, {times}.")
    if watch.due_at is not None and now - watch.due_at / 1000 > LATE:
        seen = timestamp(watch.updated_at / 1000)
        return Assessment(
            RunHealth.UNREACHABLE, f"Nobody has looked at the run for a while; this is how it was at {seen}."
        )
    if waiting := _waiting(watch):
        return Assessment(RunHealth.OK, waiting)
    silent = now - _last_sign(watch) / 1000
    if silent >= STALLED:
        return Assessment(RunHealth.STALLED, f"The agent has logged nothing for {_minutes(silent)}. It may be stuck.")
    if silent >= QUIET:
        return Assessment(RunHealth.QUIET, f"The agent has logged nothing for {_minutes(silent)}.")
    return Assessment(RunHealth.OK, "The agent is working.")


def _waiting(watch: Watch) -> str | None:
    """Say what a run waits for that cannot give signs of life; None for one that can."""
    match watch.status, watch.agent_run_id is not None:
        case Status.PAUSED, False:
            return "The run is paused and waits to be resumed."
        case Status.PAUSED, True:
            return "The agent is paused at Codegen and waits for a follow-up."
        case Status.QUEUED, False:
            return "The run waits to be launched."
        case Status.QUEUED, True:
            return "The run waits at Codegen to be begun."
        case Status.LAUNCHING, _:
            return "The run is being launched."
    return None


def _last_sign(watch: Watch) -> int:
    signs = (watch.last_log_at, watch.launching_since, watch.turn_since, watch.created_at)
    return max(sign for sign in signs if sign is not None)


def _minutes(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes >= 120:
        return f"{minutes // 60} hours"
    return f"{minutes} minutes"
