"""Iterators over paged lists."""

import pytest

from codegen_api import InvalidArgumentError, InvalidResponseError
from tests.support.lists import items_of, pages_of


def users(*ids, total):
    return {
        "items": [{"id": id_, "github_user_id": "1", "github_username": "ada"} for id_ in ids],
        "total": total,
        "page": 1,
        "size": 100,
        "pages": 1,
    }


def logs(*thoughts, total):
    return {
        "id": 7,
        "organization_id": 42,
        "logs": [{"agent_run_id": 7, "thought": thought} for thought in thoughts],
        "total_logs": total,
    }


def ids(items):
    return [item.id for item in items]


def skips(wire):
    return [int(request.url.params["skip"]) for request in wire.requests]


def test_an_iterator_requests_pages_until_it_has_the_total(client, wire):
    wire.answers(body=users(1, 2, total=3)).answers(body=users(3, total=3))

    assert ids(client(lambda api: items_of(api.users.list()))) == [1, 2, 3]
    assert skips(wire) == [0, 2]
    assert {request.url.params["limit"] for request in wire.requests} == {"100"}


@pytest.mark.parametrize(
    ("iterate", "path"),
    [
        (lambda api: items_of(api.runs.list(org_id=43, skip=5)), "/v1/organizations/43/agent/runs"),
        (lambda api: items_of(api.users.list(org_id=43, skip=5)), "/v1/organizations/43/users"),
        (lambda api: items_of(api.organizations.list(skip=5)), "/v1/organizations"),
        (lambda api: items_of(api.repos.list(org_id=43, skip=5)), "/v1/organizations/43/repos"),
    ],
)
def test_an_empty_list_takes_one_request(client, wire, iterate, path):
    wire.answers(body=users(total=0))

    assert client(iterate) == []
    assert wire.only.url.path == path
    assert skips(wire) == [5]


def test_the_log_of_a_run_in_another_organization_is_read_there(client, wire):
    wire.answers(body=logs(total=0))

    assert client(lambda api: items_of(api.runs.iter_logs(7, org_id=43))) == []
    assert wire.only.url.path == "/v1/alpha/organizations/43/agent/run/7/logs"


def test_an_iterator_sends_its_filters_with_every_page(client, wire):
    page = {"total": 2, "page": 1, "size": 1, "pages": 2}
    for number in (1, 2):
        wire.answers(body=page | {"items": [{"id": number, "organization_id": 42}]})

    assert ids(client(lambda api: items_of(api.runs.list(user_id="3", source_type="API", skip=0)))) == [1, 2]
    assert {(r.url.params["user_id"], r.url.params["source_type"]) for r in wire.requests} == {("3", "API")}


def test_an_item_that_a_new_one_pushes_to_the_next_page_is_returned_once(client, wire):
    wire.answers(body=users(3, 2, total=3)).answers(body=users(2, 1, total=4))

    assert ids(client(lambda api: items_of(api.users.list()))) == [3, 2, 1]


def test_an_iterator_uses_the_latest_total(client, wire):
    wire.answers(body=users(1, total=2)).answers(body=users(2, total=3)).answers(body=users(3, total=3))

    assert ids(client(lambda api: items_of(api.users.list()))) == [1, 2, 3]


def test_an_empty_page_ends_an_iterator_in_spite_of_the_total(client, wire):
    wire.answers(body=users(1, total=9)).answers(body=users(total=9))

    assert ids(client(lambda api: items_of(api.users.list()))) == [1]


def test_a_repeated_page_is_an_error_and_no_endless_loop(client, wire):
    wire.answers(body=logs("a", total=None)).answers(body=logs("a", total=None))

    with pytest.raises(InvalidResponseError, match="same page of the list twice"):
        client(lambda api: items_of(api.runs.iter_logs(7)))


def test_a_log_is_read_from_a_position_on(client, wire):
    wire.answers(body=logs("c", "d", total=5)).answers(body=logs("e", total=5))

    assert [log.thought for log in client(lambda api: items_of(api.runs.iter_logs(7, skip=2)))] == ["c", "d", "e"]
    assert skips(wire) == [2, 4]


def test_a_log_without_a_total_is_read_until_an_empty_page(client, wire):
    wire.answers(body=logs("a", total=None)).answers(body=logs("b", total=None)).answers(body=logs(total=None))

    assert [log.thought for log in client(lambda api: items_of(api.runs.iter_logs(7, reverse=True)))] == ["a", "b"]
    assert {request.url.params["reverse"] for request in wire.requests} == {"true"}


def test_equal_log_entries_are_all_returned(client, wire):
    wire.answers(body=logs("a", "a", total=3)).answers(body=logs("a", total=3))

    assert len(client(lambda api: items_of(api.runs.iter_logs(7)))) == 3


def test_a_list_has_its_first_page_and_the_number_of_all_items(client, wire):
    wire.answers(body=users(1, 2, total=3))

    def script(api):
        found = api.users.list(limit=2)
        if client.asynchronous:
            with pytest.raises(InvalidArgumentError, match="await it"):
                _ = found.total
        found = yield found
        assert (ids(found.items), found.total, found.first.pages) == ([1, 2], 3, 1)
        assert repr(found).endswith("PagedList(2 of 3 items read)")

    client.play(script)
    assert skips(wire) == [0]


def test_pages_are_returned_as_the_server_sent_them(client, wire):
    wire.answers(body=users(3, 2, total=3)).answers(body=users(2, 1, total=4))

    pages = client(lambda api: pages_of(api.users.list()))

    assert [(page.total, ids(page)) for page in pages] == [(3, [3, 2]), (4, [2, 1])]


def test_a_second_iteration_begins_with_the_first_page_again(client, wire):
    wire.answers(body=users(1, total=2)).answers(body=users(2, total=2)).answers(body=users(2, total=2))

    def script(api):
        found = yield api.users.list()
        assert ids((yield items_of(found))) == ids((yield items_of(found))) == [1, 2]

    client.play(script)
    assert skips(wire) == [0, 1, 1]
