"""Which requests are retried, and after which pause."""

import dataclasses

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import (
    APIConnectionError,
    APITimeoutError,
    Attempt,
    CodegenAPIError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)


def get(api):
    return api.runs.get(7)


def create(api):
    return api.runs.create("Do it")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_get_is_retried_after_a_transient_status(client, wire, clock, run, status):
    wire.answers(status, {}).answers(status, {}).answers(200, run)

    assert client(get).id == 7
    assert clock.sleeps == [0.5, 1.0]


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_get_is_retried_after_a_broken_connection(client, wire, run, failure):
    wire.fails(failure).answers(200, run)

    assert client(get).id == 7


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 501, 307])
@pytest.mark.parametrize("operation", [get, create])
def test_other_statuses_are_not_retried(client, wire, clock, operation, status):
    wire.answers(status, {})

    with pytest.raises(CodegenAPIError):
        client(operation)
    assert clock.sleeps == []


def test_an_invalid_response_is_not_retried(client, wire):
    wire.answers(content=b"garbage")

    with pytest.raises(CodegenAPIError):
        client(get)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_post_is_not_retried_after_a_server_error(client, wire, status):
    wire.answers(status, {}, headers={"retry-after": "1"})

    with pytest.raises(ServerError):
        client(create)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError]
)
def test_a_post_that_may_have_arrived_is_not_retried(client, wire, failure):
    wire.fails(failure)

    with pytest.raises(APIConnectionError):
        client(create)
    assert len(wire.requests) == 1


def test_a_post_is_retried_after_a_429(client, wire, clock, run):
    wire.answers(429, {}, headers={"retry-after": "6"}).answers(200, run)

    assert client(create).id == 7
    assert clock.sleeps == [6.0]


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_post_that_was_never_sent_is_retried(client, wire, run, failure):
    wire.fails(failure).answers(200, run)

    assert client(create).id == 7


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_before_a_retry_is_retry_after(client, wire, clock, run, status):
    wire.answers(status, {}, headers={"retry-after": "30"}).answers(200, run)

    client(get)
    assert clock.sleeps == [30.0]


def test_the_retry_after_of_other_server_errors_is_ignored(client, wire, clock, run):
    wire.answers(500, {}, headers={"retry-after": "30"}).answers(200, run)

    client(get)
    assert clock.sleeps == [0.5]


def test_the_default_policy_makes_three_retries_within_the_limits_of_the_codegen_api(client, wire, clock, run):
    wire.answers(429, {}, headers={"retry-after": "60"}).answers(500, {}).answers(502, {}).answers(503, {})

    with pytest.raises(ServerError):
        client(get)
    assert clock.sleeps == [60.0, 1.0, 2.0]


def test_the_pauses_of_the_default_policy_grow_to_eight_seconds():
    policy = RetryPolicy(max_retries=9, jitter=lambda: 0.0)

    pauses = [policy.pause(Attempt(number, repeatable=True, status=500)) for number in range(1, 7)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_an_attempt_counts_as_sent_by_default():
    assert RetryPolicy().pause(Attempt(1, repeatable=False)) is None


def test_a_retry_after_above_the_maximum_raises_the_error_at_once(client, wire, clock):
    wire.answers(429, {}, headers={"retry-after": "61"})

    with pytest.raises(RateLimitError) as caught:
        client(get)
    assert caught.value.retry_after == 61
    assert clock.sleeps == []


def test_the_last_error_is_raised_when_the_retries_are_used_up(client, wire):
    wire.answers(500, {}).answers(429, {}).fails(httpx.ConnectError).fails(httpx.ReadTimeout)

    with pytest.raises(APITimeoutError):
        client(get)


def test_a_policy_without_retries_makes_one_attempt(client, wire):
    wire.answers(500, {})

    with pytest.raises(ServerError):
        client(get, retry=RetryPolicy(max_retries=0))


attempts = st.builds(
    Attempt,
    number=st.integers(1, 2000),
    repeatable=st.booleans(),
    sent=st.booleans(),
    status=st.none() | st.integers(300, 599),
    retry_after=st.none() | st.floats(0, 1e6),
)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 2000),
    base=st.floats(0, 10),
    cap=st.floats(0, 100),
    max_retry_after=st.floats(0, 1000),
    jitter=st.floats(0, 1, exclude_max=True).map(lambda value: lambda: value),
)


@given(policies, attempts)
def test_no_pause_exceeds_the_policy(policy, attempt):
    pause = policy.pause(attempt)

    assert pause is None or 0 <= pause <= max(policy.cap, policy.max_retry_after)
    assert pause is None or attempt.number <= policy.max_retries * (10 if attempt.status == 409 else 1)


@given(policies, attempts)
def test_a_post_with_an_unknown_effect_is_not_retried(policy, attempt):
    post = dataclasses.replace(attempt, repeatable=False)

    if policy.pause(post) is not None:
        assert not post.sent or post.status == 429


@given(policies, attempts)
def test_a_get_is_retried_whenever_a_post_is(policy, attempt):
    pauses = [policy.pause(dataclasses.replace(attempt, repeatable=repeatable)) for repeatable in (False, True)]

    assert pauses[0] in (None, pauses[1])


def test_a_request_in_progress_is_retried_ten_times_as_often():
    policy = RetryPolicy(max_retries=3)
    asked = [Attempt(number, repeatable=True, status=409, retry_after=1.0) for number in (1, 30, 31)]

    assert [policy.pause(attempt) for attempt in asked] == [1.0, 1.0, None]
    assert RetryPolicy(max_retries=0).pause(asked[0]) is None


def test_pauses_double_up_to_the_cap_and_jitter_shortens_them_by_up_to_half():
    def pauses(jitter):
        policy = RetryPolicy(max_retries=9, base=1, cap=5, jitter=lambda: jitter)
        return [policy.pause(Attempt(number, repeatable=True, status=500)) for number in range(1, 5)]

    assert pauses(0.0) == [1, 2, 4, 5]
    assert pauses(1.0) == [0.5, 1, 2, 2.5]
