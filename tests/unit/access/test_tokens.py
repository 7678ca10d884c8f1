"""API tokens: create, list, revoke and use them."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from threading import Barrier
from typing import Any

import pytest

from codegen_runs import upstream
from codegen_runs.access import secret
from codegen_runs.access.authentication import TABLE_SECONDS
from codegen_runs.access.standing import ROLE_SECONDS, USE_SECONDS, Standing
from codegen_runs.backend import Backend
from codegen_runs.http import report
from codegen_runs.problems import StorageUnavailable
from codegen_runs.roles import Role
from codegen_runs.storage.access import AccessTable, ApiToken
from codegen_runs.storage.table import Table
from local.fake_codegen import FakeCodegen, Trouble
from local.template import Template
from tests.support import aws
from tests.support.backend import SECRET_NAME, TestClock
from tests.support.overtaken import Overtaken
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, HOME, IDS, LINUS, MARY, ORG, TOKENS, Service


def listed(service: Service, token: str = ADA, query: str = "") -> list[Any]:
    items: list[Any] = service.send("GET", TOKENS + query, token).json["items"]
    return items


def in_days(clock: TestClock, days: float) -> str:
    return (datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=days)).isoformat()


def test_a_token_is_shown_once_and_acts_as_its_creator(service: Service, clock: TestClock) -> None:
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


def test_a_token_without_an_expiry_never_expires(service: Service, clock: TestClock) -> None:
    made = service.make_token()
    clock.sleep(20 * 365 * 86_400)

    assert made["expires_at"] is None
    assert service.send("GET", "/v1/users/me", made["token"]).status == 200


def test_a_token_is_refused_with_the_reason_from_the_second_it_expires(service: Service, clock: TestClock) -> None:
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


def test_the_first_request_after_a_revocation_is_refused_with_the_reason(service: Service, clock: TestClock) -> None:
    made = service.make_token()
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200

    assert [service.send("DELETE", f"{TOKENS}/{made['id']}", ADA).status for _ in range(2)] == [204, 204]

    answer = service.send("GET", f"{HOME}/repos", made["token"])
    assert (answer.status, answer.json["code"]) == (401, "token_revoked")
    assert answer.json["message"].startswith("The API token was revoked at 20")
    assert listed(service) == []


def test_revoking_a_token_twice_keeps_the_first_time(service: Service, clock: TestClock) -> None:
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


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_a_token_sees_and_revokes_only_itself(service: Service, role: str) -> None:
    other, made = service.make_token(name="Other"), service.make_token(name="Own", role=role)

    seen = service.send("GET", f"{TOKENS}?limit=1", made["token"]).json
    answer = service.send("DELETE", f"{TOKENS}/{other['id']}", made["token"])

    assert [item["name"] for item in seen["items"]] == ["Own"]
    assert (seen["has_more"], seen["next_cursor"]) == (False, None)
    assert (answer.status, answer.json["code"]) == (404, "api_token_not_found")
    assert service.send("GET", "/v1/users/me", other["token"]).status == 200
    assert {item["name"] for item in service.send("GET", TOKENS, ADA).json["items"]} == {"Own", "Other"}


@pytest.mark.parametrize("token_id", ["Ada's", "tok-000000000-0000000000", "%00", "x" * 2000])
def test_the_token_of_another_caller_and_an_unknown_token_are_not_found(service: Service, token_id: str) -> None:
    made = service.make_token(ADA)
    token_id = token_id.replace("Ada's", made["id"])

    answer = service.send("DELETE", f"{TOKENS}/{token_id}", MARY)

    assert (answer.status, answer.json["code"]) == (404, "api_token_not_found")
    assert service.send("GET", "/v1/users/me", made["token"]).status == 200
    assert listed(service, MARY) == []


def test_tokens_are_listed_newest_first_in_pages_without_revoked_tokens(service: Service, clock: TestClock) -> None:
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


def test_tokens_of_one_second_are_listed_newest_first(service: Service) -> None:
    for number in range(12):
        service.make_token(name=f"Number {number}")

    assert [item["name"] for item in listed(service)] == [f"Number {number}" for number in reversed(range(12))]


def test_the_last_use_is_shown_and_written_once_an_hour(service: Service, clock: TestClock, table: AccessTable) -> None:
    made = service.make_token()

    def stored() -> int | None:
        token = table.token(IDS[ADA], made["id"])
        assert token
        return token.last_used_at

    service.send("GET", f"{HOME}/repos", made["token"])
    first = stored()
    clock.sleep(USE_SECONDS - 1)
    service.send("GET", f"{HOME}/repos", made["token"])
    assert stored() == first == int(clock.now()) - USE_SECONDS + 1
    clock.sleep(1)
    service.send("GET", f"{HOME}/repos", made["token"])
    assert stored() == int(clock.now())
    assert listed(service)[0]["last_used_at"].endswith(":00:00.000Z")


def test_a_token_works_although_its_last_use_cannot_be_stored(
    service: Service, clock: TestClock, table: AccessTable, deployed: Template
) -> None:
    def fail() -> None:
        raise StorageUnavailable

    made = service.make_token()
    access: Any = Overtaken(table, "note_use", fail)
    callers = Table(deployed.tables["CallersTable"].name)

    caller = Standing(Backend(access=access, callers=callers, clock=clock)).caller(made["token"], 5)

    assert caller.token_id == made["id"]
    stored = table.token(IDS[ADA], made["id"])
    assert stored
    assert stored.last_used_at is None


def test_a_changed_role_applies_within_five_seconds_and_the_last_use_is_stored_once_an_hour() -> None:
    assert (ROLE_SECONDS, USE_SECONDS) == (5, 3600)


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
def test_an_invalid_request_for_a_token_is_refused_with_a_pointer(service: Service, body: Any, pointer: str) -> None:
    answer = service.send("POST", TOKENS, ADA, body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert listed(service) == []


def test_a_token_may_name_ten_organizations(service: Service) -> None:
    answer = service.send("POST", TOKENS, ADA, {"name": "x", "organizations": list(range(10))})

    assert (answer.status, answer.json["code"]) == (403, "not_a_member")  # not 422, as for eleven


@pytest.mark.parametrize("revoked", [False, True])
def test_an_ended_token_is_stored_for_30_days_more(
    service: Service, clock: TestClock, deployed: Template, revoked: bool
) -> None:
    ends = int(clock.now()) + 86_400
    made = service.make_token(expires_at=in_days(clock, 1))
    if revoked:
        ends = int(clock.now())
        service.send("DELETE", f"{TOKENS}/{made['id']}", ADA)

    items = aws.client("dynamodb").scan(TableName=deployed.tables["AccessTable"].name)["Items"]
    (stored,) = [item for item in items if item["sk"]["S"] == f"token#{made['id']}"]
    assert stored["forgotten_at"] == {"N": str(ends + 30 * 86_400)}


def test_a_time_without_a_zone_is_in_utc(service: Service) -> None:
    assert service.make_token(expires_at="2099-01-01T00:00:00")["expires_at"] == "2099-01-01T00:00:00.000Z"


def test_unknown_fields_of_a_new_token_have_a_warning(service: Service) -> None:
    assert [warning["pointer"] for warning in service.make_token(scopes=["all"])["warnings"]] == ["/scopes"]


def test_a_token_is_limited_to_organizations_of_its_creator(service: Service) -> None:
    answer = service.send("POST", TOKENS, ADA, {"name": "x", "organizations": [ORG, ELSEWHERE]})
    assert (answer.status, answer.json["code"]) == (403, "not_a_member")

    made = service.make_token(organizations=[ATTIC])
    assert service.send("GET", f"/v1/organizations/{ATTIC}/repos", made["token"]).status == 200
    assert service.send("GET", f"{HOME}/repos", made["token"]).json["code"] == "not_a_member"
    assert [each["id"] for each in service.send("GET", "/v1/organizations", made["token"]).json["items"]] == [ATTIC]


def test_the_organizations_of_a_token_have_the_upstreams_pages(service: Service) -> None:
    token = service.make_token(organizations=[ATTIC, ORG])["token"]

    page = service.send("GET", "/v1/organizations?skip=1&limit=1", token).json

    assert page == service.send("GET", "/v1/organizations?skip=1&limit=1", ADA).json
    assert ([each["id"] for each in page["items"]], page["total"], page["page"], page["pages"]) == ([ATTIC], 2, 2, 2)


def test_without_a_default_organization_a_token_is_valid_in_all_of_its_creators(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEGEN_ORG_ID", "")

    assert service.make_token()["organizations"] == [ORG, ATTIC]


def test_an_organization_without_the_deployment_is_refused(service: Service, fake: FakeCodegen) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId=SECRET_NAME, SecretString="fake-codegen-token-of-grace")

    answer = service.send("POST", TOKENS, ADA, {"name": "x"})

    assert (answer.status, answer.json["code"]) == (409, "deployment_not_in_organization")
    assert (
        answer.json["message"] == f"You were not found in organization {ORG} with the deployment's own Codegen token."
    )


@pytest.mark.parametrize(("maker", "role"), [(MARY, "admin"), (LINUS, "admin")])
def test_a_token_cannot_have_a_higher_role_than_its_creator(service: Service, maker: str, role: str) -> None:
    answer = service.send("POST", TOKENS, maker, {"name": "x", "role": role})

    assert (answer.status, answer.json["code"]) == (403, "role_required")
    assert (
        answer.json["message"] == f"This operation requires the role admin in organization {ORG}; your role is member."
    )


def test_a_viewer_may_not_create_a_token(service: Service) -> None:
    service.give(IDS[MARY], role="viewer")

    answer = service.send("POST", TOKENS, MARY, {"name": "x", "role": "viewer"})

    assert (answer.status, answer.json["required_role"], answer.json["role"]) == (403, "member", "viewer")


def test_a_token_loses_rights_within_seconds_when_its_creator_does(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin")
    made = service.make_token(MARY, role="admin")
    assert service.send("PATCH", HOME, made["token"], {"name": "Mary's"}).status == 200

    service.give(IDS[MARY], role="viewer")
    clock.sleep(5)

    answer = service.send("PATCH", HOME, made["token"], {"name": "Mary's again"})
    assert (answer.status, answer.json["role"]) == (403, "viewer")
    assert service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "x"}).status == 403
    assert service.send("GET", f"{HOME}/repos", made["token"]).status == 200


def test_a_token_gains_no_rights_when_its_creator_does(service: Service, clock: TestClock) -> None:
    made = service.make_token(MARY, role="member")
    service.give(IDS[MARY], role="admin")
    clock.sleep(5)

    assert service.send("PATCH", HOME, made["token"], {"name": "Mary's"}).json["code"] == "role_required"


def test_a_token_stops_working_within_minutes_when_its_creator_leaves(
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


def test_a_token_cannot_create_another_token(service: Service) -> None:
    made = service.make_token(role="admin")

    answer = service.send("POST", TOKENS, made["token"], {"name": "x"})

    assert (answer.status, answer.json["code"]) == (403, "codegen_token_required")
    assert len(listed(service, made["token"])) == 1


def test_calls_with_a_token_use_the_deployments_token_and_record_its_creator(
    service: Service, fake: FakeCodegen, runs: Any
) -> None:
    made = service.make_token(MARY)

    answer = service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "Do it."})

    assert answer.status == 200, answer.text
    assert fake.runs[answer.json["id"]].user_id == IDS[ADA]
    watch = runs.find(ORG, answer.json["id"])
    assert watch.created_by == f"user:{IDS[MARY]}"
    assert service.send("GET", "/v1/users/me", made["token"]).json["id"] == IDS[MARY]


def test_the_answer_to_one_token_is_not_replayed_to_another(service: Service) -> None:
    star, once = {"agent_run_id": 100001, "note": "Only in 123."}, {"Idempotency-Key": "the-very-same"}
    here, elsewhere = service.make_token(), service.make_token(organizations=[ATTIC])
    first = service.send("POST", "/starred-runs", here["token"], star, **once)
    assert first.status == 200

    assert service.send("POST", "/starred-runs", here["token"], star, **once).text == first.text
    assert service.send("POST", "/starred-runs", elsewhere["token"], star, **once).json["code"] == "not_a_member"


def test_the_answer_says_that_the_deployment_has_no_codegen_token(service: Service) -> None:
    made = service.make_token()
    service.send("GET", f"{HOME}/repos", made["token"])
    aws.client("secretsmanager").delete_secret(SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)
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
def test_the_answer_says_that_the_deployments_token_is_missing_or_refused(
    service: Service, secret_string: str, code: str
) -> None:
    made = service.make_token()
    aws.client("secretsmanager").put_secret_value(SecretId=SECRET_NAME, SecretString=secret_string)
    upstream.deployment_token.forget()

    answer = service.send("GET", f"{HOME}/repos", made["token"])

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (502, code, False)
    assert "operator of this deployment" in answer.json["remedy"]


@pytest.mark.parametrize("status", [401, 500])
def test_no_token_is_created_while_codegen_cannot_confirm_its_creator(
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
def test_a_token_that_was_never_created_is_refused_and_never_sent_to_codegen(
    service: Service, fake: FakeCodegen, token: str
) -> None:
    assert service.send("GET", "/v1/users/me", token).status == 401
    assert not fake.calls


def test_no_secret_is_stored_logged_or_shown_again(
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


# --- how many one user may have --------------------------------------------------------------------------------------


def test_a_user_has_a_bounded_number_of_tokens_that_are_valid(
    service: Service, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKENS_PER_CALLER", "2")
    first = service.make_token()
    service.make_token(expires_at=in_days(clock, 1))
    refused = service.send("POST", TOKENS, ADA, {"name": "One more"})

    assert (refused.status, refused.json["code"]) == (409, "too_many_api_tokens")
    assert "Revoke a token" in refused.json["remedy"]
    assert service.send("POST", TOKENS, LINUS, {"name": "Of another user"}).status == 201
    service.send("DELETE", f"{TOKENS}/{first['id']}", ADA)
    service.make_token()
    assert service.send("POST", TOKENS, ADA, {"name": "One more"}).status == 409
    clock.sleep(86_400)
    service.make_token()


def test_tokens_that_are_made_at_the_same_time_do_not_exceed_the_cap_together(
    service: Service, deployed: Template, clock: TestClock
) -> None:
    table = AccessTable(deployed.tables["AccessTable"].name)
    barrier = Barrier(6)

    def make(number: int) -> bool:
        now, user_id = int(clock.now()), IDS[ADA]
        token = ApiToken(
            id=f"tok-00000000{number}-0123456789",
            user_id=user_id,
            name="Mine",
            prefix="x",
            role=Role.VIEWER,
            organizations=(ORG,),
            created_at=now,
        )
        barrier.wait()
        return table.add_token(lambda _: token, f"digest-{number}", user_id=user_id, now=now, most=2) is not None

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(make, range(6))) == 2
    assert len(listed(service)) == 2
