"""When the poller reads a run next."""

from typing import Any

import pytest

from codegen_runs.runs.schedule import INTERVALS, VIEWED_INTERVAL, is_overdue, read_interval, retry_interval
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

NOW = 1_750_000_000.0
MS = 1_750_000_000_000


def watch(**changes: Any) -> Watch:
    times = {"created_at": MS, "updated_at": MS, "deadline_at": MS}
    return Watch.model_validate({"org_id": 123, "key": "7", "status": Status.RUNNING} | times | changes)


def test_reads_become_rarer_while_nothing_happens() -> None:
    intervals = [read_interval(watch(quiet_polls=quiet), now=NOW, at_least=0) for quiet in range(99)]

    assert intervals == sorted(intervals)
    assert (intervals[0], intervals[-1]) == (INTERVALS[0], INTERVALS[-1])


def test_a_quiet_run_is_read_often_while_it_is_watched() -> None:
    for until, interval in ((None, INTERVALS[-1]), (MS, INTERVALS[-1]), (MS + 1, VIEWED_INTERVAL)):
        assert read_interval(watch(quiet_polls=99, viewed_until=until), now=NOW, at_least=0) == interval


def test_no_run_is_read_more_often_than_the_limit_allows_for_all_of_them() -> None:
    assert read_interval(watch(viewed_until=MS + 1), now=NOW, at_least=50) == 50


def test_retries_become_rarer_with_each_failure() -> None:
    intervals = [retry_interval(failures) for failures in range(9)]

    assert intervals == sorted(intervals)
    assert intervals[0] < intervals[4] == intervals[-1]


@pytest.mark.parametrize(("deadline_at", "overdue"), [(MS - 1, True), (MS, True), (MS + 1, False)])
def test_a_run_is_overdue_from_its_deadline_on(deadline_at: int, overdue: bool) -> None:
    assert is_overdue(watch(deadline_at=deadline_at), now=NOW) is overdue
