"""The caller's deadline covers attempts, retries and pages together."""

import math
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from codegen_api import (
    APITimeoutError,
    CodegenAPI,
    DeadlineExceededError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from codegen_api._deadline import Deadline, PhaseTimeouts
from tests.support.lists import items_of

REPO = {"full_name": "a/r", "github_id": "1", "organization_id": 42, "setup_status": "done"}


def get(api):
    return api.runs.get(7)


def test_nothing_is_sent_after_the_deadline(client, wire):
    with pytest.raises(DeadlineExceededError) as caught:
        client(lambda api: api.with_deadline(0).runs.create("Do it"))

    assert wire.requests == []
    assert not caught.value.effect_unknown


def test_a_retry_after_beyond_the_deadline_raises_at_once(client, wire, clock):
    wire.answers(429, {}, headers={"retry-after": "10"})

    with pytest.raises(RateLimitError) as caught:
        client(lambda api: api.with_deadline(9).runs.get(7))

    assert caught.value.retry_after == 10
    assert clock.sleeps == []


def test_a_pause_beyond_the_deadline_raises_the_error_of_the_attempt(client, wire, clock):
    wire.answers(500, {}, after=0.8)

    with pytest.raises(ServerError):
        client(lambda api: api.with_deadline(1).runs.get(7))

    assert clock.sleeps == []


def test_a_timeout_at_the_deadline_raises_the_deadline_error(client, wire):
    wire.fails(httpx.ReadTimeout, after=5)

    with pytest.raises(DeadlineExceededError) as caught:
        client(lambda api: api.with_deadline(5).runs.create("Do it"))

    assert isinstance(caught.value, APITimeoutError)
    assert caught.value.effect_unknown


def test_a_timeout_before_the_deadline_is_retried(client, wire, run):
    wire.fails(httpx.ReadTimeout, after=3).answers(200, run)

    assert client(lambda api: api.with_deadline(5).runs.get(7)).id == 7


def test_a_slow_response_does_not_outlast_the_deadline(client, wire, clock):
    stream = wire.streams(*[b" "] * 100, every=1.0)

    with pytest.raises(DeadlineExceededError):
        client(lambda api: api.with_deadline(5).runs.get(7))

    assert clock.now == 1005
    assert stream.closed


def test_a_response_that_has_arrived_is_returned_after_the_deadline(client, wire, run):
    wire.answers(200, run, after=6)

    assert client(lambda api: api.with_deadline(5).runs.create("Do it")).id == 7


def test_the_deadline_of_a_view_covers_all_of_its_calls(client, wire, clock, run):
    wire.answers(200, run, after=3).answers(200, run, after=3)

    with pytest.raises(DeadlineExceededError):
        client.each(get, get, get, view=lambda api: api.with_deadline(5))
    assert len(wire.requests) == 2


def test_the_deadline_of_a_view_covers_all_pages_of_an_iterator(client, wire):
    for number in range(2):
        page = {"items": [{"id": number, "name": "r"} | REPO], "total": 9, "page": 1, "size": 1, "pages": 9}
        wire.answers(200, page, after=3)

    with pytest.raises(DeadlineExceededError):
        client(lambda api: items_of(api.with_deadline(5).repos.list()))
    assert len(wire.requests) == 2


def test_the_deadline_argument_starts_anew_for_each_call(client, wire, run):
    wire.answers(200, run, after=4).answers(200, run, after=4)

    assert len(client.each(get, get, deadline=5)) == 2


def test_the_earliest_of_several_deadlines_applies(client, wire):
    for _ in range(3):
        wire.fails(httpx.ReadTimeout, after=5)

    with pytest.raises(DeadlineExceededError):
        client(lambda api: api.with_deadline(5).with_deadline(50).runs.get(7))
    with pytest.raises(DeadlineExceededError):
        client(lambda api: api.with_deadline(50).runs.get(7), deadline=5)
    with pytest.raises(DeadlineExceededError):
        client(lambda api: api.with_deadline(5).runs.get(7), deadline=50)


def test_closing_a_view_leaves_the_client_open(wire, clock, token, run):
    wire.answers(200, run)
    with CodegenAPI(42, token, "https://codegen.test", transport=httpx.MockTransport(wire), clock=clock) as api:
        with api.with_deadline(5):
            pass
        assert api.runs.get(7).id == 7


def test_the_timeout_of_each_phase_is_at_most_the_time_left(clock):
    timeouts = PhaseTimeouts({"connect": 3.0, "read": 30.0, "pool": None}, Deadline(1010.0, clock))

    assert (timeouts.get("connect"), timeouts.get("read"), timeouts.get("pool")) == (3.0, 10.0, 10.0)
    clock.advance(8)
    assert (timeouts.get("connect"), timeouts.get("read")) == (2.0, 2.0)
    clock.advance(8)
    assert 0 < timeouts.get("read") < 0.1  # 0 would make a socket non-blocking
    assert PhaseTimeouts({"pool": None}, Deadline(math.inf, clock)).get("pool") is None


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_deadline_reaches_the_sockets(silence, token):
    started = time.monotonic()

    with CodegenAPI(42, token, silence, retry=RetryPolicy(max_retries=5)) as api, pytest.raises(DeadlineExceededError):
        api.with_deadline(0.2).runs.get(7)

    assert 0.15 < time.monotonic() - started < 5
