"""The health of a run, and the sentence about it."""

from typing import Any

import pytest

from codegen_runs.runs.health import LATE, QUIET, STALLED, assess
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

NOW = 1_750_000_000.0


def ago(seconds: float) -> int:
    return round((NOW - seconds) * 1000)


def watch(**changes: Any) -> Watch:
    """Return a run that works and was just polled; times are given in seconds ago."""
    times = {"created_at": 3600, "updated_at": 0, "last_log_at": 1} | {
        name: value for name, value in changes.items() if name.endswith(("_at", "_since"))
    }
    others: dict[str, Any] = {"org_id": 1, "key": "7", "agent_run_id": 7, "status": Status.RUNNING} | {
        name: value for name, value in changes.items() if name not in times
    }
    moments = {name: value if value is None else ago(value) for name, value in times.items()}
    return Watch(**{"deadline_at": ago(-3600), "due_at": ago(0)} | others | moments)


@pytest.mark.parametrize(
    ("changes", "health", "detail"),
    [
        ({}, "ok", "The agent is working."),
        ({"last_log_at": QUIET - 1}, "ok", "The agent is working."),
        ({"last_log_at": QUIET}, "quiet", "The agent has logged nothing for 2 minutes."),
        ({"last_log_at": STALLED - 1}, "quiet", "The agent has logged nothing for 14 minutes."),
        ({"last_log_at": STALLED}, "stalled", "The agent has logged nothing for 15 minutes. It may be stuck."),
        ({"last_log_at": 3 * 3600}, "stalled", "The agent has logged nothing for 60 minutes. It may be stuck."),
        (
            {"last_log_at": 3 * 3600, "created_at": 9 * 3600},
            "stalled",
            "The agent has logged nothing for 3 hours. It may be stuck.",
        ),
        ({"last_log_at": None, "launching_since": 5}, "ok", "The agent is working."),
        ({"last_log_at": 3000, "turn_since": 5}, "ok", "The agent is working."),
        ({"failures": 1}, "ok", "The agent is working."),
        ({"failures": 3}, "unreachable", "Could not read the run from the Codegen API 3 times in a row."),
        ({"due_at": LATE - 1}, "ok", "The agent is working."),
        (
            {"due_at": LATE + 1, "updated_at": 0},
            "unreachable",
            "The poller is late. This is the state of the run at 2025-06-15T15:06:40.000Z.",
        ),
        ({"status": Status.QUEUED, "agent_run_id": None}, "ok", "The run is waiting for its launch."),
        ({"status": Status.QUEUED}, "ok", "The run is waiting at Codegen for its start."),
        ({"status": Status.LAUNCHING, "agent_run_id": None}, "ok", "The run is being launched."),
        ({"status": Status.PAUSED, "agent_run_id": None}, "ok", "The run is paused until it is resumed."),
        ({"status": Status.PAUSED}, "ok", "The agent is paused at Codegen until it receives a follow-up."),
        ({"status": Status.CANCELLING, "last_log_at": STALLED}, "stalled", None),
        ({"status": Status.UNKNOWN}, "ok", "The agent is working."),
        ({"status": Status.COMPLETED, "failures": 9, "last_log_at": 9999}, "ok", "The run has ended."),
    ],
)
def test_a_run_has_a_health_and_a_sentence_about_it(changes: Any, health: str, detail: str | None) -> None:
    assessment = assess(watch(**changes), now=NOW)

    assert assessment.health == health
    assert detail is None or assessment.detail == detail
