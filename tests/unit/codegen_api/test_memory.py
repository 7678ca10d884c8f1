"""What a client keeps between its requests, by itself."""

import pytest

from codegen_api import APIConnectionError, DeadlineExceededError
from codegen_api._cache import MAX_RESPONSE_BYTES, Cache
from codegen_api._flows import FailureLimit
from codegen_api._rate_limits import RateLimits


def etag(tag):
    return {"etag": tag}


def test_what_was_unused_longest_makes_room():
    cache = Cache(max_bytes=30)
    for name in "abc":
        cache.put(name, etag(name), b"0123456789")
    cache.get("a")

    cache.put("d", etag("d"), b"0123456789")

    assert [name for name in "abcd" if cache.get(name)] == ["a", "c", "d"]


def test_an_answer_that_is_replaced_takes_no_room_twice():
    cache = Cache(max_bytes=25)
    cache.put("a", etag("a"), b"0123456789")
    for _ in range(10):
        cache.put("b", etag("b"), b"0123456789")

    assert cache.get("a")


def test_an_answer_that_is_too_large_is_not_kept_and_forgets_the_one_before():
    cache = Cache()
    cache.put("a", etag("1"), b"small")

    assert cache.put("a", etag("2"), b" " * (MAX_RESPONSE_BYTES + 1))
    assert cache.get("a") is None


def test_requests_that_are_let_go_at_once_do_not_all_take_the_last_place():
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": '"x";r=2;t=10', "ratelimit-policy": '"x";q=10;w=60'}, 0.0)

    assert [limits.pause("GET /x", 0.0) for _ in range(4)] == [0.0, 0.0, 10.0, 10.0]


def test_a_reset_may_be_a_moment_in_unix_time():
    limits = RateLimits(unix_time=lambda: 1_700_000_000.0)
    limits.update("GET /x", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000007"}, 100.0)

    assert limits.pause("GET /x", 100.0) == 7.0


def test_several_limits_of_one_answer_all_count():
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": '"short";r=0;t=5, "long";r=0;t=9'}, 0.0)

    assert limits.pause("GET /x", 0.0) == 9.0
    assert [allowance.name for allowance in limits.known()] == ["short", "long"]


@pytest.mark.parametrize("header", ["", "nonsense", '"x"', '"x";r=;t=3', '"x";t=3', "r=3"])
def test_a_header_that_cannot_be_read_limits_nothing(header):
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": header}, 0.0)

    assert limits.pause("GET /x", 0.0) == 0.0


def test_patience_is_for_failures_in_a_row():
    limit = FailureLimit(2)
    for _ in range(5):
        limit.count(APIConnectionError("once"))
        limit.count(APIConnectionError("twice"))
        limit.reset()
    limit.count(APIConnectionError("once"))
    limit.count(APIConnectionError("twice"))

    with pytest.raises(APIConnectionError, match="thrice"):
        limit.count(APIConnectionError("thrice"))


def test_nobody_is_patient_beyond_the_callers_own_deadline():
    with pytest.raises(DeadlineExceededError):
        FailureLimit(9).count(DeadlineExceededError("over"))
