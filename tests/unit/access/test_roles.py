"""What each role may do, decided before the operation says a word."""

import json
import re
from typing import Any

import pytest

from codegen_runs.access.standing import ROLE_SECONDS
from codegen_runs.aws import wire as wire_to_aws
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, Trouble
from local.template import Template
from tests.support import aws
from tests.support.backend import TestClock
from tests.support.events import REQUEST_ID
from tests.support.sources import ROOT
from tests.unit.access.service import ADA, ATTIC, HOME, IDS, LINUS, MARY, ORG, TOKENS, Service, unreachable

READS = ["/v1/users/me", "/v1/organizations", HOME, f"{HOME}/members", f"{HOME}/users", f"{HOME}/agent/runs", TOKENS]
ACTS: list[tuple[str, str, Any]] = [
    ("POST", f"{HOME}/agent/run", {"prompt": "x"}),
    ("POST", f"/organizations/{ORG}/agent/run", {"prompt": "x"}),
    ("POST", f"{HOME}/agent/run/100001/ban-all-checks", None),
    ("POST", f"{HOME}/multi-runs", {"prompt": "x", "concurrency": 2}),
    ("DELETE", f"{HOME}/starred-runs/100001", None),
    ("POST", "/starred-runs", {"agent_run_id": 100001}),
    ("POST", "/setup-commands", {"repo_id": 456}),
    ("POST", "/setup-commands", {"repo_id": 456, "org_id": ORG}),
    ("POST", "/sandbox/analyze-logs", {"sandbox_id": 31, "org_id": ORG}),
]
MANAGES: list[tuple[str, str, Any]] = [
    ("PATCH", HOME, {"name": "Mine"}),
    ("PATCH", f"{HOME}/users/791", {"role": "viewer"}),
]


@pytest.fixture(params=["codegen", "ours"])
def viewer(service: Service, clock: TestClock, request: pytest.FixtureRequest) -> str:
    """The token of somebody who may only read: her own at Codegen, or one of this deployment."""
    if request.param == "ours":
        token: str = service.make_token(MARY, role="viewer")["token"]
        return token
    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS)
    return MARY


@pytest.mark.parametrize("path", READS)
def test_a_viewer_reads(service: Service, viewer: str, path: str) -> None:
    assert service.send("GET", path, viewer).status == 200


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_a_viewer_does_nothing(
    service: Service, viewer: str, fake: FakeCodegen, method: str, path: str, body: Any
) -> None:
    service.send("GET", "/v1/users/me", viewer)
    before = dict(fake.calls)

    answer = service.send(method, path, viewer, body)

    assert answer.status == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": f"This operation requires the role member in organization {ORG}; your role is viewer.",
        "instance": path,
        "code": "role_required",
        "request_id": REQUEST_ID,
        "retryable": False,
        "remedy": "Ask an admin of the organization for the role member, or use a token with that role.",
        "message": f"This operation requires the role member in organization {ORG}; your role is viewer.",
        "status_code": 403,
        "role": "viewer",
        "required_role": "member",
    }
    assert fake.calls == before


