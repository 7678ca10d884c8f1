"""Listing the audit trail: newest first, by filters, page by page, for admins."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from codegen_runs.audit import reading
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.roles import Role
from tests.support.backend import TestClock, template
from tests.support.events import Answer, call, rest, working_with
from tests.support.handlers import handler
from tests.unit.audit.conftest import ORG, Trail

PATH = f"/v1/organizations/{ORG}/audit"


def caller(role: Role, org_id: int = ORG) -> Caller:
    return Caller("user:42", 42, frozenset({org_id}), kind=DEPLOYMENT, roles={org_id: role}, token_id="tok-1")


@pytest.fixture(autouse=True)
def _world(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in template().functions["ListAuditEntries"].environment.items():
        monkeypatch.setenv(name, value)
    with working_with(trail.backend()):
        yield


def read(query: str = "", *, role: Role = Role.ADMIN, org_id: int = ORG) -> Answer:
    return call(handler("audit/list"), rest("GET", f"{PATH}{query}", caller=caller(role, org_id)))


def sequences(query: str = "") -> list[int]:
    answer = read(query)
    assert answer.status == 200, answer.text
    return [entry["sequence"] for entry in answer.json["items"]]


def test_the_newest_entries_come_first_with_all_their_fields(trail: Trail) -> None:
    trail.add(3)

    assert read().json == {"items": trail.json(), "next_cursor": None, "has_more": False}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_only_admins_read_it(trail: Trail, role: Role) -> None:
    trail.add()

    assert (read(role=role).status, read(role=role).json["code"]) == (403, "role_required")


def test_an_admin_of_another_organization_does_not_read_it(trail: Trail) -> None:
    trail.add()

    assert read(org_id=124).status == 403


def test_it_is_filtered_by_actor_act_and_target(trail: Trail) -> None:
    trail.add(actor="user:1", act="run.ban", target="7")
    trail.add(actor="user:2", act="run.ban", target="8")
    trail.add(actor="user:1", act="run.cancel", target="8")

    assert sequences("?actor=user:1") == [3, 1]
    assert sequences("?act=run.ban") == [2, 1]
    assert sequences("?target=8&act=run.ban") == [2]
    assert sequences("?actor=user:3") == []


def test_it_is_filtered_by_time(trail: Trail, clock: TestClock) -> None:
    moments = []
    for _ in range(4):
        clock.sleep(60)
        moments.append(quote(trail.add().at))

    assert sequences(f"?since={moments[1]}") == [4, 3, 2]
    assert sequences(f"?until={moments[1]}") == [1]
    assert sequences(f"?since={moments[1]}&until={moments[3]}") == [3, 2]
    assert sequences(f"?since={moments[3].replace('Z', '%2B00%3A00')}") == [4]
    assert sequences("?since=2999-01-01T00:00:00") == []


def test_pages_follow_each_other_and_new_entries_do_not_move_them(trail: Trail) -> None:
    trail.add(5)
    found, cursor = [], ""
    while True:
        page = read(f"?limit=2{cursor}").json
        found += [entry["sequence"] for entry in page["items"]]
        trail.add()
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert found == [5, 4, 3, 2, 1]


def test_a_page_that_ends_at_the_first_entry_is_the_last_one(trail: Trail) -> None:
    trail.add(2)

    assert read("?limit=2").json["has_more"] is False


def test_a_request_reads_a_thousand_entries_at_most(trail: Trail) -> None:
    trail.add(act="run.ban")
    trail.add(reading.MOST_READ)

    first = read("?act=run.ban").json
    second = read(f"?act=run.ban&cursor={first['next_cursor']}").json

    assert (first["items"], first["has_more"]) == ([], True)
    assert [entry["sequence"] for entry in second["items"]] == [1]


def test_a_request_reads_no_entry_that_is_earlier_than_all_wanted_ones(trail: Trail) -> None:
    trail.add(reading.MOST_READ + 1)

    assert read("?since=2999-01-01T00:00:00Z").json == {"items": [], "next_cursor": None, "has_more": False}


def test_an_empty_trail_is_an_empty_list() -> None:
    assert read().json == {"items": [], "next_cursor": None, "has_more": False}


@pytest.mark.parametrize("query", ["?since=yesterday", "?limit=0", "?limit=101", "?until=2027-13-01", "?cursor=x"])
def test_a_parameter_that_cannot_be_read_is_refused(query: str) -> None:
    assert read(query).status in (400, 422)


def test_a_cursor_is_valid_for_its_filters_only(trail: Trail) -> None:
    trail.add(3)
    cursor = read("?limit=1&act=run.cancel").json["next_cursor"]

    assert read(f"?act=run.cancel&cursor={cursor}").status == 200
    for other in ("?act=run.ban", "?", "?act=run.cancel&since=2020-01-01T00:00:00Z"):
        answer: Any = read(f"{other}&cursor={cursor}")
        assert (answer.status, answer.json["code"]) == (400, "invalid_cursor")
