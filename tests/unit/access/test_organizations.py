"""An organization: what Codegen says, and over it what was set here."""

from typing import Any

import pytest

from codegen_runs.aws import wire as wire_to_aws
from codegen_runs.storage.access import AccessTable, OrganizationRecord
from local.fake_codegen import FakeCodegen
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, HOME, MARY, ORG, Service, unreachable

AT_CODEGEN = {"name": "Example Works", "settings": {"enable_pr_creation": True, "enable_rules_detection": True}}


def read(service: Service, token: str = ADA) -> Any:
    return service.send("GET", HOME, token).json


def change(service: Service, body: Any, token: str = ADA) -> Any:
    answer = service.send("PATCH", HOME, token, body)
    assert answer.status == 200, answer.text
    return answer.json


def test_an_organization_that_nobody_has_changed_is_as_codegen_says(service: Service) -> None:
    assert read(service, MARY) == {
        "id": ORG,
        **AT_CODEGEN,
        "members_count": 3,
        "updated_at": None,
        "updated_by": None,
        "codegen": AT_CODEGEN,
    }


def test_what_is_set_here_is_shown_over_what_codegen_says_and_codegens_own_beside_it(service: Service) -> None:
    answer = change(service, {"name": "Updated Org Name", "settings": {"feature_x": True, "max_agents": 10}})

    shown = read(service)
    assert answer == shown | {"warnings": answer["warnings"]}
    assert shown["name"] == "Updated Org Name"
    assert shown["settings"] == AT_CODEGEN["settings"] | {"feature_x": True, "max_agents": 10}  # type: ignore[operator]
    assert shown["codegen"] == AT_CODEGEN
    assert shown["updated_by"] == "user:789"
    assert service.send("GET", "/v1/organizations", ADA).json["items"][0]["name"] == "Example Works"


def test_what_codegens_agents_will_not_go_by_is_said(service: Service) -> None:
    answer = change(
        service, {"name": "Mine", "settings": {"enable_pr_creation": False, "feature_x": True}, "slug": "mine"}
    )

    assert answer["settings"]["enable_pr_creation"] is False
    assert [(warning["code"], warning["pointer"]) for warning in answer["warnings"]] == [
        ("ignored_parameter", "/slug"),
        ("not_changed_at_codegen", "/settings/enable_pr_creation"),
        ("not_changed_at_codegen", "/name"),
    ]


def test_settings_are_changed_one_by_one_and_taken_back_by_null(service: Service) -> None:
    change(service, {"settings": {"a": 1, "b": 2.5, "enable_pr_creation": False}})

    answer = change(service, {"settings": {"a": None, "enable_pr_creation": None, "c": {"deep": [None]}}})

    assert answer["settings"] == AT_CODEGEN["settings"] | {"b": 2.5, "c": {"deep": [None]}}  # type: ignore[operator]


def test_a_name_stays_when_settings_change_and_is_codegens_again_by_null(service: Service) -> None:
    change(service, {"name": "Mine"})

    assert change(service, {"settings": {"a": 1}})["name"] == "Mine"
    answer = change(service, {"name": None})
    assert (answer["name"], answer["settings"]["a"]) == ("Example Works", 1)


def test_organizations_have_nothing_in_common(service: Service) -> None:
    change(service, {"name": "Mine", "settings": {"a": 1}})

    attic = service.send("GET", f"/v1/organizations/{ATTIC}", ADA).json
    assert (attic["name"], "a" in attic["settings"], attic["members_count"]) == ("Example Attic", False, 1)
    for method, body in (("GET", None), ("PATCH", {"name": "Mine"})):
        answer = service.send(method, f"/v1/organizations/{ELSEWHERE}", ADA, body)
        assert (answer.status, answer.json["code"]) == (403, "not_a_member")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body"),
        ({"slug": "x"}, "/body"),
        ({"name": ""}, "/body/name"),
        ({"name": "x" * 101}, "/body/name"),
        ({"settings": []}, "/body/settings"),
        ({"settings": {"a": "x" * 16_000}}, "/body/settings"),
        ('{"settings": {"a": 1e999}}', "/body/settings"),
    ],
)
def test_a_change_that_makes_no_sense_is_told_where(service: Service, body: Any, pointer: str) -> None:
    answer = service.send("PATCH", HOME, ADA, body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert read(service)["updated_at"] is None


def test_there_is_room_for_so_many_settings_in_all(service: Service) -> None:
    change(service, {"settings": {"a": "x" * 10_000}})

    answer = service.send("PATCH", HOME, ADA, {"settings": {"b": "x" * 10_000}})

    assert (answer.status, answer.json["code"]) == (409, "settings_too_large")
    assert "b" not in read(service)["settings"]


def test_two_who_change_different_settings_at_once_both_get_their_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, others = AccessTable.write_organization, [{"settings": {"theirs": 1}}]

    def interrupted(table: AccessTable, record: OrganizationRecord, **changes: Any) -> OrganizationRecord:
        if others:
            change(service, others.pop())
        return write(table, record, **changes)

    monkeypatch.setattr(AccessTable, "write_organization", interrupted)

    settings = change(service, {"settings": {"mine": 1}})["settings"]

    assert (settings["mine"], settings["theirs"]) == (1, 1)


def test_who_loses_every_race_is_told_to_come_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    write = AccessTable.write_organization

    def always_late(table: AccessTable, record: OrganizationRecord, **changes: Any) -> OrganizationRecord:
        write(table, table.organization(ORG))
        return write(table, record, **changes)

    monkeypatch.setattr(AccessTable, "write_organization", always_late)

    answer = service.send("PATCH", HOME, ADA, {"name": "Mine"})

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (409, "organization_changing", True)


def test_a_change_of_a_role_leaves_the_organization_as_it_was(service: Service) -> None:
    change(service, {"name": "Mine", "settings": {"a": 1}})
    before = read(service)
    service.give(792, role="viewer")

    assert read(service) == before
    change(service, {"settings": {"b": 2}})
    assert read(service)["name"] == "Mine"


def test_an_organization_whose_members_alone_were_changed_can_be_read(service: Service) -> None:
    service.give(792, role="viewer")

    assert read(service)["name"] == "Example Works"
    assert change(service, {"name": "Mine"})["name"] == "Mine"


def test_an_organization_beyond_the_first_page_is_found(service: Service, fake: FakeCodegen) -> None:
    first, *_ = fake.organizations.values()
    last = fake.organizations.pop(ORG)
    for number in range(1_000, 1_150):
        fake.organizations[number] = type(first)(number, f"Number {number}", members=first.members)
    fake.organizations[ORG] = last
    service.another_process()

    assert read(service)["id"] == ORG


def test_without_storage_nothing_is_half_told(service: Service) -> None:
    service.send("GET", HOME, ADA)

    with wire_to_aws.over(unreachable()):
        answer = service.send("GET", HOME, ADA)

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (503, "storage_unavailable", True)
