"""Permits: no window holds more than the limit of the Codegen API, however many functions take them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.limits.buckets import LIMITS, Buckets
from codegen_runs.storage.buckets import MARGIN, Bucket, Limit
from codegen_runs.storage.runs import RunsTable
from tests.support.memory import MemoryRuns


class Clock:
    def __init__(self) -> None:
        self.time = 1_750_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def most_in_a_window(times: list[float], seconds: float) -> int:
    return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 12), st.integers(0, 3)), max_size=60))
def test_no_window_holds_more_calls_than_the_limit(asks: list[tuple[float, int, int]]) -> None:
    clock, given_at = Clock(), list[float]()
    buckets = Buckets(MemoryRuns(), "budget", clock)
    for pause, wanted, reserve in asks:
        clock.sleep(pause)
        given_at += [clock.now()] * buckets.take("create", wanted, reserve=reserve)

    assert most_in_a_window(given_at, LIMITS["create"].seconds) <= LIMITS["create"].calls


@given(st.lists(st.integers(0, 100_000), max_size=10), st.integers(0, 30), st.integers(0, 5))
def test_the_next_time_for_a_permit_is_the_first_with_room(offsets: list[int], ahead: int, reserve: int) -> None:
    limit, now = Limit(calls=6, seconds=60), 1_000_000
    bucket = Bucket(given=tuple(sorted(now - offset for offset in offsets)))
    told = bucket.opens_at(limit, now, ahead=ahead, reserve=reserve)
    for _ in range(ahead):
        at = bucket.opens_at(limit, now, reserve=reserve)
        bucket = bucket.model_copy(update={"given": (*bucket.given, at)})

    assert bucket.opens_at(limit, now, reserve=reserve) == told
    if reserve < limit.calls:
        assert bucket.room(limit, told, reserve) >= 1
        assert told == now or ahead or bucket.room(limit, told - 1, reserve) == 0


def test_reserved_permits_are_left_for_others() -> None:
    buckets = Buckets(MemoryRuns(), "budget", Clock())

    assert buckets.take("create", 20, reserve=2) == 8
    assert buckets.take("create", 20) == 2


def test_a_refusal_by_codegen_blocks_all_functions_until_it_is_over() -> None:
    store, clock = MemoryRuns(), Clock()
    Buckets(store, "budget", clock).block("create", 17, "Rate limit exceeded.")
    other = Buckets(store, "budget", clock)

    assert other.take("create") == 0
    assert other.opens_at("create") == round((clock.now() + 17) * 1000)
    clock.sleep(17)
    assert other.take("create") == 1


def test_a_shorter_refusal_does_not_end_a_longer_one() -> None:
    buckets = Buckets(MemoryRuns(), "budget", Clock())

    assert buckets.block("create", 60, "Quota.") == buckets.block("create", 5, "Rate limit exceeded.")


def test_budgets_and_limits_are_independent() -> None:
    store, clock = MemoryRuns(), Clock()
    Buckets(store, "one", clock).take("create", 10)

    assert Buckets(store, "two", clock).take("create") == 1
    assert Buckets(store, "one", clock).take("logs") == 1


def test_permits_return_after_the_window_and_a_margin() -> None:
    clock = Clock()
    buckets = Buckets(MemoryRuns(), "budget", clock)
    buckets.take("create", 10)
    clock.sleep(LIMITS["create"].seconds)
    assert buckets.take("create") == 0
    clock.sleep(MARGIN)
    assert buckets.take("create", 10) == 10


@pytest.mark.parametrize("askers", [6])
def test_functions_that_take_permits_at_the_same_time_share_the_limit(runs: RunsTable, askers: int) -> None:
    clock = Clock()
    with ThreadPoolExecutor(askers) as threads:
        granted = list(threads.map(lambda _: Buckets(runs, "budget", clock).take("create", 3), range(askers)))

    assert sum(granted) == LIMITS["create"].calls
