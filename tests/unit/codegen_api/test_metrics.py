"""Caching by ETag, rate limits heeded, and the count of it all."""

import httpx
import pytest

from codegen_api import RateLimitError, RetryPolicy

POLICY = '"reads";q=60;w=30'


def get(api):
    return api.runs.get(7)


def metrics(api):
    return api.metrics.as_dict()


def test_an_answer_with_an_etag_is_confirmed_and_not_sent_again(face, wire, run):
    wire.answers(200, run, headers={"etag": '"1"'}).answers(304, content=b"").answers(
        200, run | {"status": "COMPLETE"}, headers={"etag": '"2"'}
    ).answers(304, content=b"")

    told = face.each(get, get, get, get, metrics)

    assert [answer.status for answer in told[:4]] == ["ACTIVE", "ACTIVE", "COMPLETE", "COMPLETE"]
    assert [request.headers.get("if-none-match") for request in wire.requests] == [None, '"1"', '"1"', '"2"']
    assert told[4]["cache"] == {"hits": 2, "misses": 2, "hit_rate": 0.5}


def test_each_address_is_kept_for_itself(face, wire, run):
    other = run | {"id": 8}
    wire.answers(200, run, headers={"etag": '"1"'}).answers(200, other, headers={"etag": '"2"'}).answers(304)

    assert [found.id for found in face.each(get, lambda api: api.runs.get(8), get)] == [7, 8, 7]


@pytest.mark.parametrize(
    ("options", "headers"),
    [({}, {}), ({"caching": False}, {"etag": '"1"'}), ({}, {"etag": '"1"', "cache-control": "private, no-store"})],
    ids=["no tag", "switched off", "not to be stored"],
)
def test_what_may_not_be_kept_is_asked_for_whole(face, wire, run, options, headers):
    wire.answers(200, run, headers=headers).answers(200, run, headers=headers)

    face.each(get, get, **options)

    assert [request.headers.get("if-none-match") for request in wire.requests] == [None, None]


def test_a_304_that_nobody_asked_for_is_an_error(face, wire):
    from codegen_api import InvalidResponseError

    wire.answers(304, content=b"")

    with pytest.raises(InvalidResponseError):
        face(get)


def test_a_used_up_limit_is_waited_for(face, wire, clock, run):
    used_up = {"ratelimit": '"reads";r=0;t=12', "ratelimit-policy": POLICY}
    wire.answers(200, run, headers=used_up).answers(200, run)

    told = face.each(get, get, metrics)

    assert clock.sleeps == [12.0]
    assert (told[2]["pauses"], told[2]["paused_seconds"]) == (1, 12.0)


def test_what_is_left_of_a_low_limit_is_spread_over_the_time(face, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=4;t=10', "ratelimit-policy": POLICY}).answers(200, run)

    face.each(get, get)
    assert clock.sleeps == [2.0]


def test_a_limit_that_is_far_away_costs_nothing(face, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=40;t=10', "ratelimit-policy": POLICY}).answers(200, run)

    face.each(get, get)
    assert clock.sleeps == []


@pytest.mark.parametrize("prefix", ["ratelimit", "x-ratelimit"])
def test_the_older_headers_are_read_as_well(face, wire, clock, run, prefix):
    headers = {f"{prefix}-remaining": "0", f"{prefix}-limit": "60", f"{prefix}-reset": "9"}
    wire.answers(200, run, headers=headers).answers(200, run)

    face.each(get, get)
    assert clock.sleeps == [9.0]


def test_a_limit_holds_all_requests_of_its_kind_and_no_others(face, wire, clock, run):
    page = {"items": [], "total": 0, "page": 1, "size": 100, "pages": 1}
    wire.answers(200, run, headers={"ratelimit": '"run";r=0;t=5'}).answers(200, page).answers(200, run | {"id": 8})

    face.each(get, lambda api: api.runs.list(), lambda api: api.runs.get(8))
    assert clock.sleeps == [5.0]


def test_a_refusal_holds_the_next_call_back_too(face, wire, clock, run):
    wire.answers(429, {}, headers={"retry-after": "20"}).answers(200, run)

    async def refused_in_time(call):
        with pytest.raises(RateLimitError):
            await call

    def refused(api):
        if face.asynchronous:
            return refused_in_time(get(api))
        with pytest.raises(RateLimitError):
            get(api)
        return None

    face.each(refused, get, retry=RetryPolicy(max_retries=0))
    assert clock.sleeps == [20.0]


@pytest.mark.parametrize("seconds", [61, 3600])
def test_nobody_is_held_longer_than_is_worth_waiting(face, wire, clock, run, seconds):
    wire.answers(200, run, headers={"ratelimit": f'"reads";r=0;t={seconds}'}).answers(200, run)

    face.each(get, get)
    assert clock.sleeps == []


def test_nobody_is_held_beyond_the_deadline(face, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=0;t=30'}).answers(200, run)

    face.each(get, get, view=lambda api: api.with_deadline(10))
    assert clock.sleeps == []


def test_pacing_can_be_switched_off(face, wire, clock, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=0;t=3'}).answers(200, run)

    face.each(get, get, pacing=False)
    assert clock.sleeps == []


def test_a_client_tells_what_it_knows_of_limits(face, wire, run):
    wire.answers(200, run, headers={"ratelimit": '"reads";r=40;t=10', "ratelimit-policy": POLICY})

    (limit,), told = face.each(get, lambda api: api.metrics.rate_limits, metrics)[1:]
    assert told["rate_limits"] == [{"name": "reads", "remaining": 40, "quota": 60}]
    assert (limit.name, limit.remaining, limit.quota) == ("reads", 40, 60)


def test_requests_errors_and_durations_are_counted(face, wire, run):
    wire.answers(500, {}, after=0.2).fails(httpx.ReadError, after=0.4).answers(200, run, after=0.6)

    told = face.each(get, metrics)[1]

    assert (told["requests"], told["retries"], told["errors"], told["failures"]) == (3, 2, 2, 1)
    assert told["error_rate"] == pytest.approx(2 / 3)
    assert told["statuses"] == {"200": 1, "500": 1}
    assert told["seconds"] == pytest.approx({"mean": 0.4, "p50": 0.4, "p95": 0.6, "max": 0.6})


def test_views_count_with_their_client_and_a_reset_begins_anew(face, wire, run):
    wire.answers(200, run).answers(200, run)

    def seen(api):
        before = api.metrics.requests
        api.metrics.reset()
        return before, api.metrics.requests, api.metrics.error_rate, api.metrics.percentile_seconds(95)

    in_view = face.each(get, lambda api: api.with_deadline(9).runs.get(7), seen)
    assert in_view[2] == (2, 0, 0.0, 0.0)
