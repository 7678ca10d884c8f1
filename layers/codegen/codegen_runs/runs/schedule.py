"""When the poller reads a run next. Intervals are in seconds, and nothing here reads a clock."""

from __future__ import annotations

from codegen_runs.clock import milliseconds
from codegen_runs.storage.runs import Watch

# How long a viewer counts as watching, and the longest time between two reads of a run that somebody watches.
VIEW_SECONDS = 60
VIEWED_INTERVAL = 2.0

# Between two reads of a run, by how many reads in a row found nothing new.
INTERVALS = (2.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0)

# After the first, second, ... failure in a row.
RETRY_INTERVALS = (2.0, 5.0, 15.0, 30.0, 60.0)

# Between two searches for a run whose launch got no answer.
ADOPTION_INTERVAL = 5.0


def read_interval(watch: Watch, *, now: float, at_least: float) -> float:
    """Return the time until the next read: longer the longer nothing happens, short while somebody watches.

    Args:
        watch: The run.
        now: The time in epoch seconds.
        at_least: The interval at which all followed runs together keep to the limit of the Codegen API.
    """
    interval = _at(INTERVALS, watch.quiet_polls)
    if (watch.viewed_until or 0) > milliseconds(now):
        interval = min(interval, VIEWED_INTERVAL)
    return max(interval, at_least)


def retry_interval(failures: int) -> float:
    """Return the time until the next try after a failure that followed `failures` others."""
    return _at(RETRY_INTERVALS, failures)


def is_overdue(watch: Watch, *, now: float) -> bool:
    """Return whether the deadline of a run has passed."""
    return milliseconds(now) >= watch.deadline_at


def _at(intervals: tuple[float, ...], number: int) -> float:
    return intervals[min(number, len(intervals) - 1)]
