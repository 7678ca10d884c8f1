"""Every route of the OpenAPI document with every kind of caller.

What is expected follows from three declared facts of an operation (`tests/support/operations.py`): the role that it
needs, where its requests name the organization, and whether it takes API tokens of this deployment. A new operation is
in the matrix as soon as it is in the document.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from codegen_runs.access.authentication import TABLE_SECONDS
from codegen_runs.access.standing import ROLE_SECONDS
from codegen_runs.backend import Backend
from codegen_runs.roles import Role, needed_for
from local.fake_codegen import FakeCodegen
from local.template import Template
from tests.support.backend import Kicks, TestClock, create_state_machine
from tests.support.events import working_with
from tests.support.loops import current_loop
from tests.support.operations import Operation, operations
from tests.unit.access.service import ADA, ATTIC, ELSEWHERE, IDS, LINUS, MARY, ORG, TOKENS, Service

# A request without a token, or with one that was never valid, is answered by the gateway itself, with no code.
GATEWAY = ""


@dataclass(frozen=True)
class Caller:
    """A kind of caller, and what is true of all its requests.

    Attributes:
        refused: The code of the 401 that every request gets; None for a valid token.
        role: The role in the organization; None if the caller is not in it.
        kind: Whether it is an API token of this deployment.
    """

    refused: str | None = None
    role: Role | None = None
    api_token: bool = True


CALLERS = {
    "none": Caller(GATEWAY),
    "garbage": Caller(GATEWAY),
    "bad checksum": Caller(GATEWAY),
    "expired": Caller("token_expired"),
    "revoked": Caller("token_revoked"),
    "viewer": Caller(role=Role.VIEWER),
    "member": Caller(role=Role.MEMBER),
    "admin": Caller(role=Role.ADMIN),
    "other organization": Caller(role=None),
    "removed upstream": Caller(role=None, api_token=False),
    "demoted": Caller(role=Role.VIEWER, api_token=False),
    "admin of Codegen": Caller(role=Role.ADMIN, api_token=False),
}


def refusal(operation: Operation, caller: Caller) -> tuple[int, str] | None:
    """Return the status and the code with which a request is refused; None if the caller may send it."""
    if operation.place == "public":
        return None
    if caller.refused is not None:
        return 401, caller.refused
    if operation in PASSED_ON and caller.api_token:
        return 403, "codegen_token_required"
    if operation.place != "none":
        if caller.role is None:
            return 403, "not_a_member"
        if not caller.role.includes(operation.role):
            return 403, "role_required"
    if operation.codegen_token_only and caller.api_token:
        return 403, "codegen_token_required"
    if caller.role and not caller.role.includes(operation.role):  # In the caller's own organizations.
        return 403, "role_required"
    return None


@pytest.fixture
def tokens(service: Service, clock: TestClock, fake: FakeCodegen, deployed: Template) -> Iterator[dict[str, str]]:
    """The token of each kind of caller."""
    create_state_machine(deployed)
    expiring = service.make_token(role="admin", expires_at="2030-01-01")
    clock.sleep(max(0, 1_893_456_000 - clock.now()))
    revoked = service.make_token(role="admin")
    service.send("DELETE", f"{TOKENS}/{revoked['id']}", ADA)
    own = {role.value: service.make_token(role=role)["token"] for role in Role}
    other = service.make_token(role="admin", organizations=[ATTIC])["token"]
    assert service.send("GET", "/v1/users/me", LINUS).status == 200
    members = fake.organizations[ORG].members
    linus = next(each for each in members if each.id == IDS[LINUS])
    members.remove(linus)
    fake.organizations[ELSEWHERE].members.append(linus)
    service.give(IDS[MARY], role="viewer")
    clock.sleep(max(ROLE_SECONDS, TABLE_SECONDS))
    changed = "A" if own["admin"][-1] != "A" else "B"
    with current_loop():
        yield {
            "none": "",
            "garbage": "a-token-of-nobody",
            "bad checksum": own["admin"][:-1] + changed,
            "expired": expiring["token"],
            "revoked": revoked["token"],
            **own,
            "other organization": other,
            "removed upstream": LINUS,
            "demoted": MARY,
            "admin of Codegen": ADA,
        }


# Operations of the Codegen API that are in no document: they are passed on with the caller's own token.
PASSED_ON = tuple(
    Operation(method, path, place, needed_for(method), codegen_token_only=True, body=body, parameters={}, query=query)
    for method in ("GET", "POST")
    for path, place, body, query in (
        ("/v1/organizations/{org_id}/undocumented", "path", None, {}),
        ("/v1/undocumented", "body", {"org_id": ORG}, {}),
        ("/v1/undocumented", "query", None, {"org_id": ORG}),
        ("/v1/undocumented", "none", None, {}),
    )
)


def sorted_out(every: tuple[Operation, ...]) -> list[object]:
    """Return the routes as parameters: one of each kind in the default profile, all of them in the full one."""
    seen, found = set(), []
    for operation in every:
        kind = (operation.place, operation.role, operation.codegen_token_only)
        found.append(pytest.param(operation, id=str(operation), marks=[pytest.mark.full] if kind in seen else []))
        seen.add(kind)
    return found


def in_the_body() -> tuple[Operation, ...]:
    """Return the routes whose body may name the organization, although the document shows it in the path."""
    paths = ("setup-commands", "analyze-logs")
    return tuple(
        replace(each, body=(each.body or {}) | {"org_id": ORG, "sandbox_id": 31})
        for each in operations()
        if each.place == "default" and each.path.endswith(paths)
    )


class NoLookup:
    """The stored attempts of keyed requests, for requests that must be refused before their key is looked up."""

    def begin(self, key: str, *_: object) -> None:
        raise AssertionError("The Idempotency-Key was looked up.")


@pytest.mark.parametrize("operation", sorted_out((*operations(), *in_the_body(), *PASSED_ON)))
def test_a_request_is_refused_to_those_who_may_not_send_it(
    service: Service, fake: FakeCodegen, clock: TestClock, tokens: dict[str, str], operation: Operation
) -> None:
    guarded = Backend(clock=clock, kick=Kicks(), idempotency=NoLookup())
    key = {"Idempotency-Key": "8e03978e"} if operation.method == "POST" else {}
    for name, caller in CALLERS.items():
        expected, runs = refusal(operation, caller), len(fake.runs)

        with working_with(guarded) if expected and caller.refused is None and key else nullcontext():
            answer = service.send(operation.method, operation.target(ORG), tokens[name], operation.body, **key)

        if expected is None:
            assert answer.status not in (401, 403), (name, answer.text)
            assert answer.status < 500, (name, answer.text)
        elif expected == (401, GATEWAY):
            assert (answer.status, answer.text) == (401, "The gateway's own."), name
        else:
            assert (answer.status, answer.json["code"]) == expected, (name, answer.text)
        if expected:
            assert len(fake.runs) == runs, name


def test_the_matrix_has_every_kind_of_place() -> None:
    assert {each.place for each in operations()} == {"public", "path", "body", "query", "default", "none"}
    assert len(in_the_body()) == 4
