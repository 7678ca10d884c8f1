"""What each role may do. The role is checked before the operation gets the request."""

import json
import re
from typing import Any

import pytest

from codegen_runs.access.standing import ROLE_SECONDS
from codegen_runs.aws import wire as wire_to_aws
from codegen_runs.problems import StorageUnavailable
from codegen_runs.roles import Role, at_codegen
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, Trouble
from local.template import Template
from tests.support import aws
from tests.support.backend import TestClock, create_state_machine
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
    """The token of a caller who may only read: a Codegen token, or an API token of this deployment."""
    if request.param == "ours":
        token: str = service.make_token(MARY, role="viewer")["token"]
        return token
    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS)
    return MARY


@pytest.mark.parametrize("path", READS)
def test_a_viewer_may_read(service: Service, viewer: str, path: str) -> None:
    assert service.send("GET", path, viewer).status == 200


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_a_viewer_may_not_act(
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


def test_a_viewer_may_get_a_stream_ticket(service: Service, viewer: str) -> None:
    answer = service.send("POST", "/v1/stream-tickets", viewer, {"agent_run_id": 100001})

    assert answer.status == 201, answer.text


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_a_caller_with_a_codegen_token_and_no_recorded_role_may_act(
    service: Service, deployed: Template, method: str, path: str, body: Any
) -> None:
    create_state_machine(deployed)

    assert service.send(method, path, MARY, body).status in (200, 202, 204)


@pytest.mark.parametrize("token", [MARY, LINUS], ids=["a member", "a manager of Codegen"])
@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_a_member_may_not_manage(service: Service, token: str, method: str, path: str, body: Any) -> None:
    answer = service.send(method, path, token, body)

    assert (answer.status, answer.json["code"]) == (403, "role_required")
    assert (answer.json["role"], answer.json["required_role"]) == ("member", "admin")
    assert answer.json["remedy"].startswith("Ask an admin of the organization for the role admin,")


@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_an_admin_may_manage_by_codegens_role_a_recorded_role_or_an_api_token(
    service: Service, clock: TestClock, method: str, path: str, body: Any
) -> None:
    assert service.send(method, path, ADA, body).status == 200

    service.give(IDS[MARY], role="admin")
    clock.sleep(ROLE_SECONDS)
    assert service.send(method, path, MARY, body).status == 200

    by_token = service.send(method, path, service.make_token(MARY, role="admin")["token"], body)
    assert by_token.status == (403 if "/users/" in path else 200)  # A role would outlive the token.


def test_an_admin_of_one_organization_is_not_an_admin_of_another(service: Service, fake: FakeCodegen) -> None:
    """`users/me` returns the role ADMIN without its organization."""
    mary = next(member for member in fake.organizations[ORG].members if member.id == IDS[MARY])
    fake.organizations[ATTIC].members.insert(0, mary.model_copy(update={"role": "ADMIN"}))

    assert service.send("PATCH", f"/v1/organizations/{ATTIC}", MARY, {"name": "Hers"}).status == 200
    assert service.send("PATCH", HOME, MARY, {"name": "Not hers"}).json["code"] == "role_required"


@pytest.mark.parametrize(
    ("role", "is_admin", "expected"),
    [
        ("ADMIN", None, Role.ADMIN),
        ("admin", False, Role.ADMIN),
        ("MANAGER", True, Role.MEMBER),
        ("MEMBER", None, Role.MEMBER),
        ("", True, Role.MEMBER),
        (None, True, Role.ADMIN),
        (None, False, Role.MEMBER),
        (None, None, Role.MEMBER),
    ],
)
def test_only_an_admin_of_codegen_is_an_admin_here(role: str | None, is_admin: bool | None, expected: Role) -> None:
    assert at_codegen(role, is_admin=is_admin) is expected


def test_a_recorded_role_applies_in_its_organization_only(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin")
    service.give(IDS[ADA], role="viewer")
    clock.sleep(ROLE_SECONDS)

    assert service.send("PATCH", HOME, ADA, {"name": "x"}).json["role"] == "viewer"
    assert service.send("PATCH", f"/v1/organizations/{ATTIC}", ADA, {"name": "x"}).status == 200


def test_a_changed_role_applies_within_seconds(service: Service, clock: TestClock) -> None:
    star = {"agent_run_id": 100001}
    assert service.send("POST", "/starred-runs", MARY, star).status == 200
    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS - 0.5)
    assert service.send("POST", "/starred-runs", MARY, star).status == 200
    clock.sleep(0.5)

    assert service.send("POST", "/starred-runs", MARY, star).status == 403


def test_permissions_can_restrict_a_role(service: Service, clock: TestClock) -> None:
    service.give(IDS[MARY], role="admin", permissions=["read"])
    clock.sleep(ROLE_SECONDS)

    assert service.send("GET", f"{HOME}/repos", MARY).status == 200
    assert service.send("POST", "/starred-runs", MARY, {"agent_run_id": 100001}).json["role"] == "viewer"


def test_the_role_is_checked_before_the_body_and_the_path(service: Service) -> None:
    assert service.send("PATCH", HOME, MARY, {"name": 7}).status == 403
    assert service.send("PATCH", f"{HOME}/users/nobody", MARY, "{").status == 403


def test_no_caller_is_admitted_while_storage_is_unavailable(service: Service, clock: TestClock) -> None:
    service.send("GET", "/v1/users/me", MARY)
    clock.sleep(ROLE_SECONDS)

    # The gateway answers 502, because the token could not be checked.
    with wire_to_aws.over(unreachable()), pytest.raises(StorageUnavailable):
        service.send("GET", "/v1/users/me", MARY)


def test_an_admin_gets_502_while_codegen_cannot_confirm_the_role(service: Service, fake: FakeCodegen) -> None:
    service.send("GET", "/v1/users/me", ADA)
    fake.trouble("get_user", Trouble("error", status=500), times=None)

    answer = service.send("PATCH", HOME, ADA, {"name": "x"})

    assert (answer.status, answer.json["code"]) == (502, "upstream_failed")


def test_only_operations_for_admins_read_the_role_from_codegen(
    service: Service, fake: FakeCodegen, runs: RunsTable
) -> None:
    service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "x"})
    service.send("GET", f"{HOME}/agent/runs", ADA)

    assert fake.calls["get_user"] == 0


def test_the_documented_command_makes_the_first_admin(
    service: Service, fake: FakeCodegen, clock: TestClock, deployed: Template
) -> None:
    fake.organizations[ORG].members[0].role = "MEMBER"
    fake.organizations[ORG].members[0].is_admin = None
    assert service.send("PATCH", HOME, ADA, {"name": "x"}).status == 403

    (item,) = re.findall(r"--item '(\{.+?\})'", (ROOT / "docs/operations.md").read_text("utf-8"), re.DOTALL)
    aws.client("dynamodb").put_item(TableName=deployed.tables["AccessTable"].name, Item=json.loads(item))
    clock.sleep(ROLE_SECONDS)

    assert service.send("PATCH", HOME, ADA, {"name": "x"}).status == 200


def test_the_roles_are_read_once_for_several_requests(service: Service, clock: TestClock) -> None:
    service.send("GET", "/v1/users/me", ADA)
    with wire_to_aws.over(unreachable()):
        assert service.send("GET", "/v1/users/me", ADA).status == 200
