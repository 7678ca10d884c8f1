"""Pauses that keep within the rate limits which a server reports."""

import pytest

from codegen_api import RateLimitError, RetryPolicy
from codegen_api._rate_limits import RateLimits

POLICY = '"reads";q=60;w=30'


def get(api):
    return api.runs.get(7)


def metrics(api):
    return api.metrics.as_dict()


def test_a_used_up_limit_delays_the_next_request_until_the_reset(client, wire, clock, run):
    used_up = {"ratelimit": '"reads";r=0;t=12', "ratelimit-policy": POLICY}
    wire.answers(200, run, headers=used_up).answers(200, run)

    results = client.each(get, get, metrics)

    assert clock.sleeps == [12.0]
    assert (results[2]["pauses"], results[2]["paused_seconds"]) == (1, 12.0)


def test_the_rest_of_a_low_limit_is_spread_over_the_time_until_the_reset(client, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=4;t=10', "ratelimit-policy": POLICY}).answers(200, run)

    client.each(get, get)
    assert clock.sleeps == [2.0]


def test_a_limit_with_enough_left_causes_no_pause(client, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=40;t=10', "ratelimit-policy": POLICY}).answers(200, run)

    client.each(get, get)
    assert clock.sleeps == []


@pytest.mark.parametrize("prefix", ["ratelimit", "x-ratelimit"])
def test_the_older_headers_are_read_too(client, wire, clock, run, prefix):
    headers = {f"{prefix}-remaining": "0", f"{prefix}-limit": "60", f"{prefix}-reset": "9"}
    wire.answers(200, run, headers=headers).answers(200, run)

    client.each(get, get)
    assert clock.sleeps == [9.0]


def test_a_limit_applies_to_all_requests_of_its_operation_only(client, wire, clock, run):
    page = {"items": [], "total": 0, "page": 1, "size": 100, "pages": 1}
    wire.answers(200, run, headers={"ratelimit": '"run";r=0;t=5'}).answers(200, page).answers(200, run | {"id": 8})

    client.each(get, lambda api: api.runs.list(), lambda api: api.runs.get(8))
    assert clock.sleeps == [5.0]


def test_a_429_delays_the_next_call_too(client, wire, clock, run):
    wire.answers(429, {}, headers={"retry-after": "20"}).answers(200, run)

    async def refused_in_time(call):
        with pytest.raises(RateLimitError):
            await call

    def refused(api):
        if client.asynchronous:
            return refused_in_time(get(api))
        with pytest.raises(RateLimitError):
            get(api)
        return None

    client.each(refused, get, retry=RetryPolicy(max_retries=0))
    assert clock.sleeps == [20.0]


@pytest.mark.parametrize("seconds", [61, 3600])
def test_a_limit_that_resets_too_late_causes_no_pause(client, wire, clock, run, seconds):
    wire.answers(200, run, headers={"ratelimit": f'"reads";r=0;t={seconds}'}).answers(200, run)

    client.each(get, get)
    assert clock.sleeps == []


def test_a_limit_that_resets_after_the_deadline_causes_no_pause(client, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=0;t=30'}).answers(200, run)

    client.each(get, get, view=lambda api: api.with_deadline(10))
    assert clock.sleeps == []


def test_pacing_can_be_switched_off(client, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=0;t=3'}).answers(200, run)

    client.each(get, get, pacing=False)
    assert clock.sleeps == []


def test_the_metrics_have_the_known_rate_limits(client, wire, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=40;t=10', "ratelimit-policy": POLICY})

    (limit,), results = client.each(get, lambda api: api.metrics.rate_limits, metrics)[1:]
    assert results["rate_limits"] == [{"name": "reads", "remaining": 40, "quota": 60}]
    assert (limit.name, limit.remaining, limit.quota) == ("reads", 40, 60)


def test_concurrent_requests_do_not_all_use_the_last_one_that_remains():
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": '"x";r=2;t=10', "ratelimit-policy": '"x";q=10;w=60'}, 0.0)

    assert [limits.pause("GET /x", 0.0) for _ in range(4)] == [0.0, 0.0, 10.0, 10.0]


def test_a_reset_may_be_a_unix_time():
    limits = RateLimits(unix_time=lambda: 1_700_000_000.0)
    limits.update("GET /x", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000007"}, 100.0)

    assert limits.pause("GET /x", 100.0) == 7.0


def test_all_limits_in_one_response_apply():
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": '"short";r=0;t=5, "long";r=0;t=9'}, 0.0)

    assert limits.pause("GET /x", 0.0) == 9.0
    assert [allowance.name for allowance in limits.known()] == ["short", "long"]


@pytest.mark.parametrize("header", ["", "nonsense", '"x"', '"x";r=;t=3', '"x";t=3', "r=3"])
def test_an_invalid_header_has_no_effect(header):
    limits = RateLimits()
    limits.update("GET /x", {"ratelimit": header}, 0.0)

    assert limits.pause("GET /x", 0.0) == 0.0
