"""Members with their roles, and who may change them."""

import json
from typing import Any

import httpx
import pytest

from codegen_runs import upstream
from codegen_runs.access.standing import ROLE_SECONDS
from codegen_runs.storage.access import AccessTable
from local.fake_codegen import FakeCodegen, FakeTransport
from tests.support.backend import TestClock
from tests.support.overtaken import Overtaken
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, HOME, IDS, LINUS, MARY, ORG, Service, with_table


def members(service: Service, query: str = "") -> Any:
    return service.send("GET", f"{HOME}/members{query}", ADA).json


class OddUsers(httpx.BaseTransport):
    """The fake, whose list of users begins with another item."""

    def __init__(self, fake: FakeCodegen, item: Any) -> None:
        self._fake = FakeTransport(fake)
        self._item = item

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._fake.handle_request(request)
        if not request.url.path.endswith("/users"):
            return response
        page = json.loads(response.read())
        return httpx.Response(200, json=page | {"items": [self._item, *page["items"]], "total": page["total"] + 1})


def roles(service: Service) -> dict[int, str]:
    return {member["id"]: member["role"] for member in members(service)["items"]}


def test_a_member_has_codegens_role_until_this_deployment_gives_one(service: Service) -> None:
    assert roles(service) == {789: "admin", 791: "member", 792: "member"}

    service.give(792, role="viewer")

    mary = members(service)["items"][2]
    assert mary == {
        "id": 792,
        "name": "Mary Example",
        "email": "mary@example.com",
        "github_username": "mary",
        "avatar_url": "https://avatars.example/mary.png",
        "role": "viewer",
        "permissions": ["read"],
        "codegen_role": "MEMBER",
        "updated_at": mary["updated_at"],
        "updated_by": "user:789",
        "unreadable": [],
    }
    assert mary["updated_at"] is not None


def test_the_paths_of_the_codegen_api_still_return_codegens_role(service: Service) -> None:
    before = service.send("GET", f"{HOME}/users/792", ADA).json
    service.give(792, role="viewer")

    assert service.send("GET", f"{HOME}/users/792", ADA).json == before
    assert before["role"] == "MEMBER"


def test_pages_of_members_follow_one_another(service: Service) -> None:
    first = members(service, "?limit=2")
    second = members(service, f"?limit=2&cursor={first['next_cursor']}")

    assert [member["id"] for member in first["items"] + second["items"]] == [789, 791, 792]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert service.send("GET", f"/v1/organizations/{ATTIC}/members?cursor={first['next_cursor']}", ADA).status == 400


@pytest.mark.parametrize("odd", [None, 7, {}, {"id": "x"}, {"id": 10**30, "role": "ADMIN"}])
def test_a_member_without_a_readable_id_is_listed_and_counts_as_no_admin(
    service: Service, fake: FakeCodegen, odd: Any
) -> None:
    with upstream.over(OddUsers(fake, odd)):
        first, *others = members(service)["items"]
        stepping_down = service.give(789, role="member")

    assert first["id"] is None
    assert {*first["unreadable"]} & {"id", "raw"}
    assert [member["id"] for member in others] == [789, 791, 792]
    assert (stepping_down.status, stepping_down.json["code"]) == (409, "last_admin")


def test_the_github_name_replaces_a_missing_full_name(service: Service, fake: FakeCodegen) -> None:
    fake.organizations[ORG].members[2].full_name = None

    assert members(service)["items"][2]["name"] == "mary"


def test_the_answer_to_a_change_is_the_changed_member(service: Service) -> None:
    answer = service.give(792, role="admin", permissions=["admin", "read", "write"], team="core")

    assert answer.status == 200
    assert (answer.json["role"], answer.json["permissions"]) == ("admin", ["read", "write", "admin"])
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/team"]


