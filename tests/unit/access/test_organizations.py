"""An organization: Codegen's data, overridden by what was set in this deployment."""

from typing import Any

import pytest

from codegen_runs.aws import wire as wire_to_aws
from codegen_runs.storage.access import AccessTable
from local.fake_codegen import FakeCodegen
from tests.support.backend import TestClock
from tests.support.overtaken import Overtaken
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, HOME, IDS, MARY, ORG, Service, unreachable, with_table

AT_CODEGEN = {"name": "Example Works", "settings": {"enable_pr_creation": True, "enable_rules_detection": True}}


def read(service: Service, token: str = ADA) -> Any:
    return service.send("GET", HOME, token).json


def change(service: Service, body: Any, token: str = ADA) -> Any:
    answer = service.send("PATCH", HOME, token, body)
    assert answer.status == 200, answer.text
    return answer.json


def test_an_unchanged_organization_has_codegens_name_and_settings(service: Service) -> None:
    assert read(service, MARY) == {
        "id": ORG,
        **AT_CODEGEN,
        "members_count": 3,
        "role": "member",
        "updated_at": None,
        "updated_by": None,
        "codegen": AT_CODEGEN,
    }


def test_a_change_overrides_codegens_values_which_are_shown_as_well(service: Service) -> None:
    answer = change(service, {"name": "Updated Org Name", "settings": {"feature_x": True, "max_agents": 10}})

    shown = read(service)
    assert answer == shown | {"warnings": answer["warnings"]}
    assert shown["name"] == "Updated Org Name"
    assert shown["settings"] == AT_CODEGEN["settings"] | {"feature_x": True, "max_agents": 10}  # type: ignore[operator]
    assert shown["codegen"] == AT_CODEGEN
    assert shown["updated_by"] == "user:789"
    assert service.send("GET", "/v1/organizations", ADA).json["items"][0]["name"] == "Example Works"


def test_the_role_is_that_of_the_person_or_the_lower_one_of_their_token(service: Service) -> None:
    made = service.send("POST", "/v1/users/me/api-tokens", ADA, {"name": "Reader", "role": "viewer"})
    given = service.send("PATCH", f"{HOME}/users/{IDS[MARY]}", ADA, {"role": "viewer"})
    assert (made.status, given.status) == (201, 200)

    assert read(service, ADA)["role"] == "admin"
    assert read(service, made.json["token"])["role"] == "viewer"
    assert read(service, MARY)["role"] == "viewer"


def test_a_setting_that_codegens_agents_ignore_has_a_warning(service: Service) -> None:
    answer = change(
        service, {"name": "Mine", "settings": {"enable_pr_creation": False, "feature_x": True}, "slug": "mine"}
    )

    assert answer["settings"]["enable_pr_creation"] is False
    assert [(warning["code"], warning["pointer"]) for warning in answer["warnings"]] == [
        ("ignored_parameter", "/slug"),
        ("not_changed_at_codegen", "/settings/enable_pr_creation"),
        ("not_changed_at_codegen", "/name"),
    ]


def test_settings_are_changed_one_by_one_and_reset_by_null(service: Service) -> None:
    change(service, {"settings": {"a": 1, "b": 2.5, "enable_pr_creation": False}})

    answer = change(service, {"settings": {"a": None, "enable_pr_creation": None, "c": {"deep": [None]}}})

    assert answer["settings"] == AT_CODEGEN["settings"] | {"b": 2.5, "c": {"deep": [None]}}  # type: ignore[operator]


def test_a_name_stays_when_settings_change_and_null_restores_codegens(service: Service) -> None:
    change(service, {"name": "Mine"})

    assert change(service, {"settings": {"a": 1}})["name"] == "Mine"
    answer = change(service, {"name": None})
    assert (answer["name"], answer["settings"]["a"]) == ("Example Works", 1)


def test_a_change_affects_one_organization_only(service: Service) -> None:
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
def test_an_invalid_change_is_refused_with_a_pointer(service: Service, body: Any, pointer: str) -> None:
    answer = service.send("PATCH", HOME, ADA, body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert read(service)["updated_at"] is None


def test_all_settings_together_have_a_limit(service: Service) -> None:
    change(service, {"settings": {"a": "x" * 10_000}})

    answer = service.send("PATCH", HOME, ADA, {"settings": {"b": "x" * 10_000}})

    assert (answer.status, answer.json["code"]) == (409, "settings_too_large")
    assert "b" not in read(service)["settings"]


def test_two_callers_can_change_different_settings_at_the_same_time(
    service: Service, table: AccessTable, clock: TestClock
) -> None:
    overtaken = Overtaken(table, "write_organization", lambda: change(service, {"settings": {"theirs": 1}}))

    with with_table(overtaken, clock):
        settings = change(service, {"settings": {"mine": 1}})["settings"]

    assert (settings["mine"], settings["theirs"]) == (1, 1)


def test_a_request_that_is_always_overtaken_is_refused_and_can_be_retried(
    service: Service, table: AccessTable, clock: TestClock
) -> None:
    overtaken = Overtaken(
        table, "write_organization", lambda: table.write_organization(table.organization(ORG)), times=None
    )

    with with_table(overtaken, clock):
        answer = service.send("PATCH", HOME, ADA, {"name": "Mine"})

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (409, "organization_changing", True)


def test_a_change_of_a_role_does_not_change_the_organization(service: Service) -> None:
    change(service, {"name": "Mine", "settings": {"a": 1}})
    before = read(service)
    service.give(792, role="viewer")

    assert read(service) == before
    change(service, {"settings": {"b": 2}})
    assert read(service)["name"] == "Mine"


def test_an_organization_can_be_read_if_only_its_members_were_changed(service: Service) -> None:
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
