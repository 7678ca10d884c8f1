"""When the poller reads a run next. Intervals are in seconds, and nothing here reads a clock."""

from __future__ import annotations

from math import floor
from zlib import crc32

from codegen_runs.clock import milliseconds
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

# How long a viewer counts as watching, and the longest time between two reads of a run that somebody watches.
VIEW_SECONDS = 60
VIEWED_INTERVAL = 2.0

# At least so long is between two polls for which the doorbell of a run was rung.
RING_INTERVAL = 5.0

# Between two reads of a run, by how many reads in a row found nothing new.
INTERVALS = (2.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0)

# The candidates of a multi-run are read at the same moments, which are so many seconds apart. What follows the last
# candidate begins at the first read after its end; reads at different moments would find the ends one after the other.
COMMON_INTERVAL = 2.25

# The intervals of candidates. They are longer than `INTERVALS` while nothing happens, because candidates are read
# before they are due once others of their multi-run have ended: see `early_read_interval`.
CANDIDATE_INTERVALS = (2.25, 2.25, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0)

# A candidate is first read so many seconds after its launch, at the nearest common moment. Hardly any has ended before.
FIRST_CANDIDATE_READ = 3.0

# The candidates that are left are read at most as often as this.
EARLIEST_READ = 0.5

# The intervals of a run that its multi-run waits for alone, each up to an age in seconds. Most of the reads that this
# takes are those that such a run does not need: two looks, and one for its pull requests.
AWAITED_INTERVALS = ((0.75, 1.0), (3.0, 0.5), (5.5, 1.0))

# After the first, second, ... failure in a row.
RETRY_INTERVALS = (2.0, 5.0, 15.0, 30.0, 60.0)

# After this many reads in a row that found nothing new, nothing happens at the end of the log.
QUIET_POLLS = 3

# After the first, second, ... launch of a run that failed, or that got no answer and left no trace.
LAUNCH_INTERVALS = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)

# After the end of a turn: when its whole log is compared once more, because outputs may arrive late.
LOOKS = (15.0, 120.0)

# How long such a look is tried while the upstream cannot be read.
LOOK_PATIENCE = 3600.0

# At most, for a run that a viewer or a multi-run waits for.
URGENT_RETRY_INTERVAL = 10.0

# How long a run that nobody waits for is left alone in an outage of the upstream, and any run at least.
HOLD = 30.0
SHORTEST_HOLD = 1.0

# Between two searches for a run whose launch got no answer.
ADOPTION_INTERVAL = 5.0


def read_interval(watch: Watch, *, now: float, at_least: float) -> float:
    """Return the time until the next read: longer the longer nothing happens, short while somebody watches.

    Args:
        watch: The run.
        now: The time in epoch seconds.
        at_least: The interval at which all followed runs together keep to the limit of the Codegen API.
    """
    is_candidate = watch.multi_run_id is not None and not watch.is_internal
    interval = _at(CANDIDATE_INTERVALS if is_candidate else INTERVALS, watch.quiet_polls)
    age = now - (watch.launching_since or 0) / 1000
    if is_candidate:
        interval = max(interval, FIRST_CANDIDATE_READ - age)
    if (watch.viewed_until or 0) > milliseconds(now):
        interval = min(interval, VIEWED_INTERVAL)
    if watch.is_internal:
        awaited = next((seconds for until, seconds in AWAITED_INTERVALS if age < until), interval)
        return max(awaited, at_least)
    if watch.multi_run_id is not None:
        return _to_common_moment(watch.multi_run_id, max(interval, at_least), now=now, at_least=at_least)
    return max(interval, at_least)


def early_read_interval(interval: float, *, left: float, at_least: float = 0.0) -> float:
    """Return after how many seconds a candidate is read, which is earlier than usual once others have ended.

    The answer waits for the end of the last one. Those that have ended are not read any more, so those that are left
    are read more often: all together as often as all were before, and so within the limit of the Codegen API.

    Args:
        interval: The usual interval.
        left: The share of the candidates, of those that the multi-run waits for, that have not ended.
        at_least: The interval at which all followed runs together keep to the limit of the Codegen API.
    """
    return min(interval, max(interval * left, EARLIEST_READ, at_least))


def retry_interval(failures: int, *, urgent: bool = False) -> float:
    """Return the time until the next try after a failure that followed `failures` others.

    With `urgent`, somebody waits for the outcome.
    """
    interval = _at(RETRY_INTERVALS, failures)
    return min(interval, URGENT_RETRY_INTERVAL) if urgent else interval


def launch_interval(failures: int) -> float:
    """Return the time until the next launch of a run after a launch that followed `failures` failed ones."""
    return _at(LAUNCH_INTERVALS, failures)


def is_urgent(watch: Watch, *, now: float) -> bool:
    """Return whether somebody waits for a run: a viewer, or its multi-run."""
    return watch.multi_run_id is not None or (watch.viewed_until or 0) > milliseconds(now)


def next_look_at(watch: Watch) -> int | None:
    """Return when a run that has ended is read again, in epoch milliseconds; None for never.

    Its log may still change for a while. An agent that is stopped may still finish, so a cancelled run is read once
    more when the time to confirm is over.
    """
    if watch.looks_left and watch.finished_at is not None:
        return watch.finished_at + milliseconds(LOOKS[-watch.looks_left])
    return watch.cancel_deadline_at if watch.status is Status.CANCELLED else None


def log_final_at(watch: Watch) -> int | None:
    """Return when the last such look at a log is due, in epoch milliseconds; None if none is left."""
    if watch.looks_left and watch.finished_at is not None:
        return watch.finished_at + milliseconds(LOOKS[-1])
    return None


def may_look(watch: Watch, *, now: float) -> bool:
    """Return whether a look that failed is tried again."""
    return milliseconds(now) < (watch.finished_at or 0) + milliseconds(LOOK_PATIENCE)


def looks_back(watch: Watch) -> bool:
    """Return whether the next read of a run looks at open entries far from the end of its log, instead of at the end.

    While nothing happens, every second read does. This needs a further read if there are new entries after all. The
    number of these reads, and of those that look back while entries arrive, is at most one for 100 entries.
    """
    if not watch.open:
        return False
    hundreds = watch.log_count // 100
    if watch.quiet_polls == 0:
        return watch.extra_reads < hundreds
    is_quiet = watch.quiet_polls >= QUIET_POLLS and (watch.quiet_polls - QUIET_POLLS) % 2 == 0
    return is_quiet and watch.extra_reads <= hundreds


def is_overdue(watch: Watch, *, now: float) -> bool:
    """Return whether the deadline of a run has passed."""
    return milliseconds(now) >= watch.deadline_at


def _to_common_moment(multi_run_id: str, interval: float, *, now: float, at_least: float) -> float:
    """Return the interval that ends at the nearest moment at which the candidates of a multi-run are read."""
    # The moments of different multi-runs differ.
    shift = crc32(multi_run_id.encode()) % 1000 / 1000 * COMMON_INTERVAL
    moments = floor((now + interval - shift) / COMMON_INTERVAL + 0.5)
    common = moments * COMMON_INTERVAL + shift - now
    return common if common >= at_least else common + COMMON_INTERVAL


def _at(intervals: tuple[float, ...], number: int) -> float:
    return intervals[min(number, len(intervals) - 1)]