def test_permissions_alone_keep_the_role_and_a_role_alone_gives_all_its_permissions(service: Service) -> None:
    assert service.give(791, permissions=["read"]).json["role"] == "member"
    assert service.give(791, role="admin").json["permissions"] == ["read", "write", "admin"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body"),
        ({"role": "owner"}, "/body/role"),
        ({"role": 7}, "/body/role"),
        ({"permissions": []}, "/body/permissions"),
        ({"permissions": ["write"]}, "/body/permissions"),
        ({"permissions": ["read", "admin"]}, "/body/permissions"),
        ({"permissions": ["fly"]}, "/body/permissions/0"),
        ({"role": "member", "permissions": ["read", "write", "admin"]}, "/body/permissions"),
        ({"permissions": ["read", "write", "admin"]}, "/body/permissions"),
    ],
)
def test_an_invalid_change_is_refused_with_a_pointer(service: Service, body: Any, pointer: str) -> None:
    answer = service.give(792, **body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert roles(service)[792] == "member"


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
@pytest.mark.parametrize("user", [MARY, ADA], ids=["another user", "its maker"])
def test_an_api_token_gives_no_role_which_would_outlive_it(service: Service, user: str, role: str) -> None:
    token = service.make_token(role="admin")["token"]

    answer = service.give(IDS[user], by=token, role=role)

    assert (answer.status, answer.json["code"]) == (403, "codegen_token_required")
    assert {member["updated_at"] for member in service.send("GET", f"{HOME}/members", ADA).json["items"]} == {None}


@pytest.mark.parametrize("user_id", [999, 790])
def test_a_user_who_is_not_in_the_organization_gets_no_role(service: Service, user_id: int, table: AccessTable) -> None:
    answer = service.give(user_id, role="admin")

    assert (answer.status, answer.json["message"]) == (404, "User not found.")
    assert table.member(ORG, user_id) is None


def test_the_members_of_another_organization_are_neither_listed_nor_changed(service: Service) -> None:
    assert service.send("GET", f"/v1/organizations/{ELSEWHERE}/members", ADA).json["code"] == "not_a_member"
    assert service.give(790, org_id=ELSEWHERE, role="viewer").json["code"] == "not_a_member"


def test_the_last_admin_cannot_step_down(service: Service) -> None:
    answer = service.give(IDS[ADA], role="member")

    assert (answer.status, answer.json["code"]) == (409, "last_admin")
    assert answer.json["message"] == "You are the only admin of the organization."
    assert answer.json["remedy"] == "Make another member an admin first."
    assert service.give(IDS[ADA], permissions=["read", "write"]).json["code"] == "last_admin"
    assert roles(service)[789] == "admin"


def test_an_admin_can_step_down_if_another_is_recorded_here(service: Service) -> None:
    service.give(IDS[MARY], role="admin")
    assert service.give(IDS[ADA], role="member").status == 200

    assert service.give(IDS[MARY], by=MARY, role="viewer").json["code"] == "last_admin"


def test_an_admin_of_codegen_who_was_demoted_here_does_not_count_as_another_admin(
    service: Service, clock: TestClock
) -> None:
    service.give(IDS[MARY], role="admin")
    clock.sleep(ROLE_SECONDS)
    service.give(IDS[ADA], by=MARY, role="member")

    assert service.give(IDS[MARY], by=MARY, role="member").json["code"] == "last_admin"


def test_another_admin_is_found_on_a_later_page(service: Service, fake: FakeCodegen) -> None:
    everybody = fake.organizations[ORG].members
    everybody += [everybody[2].model_copy(update={"id": 10_000 + number}) for number in range(250)]
    everybody[-1].role = "ADMIN"

    assert service.give(IDS[ADA], role="member").status == 200


def test_of_two_admins_who_demote_each_other_one_remains(
    service: Service, clock: TestClock, table: AccessTable
) -> None:
    service.give(IDS[MARY], role="admin")
    clock.sleep(ROLE_SECONDS)
    first: list[Any] = []
    overtaken = Overtaken(table, "write_member", lambda: first.append(service.give(IDS[ADA], by=MARY, role="member")))

    with with_table(overtaken, clock):
        second = service.give(IDS[MARY], by=ADA, role="member")

    assert first[0].status == 200
    assert (second.status, second.json["code"], second.json["role"]) == (403, "role_required", "member")
    assert (roles(service)[789], roles(service)[792]) == ("member", "admin")


def test_of_the_last_two_admins_who_step_down_at_the_same_time_one_remains(
    service: Service, clock: TestClock, table: AccessTable
) -> None:
    service.give(IDS[MARY], role="admin")
    clock.sleep(ROLE_SECONDS)
    first: list[Any] = []
    overtaken = Overtaken(table, "write_member", lambda: first.append(service.give(IDS[MARY], by=MARY, role="viewer")))

    with with_table(overtaken, clock):
        second = service.give(IDS[ADA], by=ADA, role="viewer")

    assert first[0].status == 200
    assert (second.status, second.json["code"]) == (409, "last_admin")


def test_two_members_can_be_changed_at_the_same_time(service: Service, clock: TestClock, table: AccessTable) -> None:
    overtaken = Overtaken(table, "write_member", lambda: service.give(IDS[LINUS], role="viewer"))

    with with_table(overtaken, clock):
        assert service.give(IDS[MARY], role="viewer").status == 200
    assert (roles(service)[791], roles(service)[792]) == ("viewer", "viewer")


def test_a_request_that_is_always_overtaken_is_refused_and_can_be_retried(
    service: Service, clock: TestClock, table: AccessTable
) -> None:
    overtaken = Overtaken(table, "write_member", lambda: table.write_organization(table.organization(ORG)), times=None)

    with with_table(overtaken, clock):
        answer = service.give(IDS[MARY], role="viewer")

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (409, "members_changing", True)
    assert table.member(ORG, IDS[MARY]) is None
