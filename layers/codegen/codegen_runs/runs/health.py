"""The health of a run, in addition to its status: whether it still logs anything, and whether we can read it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from codegen_runs.events import timestamp
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

# Seconds without a new log entry. An agent that thinks or runs a test suite logs nothing for a minute or two.
QUIET = 120
STALLED = 900

# Failed polls in a row; a single failure may be chance.
UNREACHABLE_AFTER = 2

# Seconds by which a poll may be late before the run counts as unreachable. The schedule starts the poller every minute.
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
    if watch.outage_since is not None:
        since = timestamp(watch.outage_since / 1000)
        return Assessment(RunHealth.UNREACHABLE, f"The Codegen API has not responded since {since}.")
    if watch.failures >= UNREACHABLE_AFTER:
        detail = f"Could not read the run from the Codegen API {watch.failures} times in a row."
        return Assessment(RunHealth.UNREACHABLE, detail)
    if watch.due_at is not None and now - watch.due_at / 1000 > LATE:
        seen = timestamp(watch.updated_at / 1000)
        return Assessment(RunHealth.UNREACHABLE, f"The poller is late. This is the state of the run at {seen}.")
    if waiting := _waiting(watch):
        return Assessment(RunHealth.OK, waiting)
    silent = now - _last_sign(watch) / 1000
    if silent >= STALLED:
        return Assessment(RunHealth.STALLED, f"The agent has logged nothing for {_minutes(silent)}. It may be stuck.")
    if silent >= QUIET:
        return Assessment(RunHealth.QUIET, f"The agent has logged nothing for {_minutes(silent)}.")
    return Assessment(RunHealth.OK, "The agent is working.")


def _waiting(watch: Watch) -> str | None:
    """Return what a run is waiting for while it cannot log anything; None when it can."""
    match watch.shown_status, watch.agent_run_id is not None:
        case Status.PAUSED, False:
            return "The run is paused until it is resumed."
        case Status.PAUSED, True:
            return "The agent is paused at Codegen until it receives a follow-up."
        case Status.QUEUED, False:
            return "The run is waiting for its launch."
        case Status.QUEUED, True:
            return "The run is waiting at Codegen for its start."
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
