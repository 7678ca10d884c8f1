"""API tokens: making, listing and revoking them, and what they open."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from codegen_runs import upstream
from codegen_runs.access import secret
from codegen_runs.access.authentication import TABLE_SECONDS
from codegen_runs.access.standing import USE_SECONDS
from codegen_runs.http import report
from codegen_runs.storage.access import AccessTable
from local.fake_codegen import FakeCodegen, Trouble
from local.template import Template
from tests.support import aws
from tests.support.backend import TestClock
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, HOME, IDS, LINUS, MARY, ORG, TOKENS, Service


def listed(service: Service, token: str = ADA, query: str = "") -> list[Any]:
    items: list[Any] = service.send("GET", TOKENS + query, token).json["items"]
    return items


def in_days(clock: TestClock, days: float) -> str:
    return (datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=days)).isoformat()


def test_a_token_is_shown_once_and_opens_the_api_as_its_maker(service: Service, clock: TestClock) -> None:
    made = service.make_token(name=" My App Token ", expires_at=in_days(clock, 30))

    assert made.keys() == {
        *("id", "name", "prefix", "role", "organizations", "created_at", "expires_at", "last_used_at", "expired"),
        *("token", "warnings"),
    }
    assert made["token"].startswith(made["prefix"])
    assert (made["name"], made["role"], made["organizations"]) == ("My App Token", "member", [ORG])
    assert (made["expired"], made["last_used_at"], made["warnings"]) == (False, None, [])
    assert service.send("GET", "/v1/users/me", made["token"]).json["id"] == IDS[ADA]
    (shown,) = listed(service)
    assert shown == {name: made[name] for name in shown} | {"last_used_at": shown["last_used_at"]}
    assert made["token"] not in str(shown)


def test_a_token_without_an_expiry_is_good_for_ever(service: Service, clock: TestClock) -> None:
    made = service.make_token()
    clock.sleep(20 * 365 * 86_400)

    assert made["expires_at"] is None
    assert service.send("GET", "/v1/users/me", made["token"]).status == 200


def test_an_expired_token_is_refused_with_the_reason_from_that_second_on(service: Service, clock: TestClock) -> None:
    made = service.make_token(expires_at=in_days(clock, 1))
    clock.sleep(86_399)
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200
    clock.sleep(1)

    answer = service.send("GET", f"{HOME}/repos", made["token"])

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json["code"] == "token_expired"
    assert answer.json["message"] == f"The API token expired at {made['expires_at']}."
    assert answer.json["remedy"] == "Create another token with POST /v1/users/me/api-tokens."
    assert [item["expired"] for item in listed(service)] == [True]


def test_a_revoked_token_is_refused_with_the_reason_by_the_very_next_request(
    service: Service, clock: TestClock
) -> None:
    made = service.make_token()
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200

    assert [service.send("DELETE", f"{TOKENS}/{made['id']}", ADA).status for _ in range(2)] == [204, 204]

    answer = service.send("GET", f"{HOME}/repos", made["token"])
    assert (answer.status, answer.json["code"]) == (401, "token_revoked")
    assert answer.json["message"].startswith("The API token was revoked at 20")
    assert listed(service) == []


def test_the_time_of_revocation_is_that_of_the_first_one(service: Service, clock: TestClock) -> None:
    made = service.make_token()
    service.send("DELETE", f"{TOKENS}/{made['id']}", ADA)
    first = service.send("GET", f"{HOME}/repos", made["token"]).json["message"]
    clock.sleep(60)
    service.send("DELETE", f"{TOKENS}/{made['id']}", ADA)

    assert service.send("GET", f"{HOME}/repos", made["token"]).json["message"] == first


def test_a_token_may_revoke_itself(service: Service) -> None:
    made = service.make_token(role="viewer")

    assert service.send("DELETE", f"{TOKENS}/{made['id']}", made["token"]).status == 204
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 401


@pytest.mark.parametrize("token_id", ["hers", "tok-000000000-0000000000", "%00", "x" * 2000])
def test_another_callers_token_and_one_that_is_not_there_are_not_found(service: Service, token_id: str) -> None:
    hers = service.make_token(ADA)
    token_id = token_id.replace("hers", hers["id"])

    answer = service.send("DELETE", f"{TOKENS}/{token_id}", MARY)

    assert (answer.status, answer.json["code"]) == (404, "api_token_not_found")
    assert service.send("GET", "/v1/users/me", hers["token"]).status == 200
    assert listed(service, MARY) == []


def test_lists_come_newest_first_in_pages_without_what_was_revoked(service: Service, clock: TestClock) -> None:
    made = []
    for number in range(6):
        made.append(service.make_token(name=f"Number {number}"))
        clock.sleep(1)
    for number in (1, 4):
        service.send("DELETE", f"{TOKENS}/{made[number]['id']}", ADA)
    first = service.send("GET", f"{TOKENS}?limit=3", ADA).json
    second = service.send("GET", f"{TOKENS}?limit=3&cursor={first['next_cursor']}", ADA).json

    names = [item["name"] for item in first["items"] + second["items"]]
    assert names == ["Number 5", "Number 3", "Number 2", "Number 0"]
    assert (len(first["items"]), first["has_more"], second["has_more"]) == (3, True, False)
    assert service.send("GET", f"{TOKENS}?cursor={first['next_cursor']}", MARY).json["code"] == "invalid_cursor"


def test_the_last_use_is_told_to_the_hour_and_written_once_in_one(
    service: Service, clock: TestClock, table: AccessTable
) -> None:
    made = service.make_token()

    def stored() -> int | None:
        found = table.token(IDS[ADA], made["id"])
        assert found
        return found.last_used_at

    service.send("GET", f"{HOME}/repos", made["token"])
    first = stored()
    clock.sleep(USE_SECONDS - 1)
    service.send("GET", f"{HOME}/repos", made["token"])
    assert stored() == first == int(clock.now()) - USE_SECONDS + 1
    clock.sleep(1)
    service.send("GET", f"{HOME}/repos", made["token"])
    assert stored() == int(clock.now())
    assert listed(service)[0]["last_used_at"].endswith(":00:00.000Z")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body/name"),
        ({"name": ""}, "/body/name"),
        ({"name": "  "}, "/body/name"),
        ({"name": "x" * 101}, "/body/name"),
        ({"name": "x", "role": "owner"}, "/body/role"),
        ({"name": "x", "expires_at": "soon"}, "/body/expires_at"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "/body/expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-14:00"}, "/body/expires_at"),
        ({"name": "x", "organizations": []}, "/body/organizations"),
        ({"name": "x", "organizations": list(range(11))}, "/body/organizations"),
        ({"name": "x", "organizations": ["all"]}, "/body/organizations/0"),
    ],
)
def test_a_request_for_a_token_that_makes_no_sense_is_told_where(service: Service, body: Any, pointer: str) -> None:
    answer = service.send("POST", TOKENS, ADA, body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert listed(service) == []


def test_a_time_without_a_zone_is_in_utc(service: Service) -> None:
    assert service.make_token(expires_at="2099-01-01T00:00:00")["expires_at"] == "2099-01-01T00:00:00.000Z"


def test_what_a_token_has_no_use_for_is_ignored_aloud(service: Service) -> None:
    assert [warning["pointer"] for warning in service.make_token(scopes=["all"])["warnings"]] == ["/scopes"]


def test_a_token_is_for_organizations_that_its_maker_is_in(service: Service) -> None:
    answer = service.send("POST", TOKENS, ADA, {"name": "x", "organizations": [ORG, ELSEWHERE]})
    assert (answer.status, answer.json["code"]) == (403, "not_a_member")

    made = service.make_token(organizations=[ATTIC])
    assert service.send("GET", f"/v1/organizations/{ATTIC}/repos", made["token"]).status == 200
    assert service.send("GET", f"{HOME}/repos", made["token"]).json["code"] == "not_a_member"
    assert [each["id"] for each in service.send("GET", "/v1/organizations", made["token"]).json["items"]] == [ATTIC]


def test_the_organizations_of_a_token_come_in_the_upstreams_pages(service: Service) -> None:
    token = service.make_token(organizations=[ATTIC, ORG])["token"]

    page = service.send("GET", "/v1/organizations?skip=1&limit=1", token).json

    assert page == service.send("GET", "/v1/organizations?skip=1&limit=1", ADA).json
    assert ([each["id"] for each in page["items"]], page["total"], page["page"], page["pages"]) == ([ATTIC], 2, 2, 2)


def test_without_an_organization_of_the_deployment_a_token_is_for_all_of_its_makers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEGEN_ORG_ID", "")

    assert service.make_token()["organizations"] == [ORG, ATTIC]


def test_an_organization_where_the_deployment_can_do_nothing_is_refused(service: Service, fake: FakeCodegen) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId="codegen-token", SecretString="fake-codegen-token-of-grace")

    answer = service.send("POST", TOKENS, ADA, {"name": "x"})

    assert (answer.status, answer.json["code"]) == (409, "deployment_not_in_organization")
    assert answer.json["message"] == f"The deployment's own Codegen token does not find you in organization {ORG}."


@pytest.mark.parametrize(("maker", "role"), [(MARY, "admin"), (LINUS, "admin")])
def test_a_token_cannot_be_made_with_more_rights_than_its_maker_has(service: Service, maker: str, role: str) -> None:
    answer = service.send("POST", TOKENS, maker, {"name": "x", "role": role})

    assert (answer.status, answer.json["code"]) == (403, "role_required")
    assert (
        answer.json["message"] == f"This operation requires the role admin in organization {ORG}; your role is member."
    )


def test_who_may_only_read_makes_no_token(service: Service) -> None:
    service.give(IDS[MARY], role="viewer")

    answer = service.send("POST", TOKENS, MARY, {"name": "x", "role": "viewer"})

    assert (answer.status, answer.json["required_role"], answer.json["role"]) == (403, "member", "viewer")


def test_a_token_loses_what_its_maker_loses_within_seconds(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin")
    made = service.make_token(MARY, role="admin")
    assert service.send("PATCH", HOME, made["token"], {"name": "Mary's"}).status == 200

    service.give(IDS[MARY], role="viewer")
    clock.sleep(5)

    answer = service.send("PATCH", HOME, made["token"], {"name": "Mary's again"})
    assert (answer.status, answer.json["role"]) == (403, "viewer")
    assert service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "x"}).status == 403
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200


def test_a_token_gains_nothing_that_its_maker_gains(service: Service, clock: TestClock) -> None:
    made = service.make_token(MARY, role="member")
    service.give(IDS[MARY], role="admin")
    clock.sleep(5)

    assert service.send("PATCH", HOME, made["token"], {"name": "Mary's"}).json["code"] == "role_required"


def test_a_token_ends_with_its_makers_membership_within_minutes(
    service: Service, fake: FakeCodegen, clock: TestClock
) -> None:
    made = service.make_token(MARY)
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200
    members = fake.organizations[ORG].members
    members[:] = [member for member in members if member.id != IDS[MARY]]
    clock.sleep(TABLE_SECONDS)

    assert service.send("GET", f"{HOME}/repos", made["token"]).json["code"] == "not_a_member"
    assert service.send("GET", "/v1/users/me", made["token"]).status == 404
    assert service.send("GET", "/v1/organizations", made["token"]).json["items"] == []


def test_a_token_makes_no_other(service: Service) -> None:
    made = service.make_token(role="admin")

    answer = service.send("POST", TOKENS, made["token"], {"name": "x"})

    assert (answer.status, answer.json["code"]) == (403, "codegen_token_required")
    assert len(listed(service, made["token"])) == 1


def test_what_a_token_does_is_done_with_the_deployments_token_and_under_its_makers_name(
    service: Service, fake: FakeCodegen, runs: Any
) -> None:
    made = service.make_token(MARY)

    answer = service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "Do it."})

    assert answer.status == 200, answer.text
    assert fake.runs[answer.json["id"]].user_id == IDS[ADA]
    watch = runs.find(ORG, answer.json["id"])
    assert watch.created_by == f"user:{IDS[MARY]}"
    assert service.send("GET", "/v1/users/me", made["token"]).json["id"] == IDS[MARY]


def test_what_one_token_was_answered_is_not_repeated_to_another(service: Service) -> None:
    star, once = {"agent_run_id": 100001, "note": "Only in 123."}, {"Idempotency-Key": "the-very-same"}
    here, elsewhere = service.make_token(), service.make_token(organizations=[ATTIC])
    first = service.send("POST", "/starred-runs", here["token"], star, **once)
    assert first.status == 200

    assert service.send("POST", "/starred-runs", here["token"], star, **once).text == first.text
    assert service.send("POST", "/starred-runs", elsewhere["token"], star, **once).json["code"] == "not_a_member"


def test_a_deployment_without_a_codegen_token_says_what_is_missing(service: Service) -> None:
    made = service.make_token()
    service.send("GET", f"{HOME}/repos", made["token"])
    aws.client("secretsmanager").delete_secret(SecretId="codegen-token", ForceDeleteWithoutRecovery=True)
    upstream.deployment_token.forget()

    answer = service.send("GET", f"{HOME}/repos", made["token"])

    assert (answer.status, answer.json["code"]) == (502, "no_deployment_token")
    assert answer.json["message"] == "The deployment has no Codegen token of its own."
    assert "CodegenTokenSecret" in answer.json["remedy"]
    assert service.send("GET", f"{HOME}/repos", ADA).status == 200
    assert service.send("POST", TOKENS, ADA, {"name": "x"}).json["code"] == "no_deployment_token"


@pytest.mark.parametrize(
    ("secret_string", "code"),
    [(" ", "no_deployment_token"), ("not-a-token-of-codegen", "upstream_refused_deployment")],
    ids=["none", "refused"],
)
def test_who_meets_the_authorizer_without_a_good_token_of_the_deployment_is_told_as_well(
    service: Service, secret_string: str, code: str
) -> None:
    made = service.make_token()
    aws.client("secretsmanager").put_secret_value(SecretId="codegen-token", SecretString=secret_string)
    upstream.deployment_token.forget()

    answer = service.send("GET", f"{HOME}/repos", made["token"])

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, code, False)
    assert "operator of this deployment" in answer.json["remedy"]


@pytest.mark.parametrize("status", [401, 500])
def test_no_token_is_made_while_nobody_can_tell_who_its_maker_is(
    service: Service, fake: FakeCodegen, status: int
) -> None:
    service.send("GET", "/v1/users/me", ADA)
    fake.trouble("get_user", Trouble("error", status=status), times=None)

    answer = service.send("POST", TOKENS, ADA, {"name": "x"})

    assert answer.status == 502
    assert listed(service) == []


@pytest.mark.parametrize(
    "token",
    ["cgr_", "cgr_" + "0" * 46, secret.mint(), secret.mint()[:-1], secret.mint() + "0"],
    ids=["prefix", "no checksum", "never made", "too short", "too long"],
)
def test_a_token_that_was_never_made_is_nobodys_and_codegen_never_sees_it(
    service: Service, fake: FakeCodegen, token: str
) -> None:
    assert service.send("GET", "/v1/users/me", token).status == 401
    assert not fake.calls


def test_no_secret_is_stored_logged_or_told_again(
    service: Service, clock: TestClock, deployed: Template, fake: FakeCodegen, capfd: pytest.CaptureFixture[str]
) -> None:
    written = StringIO()
    usual = report.logger.registered_handler.setStream(written)  # type: ignore[attr-defined]
    once = {"Idempotency-Key": "the-very-same"}
    made = service.send("POST", TOKENS, ADA, {"name": "A script", "expires_at": in_days(clock, 1)}, **once).json
    service.answers.clear()
    service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "x"}, **once)
    fake.trouble("get_repos", Trouble("error", status=500), times=None)
    service.send("GET", f"{HOME}/repos", made["token"])
    service.send("GET", "/v1/organizations/abc/repos", made["token"])
    clock.sleep(86_400)
    service.send("GET", f"{HOME}/repos", made["token"])
    report.logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]

    dynamodb = aws.client("dynamodb")
    stored = [dynamodb.scan(TableName=table.name)["Items"] for table in deployed.tables.values()]
    logged = "".join([written.getvalue(), *capfd.readouterr()])
    seen = str(stored) + logged + "".join(answer.text for answer in service.answers)
    assert made["token"] not in seen
    assert re.findall(r"cgr_\w{7,}", seen) == []
    assert secret.digest(made["token"]) in str(stored)
    assert made["id"] in logged
