"""Permits: no window holds more than the limit of the Codegen API, however many functions take them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import RateLimitError
from codegen_runs.limits.allowances import Allowance
from codegen_runs.limits.buckets import LIMITS, RESERVED_CREATES, Buckets, limit_of
from codegen_runs.storage.buckets import Bucket, Limit
from codegen_runs.storage.runs import RunsTable
from tests.support.memory import MemoryRuns
from tests.support.overtaken import Overtaken


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
    buckets = Buckets(MemoryRuns(), "quota", clock)
    for pause, wanted, reserve in asks:
        clock.sleep(pause)
        given_at += [clock.now()] * buckets.take("create", wanted, reserve=reserve)

    assert most_in_a_window(given_at, LIMITS["create"].seconds) <= LIMITS["create"].calls


@given(st.lists(st.integers(0, 100_000), max_size=10), st.integers(0, 30), st.integers(0, 5))
def test_the_next_time_for_a_permit_is_the_first_with_room(offsets: list[int], ahead: int, reserve: int) -> None:
    limit, now = Limit(calls=6, seconds=60), 1_000_000
    bucket = Bucket(given=tuple(sorted(now - offset for offset in offsets)))
    opens_at = bucket.opens_at(limit, now, ahead=ahead, reserve=reserve)
    for _ in range(ahead):
        at = bucket.opens_at(limit, now, reserve=reserve)
        bucket = bucket.model_copy(update={"given": (*bucket.given, at)})

    assert bucket.opens_at(limit, now, reserve=reserve) == opens_at
    assert bucket.room(limit, opens_at, reserve) >= 1
    assert opens_at == now or ahead or bucket.room(limit, opens_at - 1, reserve) == 0


def test_the_limits_are_those_that_the_codegen_api_documents() -> None:
    assert {name: (limit.calls, limit.seconds) for name, limit in LIMITS.items()} == {
        "create": (10, 60),
        "logs": (60, 60),
        "pull_requests": (30, 60),
        "setup": (5, 60),
        "standard": (60, 30),
        "webhook_test": (10, 60),
    }
    assert RESERVED_CREATES == 2


def test_a_deployment_can_have_a_multiple_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_LIMIT_FACTOR", "3")

    assert limit_of("create") == Limit(calls=30, seconds=60)
    assert Buckets(MemoryRuns(), "quota", Clock()).take("create", 40) == 30


def test_a_bucket_with_more_permits_than_its_limit_has_no_room() -> None:
    assert Bucket(given=(1_000,) * 9).room(Limit(calls=6, seconds=60), 1_000) == 0


@pytest.mark.parametrize("reserve", [5, 6, 7])
def test_one_permit_at_a_time_is_given_even_if_all_of_them_are_reserved(reserve: int) -> None:
    limit, now = Limit(calls=6, seconds=60), 1_000_000

    assert Bucket().opens_at(limit, now, reserve=reserve) == now
    assert Bucket(given=(now,)).opens_at(limit, now, reserve=reserve) == now + 62_000
    assert Bucket(given=(now,)).opens_at(limit, now, reserve=reserve, ahead=1) == now + 124_000


def test_by_default_a_bucket_is_empty_and_nothing_is_reserved() -> None:
    limit, now, buckets = Limit(calls=6, seconds=60), 1_000_000, Buckets(MemoryRuns(), "quota", Clock())
    buckets.take("create", 9)

    assert Bucket(given=(now,) * 5).opens_at(limit, now) == now
    assert Bucket(given=(now,) * 5).room(limit, now) == 1
    assert Bucket(given=(now,) * 6).opens_at(limit, now) == now + 62_000
    assert buckets.opens_at("create") == 1_750_000_000_000
    assert buckets.take("create") == 1
    assert buckets.opens_at("create") == 1_750_000_062_000


def test_the_oldest_permit_of_the_window_is_the_first_to_return() -> None:
    limit, now = Limit(calls=6, seconds=60), 1_000_000

    assert Bucket(given=(now - 90_000, now - 50_000, now - 10_000)).more_at(limit, now) == now + 12_000
    assert Bucket(given=(now - 50_000,), blocked_until=now + 20_000).more_at(limit, now) == now + 20_000
    assert Bucket(given=(now - 90_000,)).more_at(limit, now) == now


def test_what_is_left_of_a_limit_is_known_once_its_bucket_was_read() -> None:
    clock = Clock()
    buckets = Buckets(MemoryRuns(), "quota", clock)
    assert buckets.allowance("create") is None

    buckets.take("create", 4)
    clock.sleep(10.5)

    assert buckets.allowance("create") == Allowance(name="create", calls=10, seconds=60, left=6, reset=52)
    assert buckets.allowance("logs") is None
    buckets.block("create", 300, "Quota.")
    assert buckets.allowance("create") == Allowance(name="create", calls=10, seconds=60, left=0, reset=300)


def test_reserved_permits_are_left_for_others() -> None:
    buckets = Buckets(MemoryRuns(), "quota", Clock())

    assert buckets.take("create", 20, reserve=2) == 8
    assert buckets.take("create", 20) == 2


def test_a_refusal_by_codegen_blocks_all_functions_until_it_is_over() -> None:
    store, clock = MemoryRuns(), Clock()
    Buckets(store, "quota", clock).block("create", 17, "Rate limit exceeded.")
    other = Buckets(store, "quota", clock)

    assert other.take("create") == 0
    assert other.opens_at("create") == round((clock.now() + 17) * 1000)
    clock.sleep(17)
    assert other.take("create") == 1


def test_a_shorter_refusal_does_not_end_a_longer_one() -> None:
    store = MemoryRuns()
    buckets = Buckets(store, "quota", Clock())

    assert buckets.block("create", 60, "Quota.") == buckets.block("create", 5, "Rate limit exceeded.")
    assert buckets.block("create", 60, "Rate limit exceeded.") == 1_750_000_060_000
    assert store.get_bucket("quota", "create").blocked_reason == "Quota."
    assert store.get_bucket("quota", "create").rev == 1


@pytest.mark.parametrize(("retry_after", "seconds"), [(17.0, 17), (None, 10), (0.0, 10)])
def test_a_429_blocks_for_as_long_as_it_says_or_for_ten_seconds(retry_after: float | None, seconds: int) -> None:
    store, clock = MemoryRuns(), Clock()
    error = RateLimitError("Rate limit exceeded.", status_code=429, retry_after=retry_after)

    assert Buckets(store, "quota", clock).block_after("create", error) == (1_750_000_000 + seconds) * 1000
    assert store.get_bucket("quota", "create").blocked_reason == str(error)


def test_another_function_that_writes_first_loses_nothing() -> None:
    store, clock = MemoryRuns(), Clock()
    other = Buckets(store, "quota", clock)

    overtaken = Overtaken(store, "put_bucket", lambda: other.take("create", 7))
    assert Buckets(overtaken, "quota", clock).take("create", 7) == 3

    overtaken = Overtaken(store, "put_bucket", lambda: other.block("create", 5, "Rate limit exceeded."))
    assert Buckets(overtaken, "quota", clock).block("create", 60, "Quota.") == 1_750_000_060_000
    assert store.get_bucket("quota", "create").blocked_reason == "Quota."
    assert len(store.get_bucket("quota", "create").given) == 10


def test_quotas_and_limits_are_independent() -> None:
    store, clock = MemoryRuns(), Clock()
    Buckets(store, "one", clock).take("create", 10)

    assert Buckets(store, "two", clock).take("create") == 1
    assert Buckets(store, "one", clock).take("logs") == 1


def test_permits_return_after_the_window_and_a_margin() -> None:
    clock = Clock()
    buckets = Buckets(MemoryRuns(), "quota", clock)
    buckets.take("create", 10)
    clock.sleep(61.999)
    assert buckets.take("create") == 0
    clock.sleep(0.001)
    assert buckets.take("create", 10) == 10


def test_functions_that_take_permits_at_the_same_time_share_the_limit(runs: RunsTable) -> None:
    clock = Clock()
    with ThreadPoolExecutor(6) as threads:
        granted = list(threads.map(lambda _: Buckets(runs, "quota", clock).take("create", 3), range(6)))

    assert sum(granted) == LIMITS["create"].calls
