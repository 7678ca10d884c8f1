"""Permits for calls that a caller waits for: how long a request waits, and what it does if storage is unavailable."""

from collections import Counter
from collections.abc import Callable

import pytest

from codegen_api import RateLimitError
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.limits import allowances
from codegen_runs.limits.buckets import CLAIMS_PER_CALLER, MOST_CLAIMS, Buckets
from codegen_runs.limits.permits import NoPermit, permit
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.buckets import Bucket, Claim
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

    def get_bucket(self, quota: str, name: str) -> Bucket:
        raise StorageUnavailable


@pytest.fixture
def clock() -> Clock:
    return Clock()


def table(*opens_in: float) -> MemoryRuns:
    """Return a table whose permits to create runs can be given again after these seconds."""
    runs = MemoryRuns()
    given = tuple(round((START + seconds - 62) * 1000) for seconds in opens_in)
    runs.put_bucket(upstream.quota_of(CALLER), "create", Bucket(given=given))
    return runs


@pytest.mark.parametrize("seconds", [0.2, 7.0, 8.0])
def test_a_request_waits_up_to_eight_seconds_for_a_permit(clock: Clock, seconds: float) -> None:
    runs = table(seconds, *[60] * 9)

    with allowances.noting() as noted, permit("create", CALLER, 123, Backend(runs=runs, clock=clock)):
        assert clock.time - START == pytest.approx(seconds, abs=0.002)

    assert noted["create"].left == 0
    assert len(runs.get_bucket(upstream.quota_of(CALLER), "create").given) == 10


def test_a_request_that_would_wait_longer_is_refused_at_once(clock: Clock) -> None:
    with (
        pytest.raises(NoPermit) as refused,
        permit("create", CALLER, 123, Backend(runs=table(8.1, *[60] * 9), clock=clock)),
    ):
        pytest.fail("The call was made.")

    assert clock.time == START
    assert refused.value.retry_after == pytest.approx(8.1, abs=0.002)
    assert refused.value.detail == "The Codegen API accepts no more such calls for 8 s."
    assert refused.value.retryable


def test_a_request_whose_permit_is_taken_while_it_waits_is_refused_for_at_least_a_second(clock: Clock) -> None:
    runs = table(7.9, 8.3, *[60] * 8)
    clock.meanwhile = lambda: Buckets(runs, upstream.quota_of(CALLER), clock).take("create")

    with pytest.raises(NoPermit) as refused, permit("create", CALLER, 123, Backend(runs=runs, clock=clock)):
        pytest.fail("The call was made.")

    assert clock.time - START == pytest.approx(7.9, abs=0.002)
    assert refused.value.retry_after == 1.0


def test_a_call_is_made_without_a_permit_if_the_buckets_cannot_be_read(clock: Clock) -> None:
    calls = []

    with allowances.noting() as noted, permit("create", CALLER, 123, Backend(runs=UnavailableRuns(), clock=clock)):
        calls.append("made")

    assert (calls, noted, clock.time) == (["made"], {}, START)


def test_a_429_is_raised_even_if_it_cannot_be_stored(clock: Clock) -> None:
    with (
        pytest.raises(RateLimitError, match="Slow down"),
        permit("create", CALLER, 123, Backend(runs=UnavailableRuns(), clock=clock)),
    ):
        raise RateLimitError("Slow down.", status_code=429, retry_after=30)


def test_a_429_blocks_the_bucket_for_all_functions(clock: Clock) -> None:
    runs = table()
    with pytest.raises(RateLimitError), permit("create", CALLER, 123, Backend(runs=runs, clock=clock)):
        raise RateLimitError("Slow down.", status_code=429, retry_after=30)

    bucket = runs.get_bucket(upstream.quota_of(CALLER), "create")
    assert bucket.blocked_until == (START + 30) * 1000
    assert bucket.blocked_reason == "429: Slow down."


# --- callers that share the bucket of the deployment ---


def claim(name: str, organization: str = "1", *, caller: str | None = None, seconds: float = 8) -> Claim:
    ms = round(START * 1000)
    until = ms + round(seconds * 1000)
    return Claim(id=name, organization=organization, caller=caller or name, since=ms - 1, until=until)


def opening(clock: Clock, count: int) -> tuple[MemoryRuns, Buckets]:
    """Return a bucket that has `count` permits in a second, and none before."""
    runs = table(*[1] * count, *[60] * (10 - count))
    return runs, Buckets(runs, upstream.quota_of(CALLER), clock)


def test_callers_get_permits_in_turn_however_many_requests_one_of_them_sends(clock: Clock) -> None:
    _, buckets = opening(clock, 4)
    requests = [claim(f"flood-{number}", caller="flooder") for number in range(30)]
    requests += [claim(name) for name in ("one", "two", "three")]
    assert not any(buckets.claim("create", request) for request in requests)
    clock.time += 1

    granted = Counter(request.caller for request in requests if buckets.claim("create", request))
    assert granted == {"flooder": 1, "one": 1, "two": 1, "three": 1}


def test_organizations_have_turns_before_their_callers(clock: Clock) -> None:
    _, buckets = opening(clock, 4)
    requests = [claim(f"caller-{number}", "1") for number in range(9)] + [claim("a", "2"), claim("b", "2")]
    assert not any(buckets.claim("create", request) for request in requests)
    clock.time += 1

    granted = Counter(request.organization for request in requests if buckets.claim("create", request))
    assert granted == {"1": 2, "2": 2}


