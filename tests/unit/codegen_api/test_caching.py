"""Caching of responses with an `ETag`."""

import pytest

from codegen_api import InvalidResponseError
from codegen_api._cache import MAX_RESPONSE_BYTES, Cache


def get(api):
    return api.runs.get(7)


def metrics(api):
    return api.metrics.as_dict()


def etag(tag):
    return {"etag": tag}


def test_a_response_with_an_etag_is_confirmed_and_not_sent_again(client, wire, run):
    wire.answers(200, run, headers={"etag": '"1"'}).answers(304, content=b"").answers(
        200, run | {"status": "COMPLETE"}, headers={"etag": '"2"'}
    ).answers(304, content=b"")

    results = client.each(get, get, get, get, metrics)

    assert [answer.status for answer in results[:4]] == ["ACTIVE", "ACTIVE", "COMPLETE", "COMPLETE"]
    assert [request.headers.get("if-none-match") for request in wire.requests] == [None, '"1"', '"1"', '"2"']
    assert results[4]["cache"] == {"hits": 2, "misses": 2, "hit_rate": 0.5}


def test_each_url_has_its_own_cached_response(client, wire, run):
    other = run | {"id": 8}
    wire.answers(200, run, headers={"etag": '"1"'}).answers(200, other, headers={"etag": '"2"'}).answers(304)

    assert [found.id for found in client.each(get, lambda api: api.runs.get(8), get)] == [7, 8, 7]


@pytest.mark.parametrize(
    ("options", "headers"),
    [({}, {}), ({"caching": False}, {"etag": '"1"'}), ({}, {"etag": '"1"', "cache-control": "private, no-store"})],
    ids=["no tag", "switched off", "not to be stored"],
)
def test_a_response_that_must_not_be_cached_is_requested_in_full(client, wire, run, options, headers):
    wire.answers(200, run, headers=headers).answers(200, run, headers=headers)

    client.each(get, get, **options)

    assert [request.headers.get("if-none-match") for request in wire.requests] == [None, None]


def test_a_304_without_a_cached_response_is_an_error(client, wire):
    wire.answers(304, content=b"")

    with pytest.raises(InvalidResponseError):
        client(get)


def test_the_least_recently_used_response_is_dropped_first():
    cache = Cache(max_bytes=30)
    for name in "abc":
        cache.put(name, etag(name), b"0123456789")
    cache.get("a")

    cache.put("d", etag("d"), b"0123456789")

    assert [name for name in "abcd" if cache.get(name)] == ["a", "c", "d"]


def test_a_replaced_response_frees_its_space():
    cache = Cache(max_bytes=25)
    cache.put("a", etag("a"), b"0123456789")
    for _ in range(10):
        cache.put("b", etag("b"), b"0123456789")

    assert cache.get("a")


def test_a_response_that_is_too_large_drops_the_one_before_it():
    cache = Cache()
    cache.put("a", etag("1"), b"small")

    assert cache.put("a", etag("2"), b" " * (MAX_RESPONSE_BYTES + 1))
    assert cache.get("a") is None
