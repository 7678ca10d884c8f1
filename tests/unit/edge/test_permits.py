"""Permits for calls that a caller waits for: how long a request waits, and what it does if storage is unavailable."""

from collections.abc import Callable

import pytest

from codegen_api import RateLimitError
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.limits import allowances
from codegen_runs.limits.buckets import Buckets
from codegen_runs.limits.permits import NoPermit, permit
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.buckets import Bucket
from tests.support.events import CALLER
from tests.support.memory import MemoryRuns

START = 1_750_000_000.0


class Clock:
    """A clock that moves when something waits; `meanwhile` acts at the end of each wait."""

    def __init__(self) -> None:
        self.time = START
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.meanwhile()


class UnavailableRuns(MemoryRuns):
    """A table without buckets."""

    def get_bucket(self, budget: str, name: str) -> Bucket:
        raise StorageUnavailable


@pytest.fixture
def clock() -> Clock:
    return Clock()


def table(*opens_in: float) -> MemoryRuns:
    """Return a table whose permits to create runs can be given again after these seconds."""
    runs = MemoryRuns()
    given = tuple(round((START + seconds - 62) * 1000) for seconds in opens_in)
    runs.put_bucket(upstream.budget_of(CALLER), "create", Bucket(given=given))
    return runs


@pytest.mark.parametrize("seconds", [0.2, 7.0, 8.0])
def test_a_request_waits_up_to_eight_seconds_for_a_permit(clock: Clock, seconds: float) -> None:
    runs = table(seconds, *[60] * 9)

    with allowances.noting() as noted, permit("create", CALLER, Backend(runs=runs, clock=clock)):
        assert clock.time - START == pytest.approx(seconds, abs=0.002)

    assert noted["create"].left == 0
    assert len(runs.get_bucket(upstream.budget_of(CALLER), "create").given) == 10


def test_a_request_that_would_wait_longer_is_refused_at_once(clock: Clock) -> None:
    with (
        pytest.raises(NoPermit) as refused,
        permit("create", CALLER, Backend(runs=table(8.1, *[60] * 9), clock=clock)),
    ):
        pytest.fail("The call was made.")

    assert clock.time == START
    assert refused.value.retry_after == pytest.approx(8.1, abs=0.002)
    assert refused.value.detail == "The Codegen API accepts no more such calls for 8 s."
    assert refused.value.retryable


def test_a_request_whose_permit_is_taken_while_it_waits_is_refused_for_at_least_a_second(clock: Clock) -> None:
    runs = table(7.9, 8.3, *[60] * 8)
    clock.meanwhile = lambda: Buckets(runs, upstream.budget_of(CALLER), clock).take("create")

    with pytest.raises(NoPermit) as refused, permit("create", CALLER, Backend(runs=runs, clock=clock)):
        pytest.fail("The call was made.")

    assert clock.time - START == pytest.approx(7.9, abs=0.002)
    assert refused.value.retry_after == 1.0


def test_a_call_is_made_without_a_permit_if_the_buckets_cannot_be_read(clock: Clock) -> None:
    calls = []

    with allowances.noting() as noted, permit("create", CALLER, Backend(runs=UnavailableRuns(), clock=clock)):
        calls.append("made")

    assert (calls, noted, clock.time) == (["made"], {}, START)


def test_a_429_is_raised_even_if_it_cannot_be_stored(clock: Clock) -> None:
    with (
        pytest.raises(RateLimitError, match="Slow down"),
        permit("create", CALLER, Backend(runs=UnavailableRuns(), clock=clock)),
    ):
        raise RateLimitError("Slow down.", status_code=429, retry_after=30)


def test_a_429_blocks_the_bucket_for_all_functions(clock: Clock) -> None:
    runs = table()
    with pytest.raises(RateLimitError), permit("create", CALLER, Backend(runs=runs, clock=clock)):
        raise RateLimitError("Slow down.", status_code=429, retry_after=30)

    bucket = runs.get_bucket(upstream.budget_of(CALLER), "create")
    assert bucket.blocked_until == (START + 30) * 1000
    assert bucket.blocked_reason == "429: Slow down."