def test_a_viewer_watches_also_in_a_browser(service: Service, viewer: str) -> None:
    answer = service.send("POST", "/v1/stream-tickets", viewer, {"agent_run_id": 100001})

    assert answer.status == 201, answer.text


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_whoever_has_a_codegen_token_and_no_record_acts_as_ever(
    service: Service, method: str, path: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codegen_runs.multi_runs.executions.start", lambda _: None)

    assert service.send(method, path, MARY, body).status in (200, 202, 204)


@pytest.mark.parametrize("token", [MARY, LINUS], ids=["a member", "a manager of Codegen"])
@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_a_member_manages_nothing(service: Service, token: str, method: str, path: str, body: Any) -> None:
    answer = service.send(method, path, token, body)

    assert (answer.status, answer.json["code"]) == (403, "role_required")
    assert (answer.json["role"], answer.json["required_role"]) == ("member", "admin")
    assert answer.json["remedy"].startswith("Ask an admin of the organization for the role admin,")


@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_an_admin_manages_by_codegens_word_or_by_a_record_or_by_a_token(
    service: Service, clock: TestClock, method: str, path: str, body: Any
) -> None:
    assert service.send(method, path, ADA, body).status == 200

    service.give(IDS[MARY], role="admin")
    clock.sleep(ROLE_SECONDS)
    assert service.send(method, path, MARY, body).status == 200

    assert service.send(method, path, service.make_token(MARY, role="admin")["token"], body).status == 200


def test_who_is_an_admin_elsewhere_is_none_here(service: Service, fake: FakeCodegen) -> None:
    """`users/me` says ADMIN of somebody, and not where."""
    mary = next(member for member in fake.organizations[ORG].members if member.id == IDS[MARY])
    fake.organizations[ATTIC].members.insert(0, mary.model_copy(update={"role": "ADMIN"}))

    assert service.send("PATCH", f"/v1/organizations/{ATTIC}", MARY, {"name": "Hers"}).status == 200
    assert service.send("PATCH", HOME, MARY, {"name": "Not hers"}).json["code"] == "role_required"


def test_a_role_in_one_organization_says_nothing_of_another(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin")
    service.give(IDS[ADA], role="viewer")
    clock.sleep(ROLE_SECONDS)

    assert service.send("PATCH", HOME, ADA, {"name": "x"}).json["role"] == "viewer"
    assert service.send("PATCH", f"/v1/organizations/{ATTIC}", ADA, {"name": "x"}).status == 200


def test_a_role_that_was_taken_holds_within_seconds(service: Service, clock: TestClock) -> None:
    star = {"agent_run_id": 100001}
    assert service.send("POST", "/starred-runs", MARY, star).status == 200
    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS - 0.5)
    assert service.send("POST", "/starred-runs", MARY, star).status == 200
    clock.sleep(0.5)

    assert service.send("POST", "/starred-runs", MARY, star).status == 403


def test_permissions_that_are_less_than_the_role_count(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin", permissions=["read"])
    clock.sleep(ROLE_SECONDS)

    assert service.send("GET", f"{HOME}/repos", MARY).status == 200
    assert service.send("POST", "/starred-runs", MARY, {"agent_run_id": 100001}).json["role"] == "viewer"


def test_the_role_is_checked_before_a_word_is_said_about_the_request(service: Service) -> None:
    assert service.send("PATCH", HOME, MARY, {"name": 7}).status == 403
    assert service.send("PATCH", f"{HOME}/users/nobody", MARY, "{").status == 403


def test_an_outage_of_storage_gives_nobody_rights(service: Service, clock: TestClock) -> None:
    service.send("GET", "/v1/users/me", MARY)
    clock.sleep(ROLE_SECONDS)

    # The gateway makes 502 of it: the token could not be checked.
    with wire_to_aws.over(unreachable()), pytest.raises(StorageUnavailable):
        service.send("GET", "/v1/users/me", MARY)


def test_an_admin_whom_codegen_cannot_confirm_now_is_asked_to_come_back(service: Service, fake: FakeCodegen) -> None:
    service.send("GET", "/v1/users/me", ADA)
    fake.trouble("get_user", Trouble("error", status=500), times=None)

    answer = service.send("PATCH", HOME, ADA, {"name": "x"})

    assert (answer.status, answer.json["code"]) == (502, "upstream_failed")


def test_only_what_manages_asks_codegen_for_a_role(service: Service, fake: FakeCodegen, runs: RunsTable) -> None:
    service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "x"})
    service.send("GET", f"{HOME}/agent/runs", ADA)

    assert fake.calls["get_user"] == 0


def test_the_first_admin_can_be_put_into_the_table_as_documented(
    service: Service, fake: FakeCodegen, clock: TestClock, deployed: Template
) -> None:
    fake.organizations[ORG].members[0].role = "MEMBER"
    fake.organizations[ORG].members[0].is_admin = None
    assert service.send("PATCH", HOME, ADA, {"name": "x"}).status == 403

    (item,) = re.findall(r"--item '(\{.+?\})'", (ROOT / "docs/operations.md").read_text("utf-8"), re.DOTALL)
    aws.client("dynamodb").put_item(TableName=deployed.tables["AccessTable"].name, Item=json.loads(item))
    clock.sleep(ROLE_SECONDS)

    assert service.send("PATCH", HOME, ADA, {"name": "x"}).status == 200


def test_requests_in_a_row_read_the_roles_once(service: Service, clock: TestClock) -> None:
    service.send("GET", "/v1/users/me", ADA)
    with wire_to_aws.over(unreachable()):
        assert service.send("GET", "/v1/users/me", ADA).status == 200
