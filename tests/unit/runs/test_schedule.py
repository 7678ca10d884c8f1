"""When the poller reads a run next."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.runs.schedule import (
    AWAITED_INTERVALS,
    CANDIDATE_INTERVALS,
    COMMON_INTERVAL,
    FIRST_CANDIDATE_READ,
    INTERVALS,
    LOOK_PATIENCE,
    QUIET_POLLS,
    VIEWED_INTERVAL,
    is_overdue,
    log_final_at,
    looks_back,
    may_look,
    next_look_at,
    read_interval,
    retry_interval,
)
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


@pytest.mark.parametrize(
    ("status", "left", "expected"),
    [
        (Status.COMPLETED, 2, MS + 15_000),
        (Status.COMPLETED, 1, MS + 120_000),
        (Status.COMPLETED, 0, None),
        (Status.CANCELLED, 1, MS + 120_000),
        (Status.CANCELLED, 0, MS + 5),
    ],
)
def test_a_run_that_has_ended_is_read_at_15_s_and_2_minutes_and_a_cancelled_one_when_its_time_is_over(
    status: Status, left: int, expected: int | None
) -> None:
    ended = watch(status=status, finished_at=MS, looks_left=left, cancel_deadline_at=MS + 5)

    assert next_look_at(ended) == expected
    assert log_final_at(ended) == (MS + 120_000 if left else None)


def test_a_look_that_fails_is_given_up_after_a_while() -> None:
    assert may_look(watch(finished_at=MS - 1000 * LOOK_PATIENCE + 1), now=NOW)
    assert not may_look(watch(finished_at=MS - 1000 * LOOK_PATIENCE), now=NOW)


@pytest.mark.parametrize(
    ("log_count", "quiet", "spent", "back"),
    [
        (99, 0, 0, False),
        (100, 0, 0, True),
        (100, 0, 1, False),
        (100, 1, 0, False),
        (60, QUIET_POLLS - 1, 0, False),
        (60, QUIET_POLLS, 0, True),
        (60, QUIET_POLLS + 1, 0, False),
        (60, QUIET_POLLS + 2, 0, True),
        (60, QUIET_POLLS, 1, False),
        (100, QUIET_POLLS, 1, True),
    ],
)
def test_old_open_entries_are_read_again_once_for_100_entries_and_while_nothing_happens(
    log_count: int, quiet: int, spent: int, back: bool
) -> None:
    seen = watch(log_count=log_count, quiet_polls=quiet, extra_reads=spent)

    assert looks_back(seen.model_copy(update={"open": ("3:a:b:open",)})) is back
    assert not looks_back(seen)


@given(
    now=st.floats(NOW, NOW + 100),
    later=st.floats(0, 1.9),
    quiet=st.integers(0, 12),
    at_least=st.floats(0, 30),
)
def test_the_candidates_of_a_multi_run_are_read_at_the_same_moments(
    now: float, later: float, quiet: int, at_least: float
) -> None:
    first, second = (
        watch(key=f"mr-1-{index}", multi_run_id="mr-1", quiet_polls=quiet, launching_since=MS) for index in range(2)
    )
    of_first = read_interval(first, now=now, at_least=at_least)
    of_second = read_interval(second, now=now + later, at_least=at_least)

    apart = (now + later + of_second) - (now + of_first)
    assert abs(apart - round(apart / COMMON_INTERVAL) * COMMON_INTERVAL) < 0.01
    usual = max(CANDIDATE_INTERVALS[min(quiet, len(CANDIDATE_INTERVALS) - 1)], at_least)
    assert at_least - 0.001 <= of_first <= usual + COMMON_INTERVAL
    assert of_first >= usual - COMMON_INTERVAL / 2 - 0.001


def test_multi_runs_have_different_moments() -> None:
    candidates = [watch(key=f"mr-{number}-0", multi_run_id=f"mr-{number}") for number in range(20)]

    assert len({round(read_interval(each, now=NOW, at_least=0), 2) for each in candidates}) > 10


def test_a_run_that_its_multi_run_waits_for_alone_is_read_often_at_first() -> None:
    synthesis = watch(key="mr-1-synthesis", multi_run_id="mr-1", launching_since=MS, quiet_polls=9)

    ages = [0.0, *(until for until, _ in AWAITED_INTERVALS)]
    intervals = [read_interval(synthesis, now=NOW + age, at_least=0) for age in ages]
    assert intervals == [*(interval for _, interval in AWAITED_INTERVALS), INTERVALS[-1]]
    assert read_interval(synthesis, now=NOW, at_least=3) == 3


@pytest.mark.parametrize("after", [0.0, 0.4, 1.0])
def test_the_first_read_of_a_candidate_comes_later_unless_somebody_watches_it(after: float) -> None:
    """After the launch, and at the common moment that is nearest."""
    new = watch(key="mr-1-0", multi_run_id="mr-1", launching_since=MS)
    first = after + read_interval(new, now=NOW + after, at_least=0)
    viewed = new.model_copy(update={"viewed_until": MS + 60_000})

    assert abs(first - FIRST_CANDIDATE_READ) <= COMMON_INTERVAL / 2 + 0.001
    assert read_interval(viewed, now=NOW, at_least=0) <= VIEWED_INTERVAL + COMMON_INTERVAL / 2