def test_a_caller_who_has_used_more_comes_after_one_who_has_used_less(clock: Clock) -> None:
    _, buckets = opening(clock, 10)
    clock.time += 1
    assert all(buckets.claim("create", claim(f"used-{number}", caller="busy")) for number in range(10))
    requests = [claim(f"more-{number}", caller="busy", seconds=70) for number in range(4)]
    requests += [claim(f"new-{number}", caller="new", seconds=70) for number in range(4)]
    assert not any(buckets.claim("create", request) for request in requests)
    clock.time += 62
    assert buckets.take("create", 9) == 9

    assert [request.id for request in requests if buckets.claim("create", request)] == ["new-0"]


def test_a_request_that_gives_up_holds_nobody_back(clock: Clock) -> None:
    _, buckets = opening(clock, 1)
    first, second = claim("first"), claim("second")
    assert not buckets.claim("create", first)
    assert not buckets.claim("create", second)
    clock.time += 1
    assert not buckets.claim("create", second)
    buckets.give_up("create", first, until=round(clock.time * 1000))

    assert buckets.claim("create", second)


def test_a_request_whose_function_has_died_holds_nobody_back_for_long(clock: Clock) -> None:
    _, buckets = opening(clock, 1)
    assert not buckets.claim("create", claim("first"))
    clock.time += 8

    assert buckets.claim("create", claim("second", seconds=16))


def test_the_number_of_stored_claims_is_limited_for_each_caller_and_for_all(clock: Clock) -> None:
    runs, buckets = opening(clock, 1)
    for number in range(20):
        buckets.claim("create", claim(f"flood-{number}", caller="flooder"))
    assert len(runs.get_bucket(upstream.quota_of(CALLER), "create").claims) == CLAIMS_PER_CALLER
    bucket = runs.get_bucket(upstream.quota_of(CALLER), "create")
    many = tuple(claim(f"caller-{number}") for number in range(MOST_CLAIMS - 1))
    runs.put_bucket(upstream.quota_of(CALLER), "create", bucket.model_copy(update={"claims": many}))
    assert not any(buckets.claim("create", claim(name)) for name in ("last", "late"))

    assert runs.get_bucket(upstream.quota_of(CALLER), "create").claims == (*many, claim("last"))


def flood(buckets: Buckets, count: int) -> int:
    """Send requests of one organization; return how many get a permit."""
    return sum(buckets.claim("create", claim(f"flood-{count}-{number}", "9", seconds=999)) for number in range(count))


@pytest.mark.parametrize(("late", "flooded"), [(0, 9), (9.9, 9), (10.1, 10)])
def test_a_refused_caller_keeps_its_turn_for_ten_seconds_after_the_time_of_retry_after(
    late: float, flooded: int, clock: Clock
) -> None:
    runs = table(*[60] * 10)
    shared = Backend(runs=runs, clock=clock)
    with pytest.raises(NoPermit) as refused, permit("create", CALLER, 123, shared):
        pytest.fail("The call was made.")
    clock.time += (refused.value.retry_after or 0) + late
    buckets = Buckets(runs, upstream.quota_of(CALLER), clock)

    assert flood(buckets, 20) == flooded
    assert buckets.claim("create", claim("again", "123", caller=CALLER.id, seconds=999)) is (flooded == 9)


def test_nine_refused_callers_who_send_again_each_get_a_permit_before_the_second_of_a_flooder(clock: Clock) -> None:
    runs = table(*[60] * 10)
    buckets = Buckets(runs, upstream.quota_of(CALLER), clock)
    for number in range(9):
        buckets.give_up(
            "create", claim(f"first-{number}", f"1{number}", caller=f"user:{number}"), round((START + 70) * 1000)
        )
    clock.time += 60

    assert flood(buckets, 20) == 1
    assert all(
        buckets.claim("create", claim(f"again-{number}", f"1{number}", caller=f"user:{number}", seconds=70))
        for number in range(9)
    )
    assert flood(buckets, 30) == 0


def test_a_caller_has_one_turn_to_continue_however_many_of_its_requests_are_refused(clock: Clock) -> None:
    runs = table(*[60] * 10)
    buckets = Buckets(runs, upstream.quota_of(CALLER), clock)
    for number in range(5):
        request = claim(f"refused-{number}", caller="user:1")
        assert not buckets.claim("create", request)
        buckets.give_up("create", request, round((START + 70) * 1000))

    (kept,) = runs.get_bucket(upstream.quota_of(CALLER), "create").claims
    assert kept.given_up


def test_a_request_behind_others_is_refused_if_their_permits_leave_none_for_it_in_time(clock: Clock) -> None:
    runs, buckets = opening(clock, 2)
    for organization in ("2", "3"):
        buckets.claim("create", claim(organization, organization))
    with pytest.raises(NoPermit) as refused, permit("create", CALLER, 123, Backend(runs=runs, clock=clock)):
        pytest.fail("The call was made.")

    assert clock.time == START
    assert refused.value.retry_after == pytest.approx(60, abs=0.002)
