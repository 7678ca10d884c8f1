"""What the audit trail has of an act: an entry before it, one with its outcome, and nothing that is a secret."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api._audit_check import ChainReader
from codegen_runs import upstream
from codegen_runs.audit.acts import Act
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.problems import StorageRefused, StorageUnavailable
from codegen_runs.roles import Role
from codegen_runs.storage.audit import AuditEntry, AuditTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, DEMO_USER_ID, FakeCodegen, FakeTransport, Script, Trouble
from local.template import Template
from tests.support import aws, handlers
from tests.support.backend import SECRET_NAME, Kicks, TestClock
from tests.support.events import REQUEST_ID, Answer, call, rest, working_with

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
ADA = Caller("user:789", DEMO_USER_ID, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN, roles={DEMO_ORG_ID: Role.ADMIN})
VIEWER = Caller("user:790", 790, frozenset({DEMO_ORG_ID}), DEMO_TOKEN, roles={DEMO_ORG_ID: Role.VIEWER})
SCRIPT = Caller(
    "user:791", 791, frozenset({DEMO_ORG_ID}), kind=DEPLOYMENT, roles={DEMO_ORG_ID: Role.MEMBER}, token_id="tok-1"
)


class Fragile(AuditTable):
    """An audit table that fails from some write on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.writes_left: int | None = None
        self.error: StorageUnavailable = StorageUnavailable("The storage does not respond.", retry_after=3)

    def add(self, entry: AuditEntry) -> None:
        if self.writes_left == 0:
            raise self.error
        if self.writes_left is not None:
            self.writes_left -= 1
        super().add(entry)


@pytest.fixture
def table(deployed: Template) -> Fragile:
    return Fragile(deployed.tables["AuditTable"].name)


@pytest.fixture(autouse=True)
def _world(table: Fragile, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    upstream.deployment_token.forget()
    aws.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks(), audit=table)):
        yield
    upstream.deployment_token.forget()


def send(method: str, name: str, path: str, body: Any = None, *, caller: Caller = ADA, **headers: str) -> Answer:
    return call(handlers.handler(name), rest(method, path, body=body, caller=caller, headers=headers))


def start(fake: FakeCodegen) -> int:
    """Start a run that does not end, and return its id."""
    fake.script(Script(ending="NEVER"))
    return int(send("POST", "agent_runs/create", f"{ORG}/agent/run", {"prompt": "Say hello."}).json["id"])


def cancel(run_id: int, body: Any = None, *, caller: Caller = ADA, **headers: str) -> Answer:
    return send("POST", "agent_runs/cancel", f"{ORG}/agent/run/{run_id}/cancel", body, caller=caller, **headers)


def pause(run_id: Any, *, caller: Caller = ADA, **headers: str) -> Answer:
    return send("POST", "agent_runs/pause", f"{ORG}/agent/run/{run_id}/pause", caller=caller, **headers)


def entries(table: AuditTable, org_id: int = DEMO_ORG_ID) -> list[AuditEntry]:
    """Return the entries of an organization, oldest first."""
    return table.newest(org_id, 1000)[::-1]


def test_an_act_has_an_entry_before_it_and_one_with_its_outcome(table: AuditTable, fake: FakeCodegen) -> None:
    run_id = start(fake)
    answer = cancel(run_id, {"allow_pr_ban": True, "reason": "It loops."}, caller=SCRIPT)
    attempted, concluded = entries(table)

    assert answer.status == 202, answer.text
    for entry in (attempted, concluded):
        assert (entry.act, entry.target, entry.details) == ("run.cancel", str(run_id), {"allow_pr_ban": True})
        assert (entry.actor, entry.token_id, entry.role) == ("user:791", "tok-1", Role.MEMBER)
        assert entry.request_id == REQUEST_ID
    assert (attempted.outcome, attempted.status, attempted.attempt) == ("attempted", None, None)
    assert (concluded.outcome, concluded.status, concluded.attempt) == ("succeeded", 202, attempted.sequence)


def test_an_act_that_is_refused_is_recorded_with_the_code(table: AuditTable, fake: FakeCodegen) -> None:
    cancel(start(fake))

    assert [(entry.outcome, entry.status, entry.code) for entry in entries(table)] == [
        ("attempted", None, None),
        ("refused", 409, "cancel_needs_pr_ban"),
    ]


def test_an_act_that_fails_is_recorded_as_failed(table: AuditTable, fake: FakeCodegen) -> None:
    run_id = start(fake)
    fake.trouble("ban_all_checks_for_agent_run", Trouble("error", status=500), times=9)
    answer = send("POST", "agent_runs/ban", f"{ORG}/agent/run/ban", {"agent_run_id": run_id})

    concluded = entries(table)[-1]
    assert (concluded.act, concluded.target) == ("run.ban", str(run_id))
    assert (concluded.outcome, concluded.status, concluded.code) == ("failed", answer.status, answer.json["code"])


@pytest.mark.parametrize(
    ("body", "caller", "status"),
    [("[]", ADA, 422), ({"allow_pr_ban": "perhaps"}, ADA, 422), (None, VIEWER, 403)],
    ids=["no object", "a wrong value", "a viewer"],
)
def test_a_request_that_is_malformed_or_not_allowed_is_no_act(
    table: AuditTable, body: Any, caller: Caller, status: int
) -> None:
    assert cancel(7, body, caller=caller).status == status
    assert entries(table) == []


def test_a_request_that_is_replayed_is_one_act(table: AuditTable, fake: FakeCodegen) -> None:
    run_id = start(fake)
    first, second = (pause(run_id, **{"Idempotency-Key": "one"}) for _ in range(2))

    assert (first.status, second.headers["idempotent-replay"]) == (200, "true")
    assert len(entries(table)) == 2


@pytest.mark.parametrize(
    "error", [StorageUnavailable("It is overloaded.", retry_after=3), StorageRefused("There is no such table.")]
)
def test_what_cannot_be_recorded_is_not_done(
    table: Fragile, fake: FakeCodegen, error: StorageUnavailable, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = start(fake)
    table.writes_left, table.error = 0, error
    answer = pause(run_id, **{"Idempotency-Key": "one"})
    table.writes_left = None

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (503, "audit_unavailable", True)
    assert answer.headers["retry-after"] == str(int(error.retry_after or 1))
    assert [str(error) in record.exc_text for record in caplog.records if record.exc_text] == [True]
    assert entries(table) == []
    again = pause(run_id, **{"Idempotency-Key": "one"})
    assert (again.status, "idempotent-replay" in again.headers) == (200, False), "the key was released"


def test_an_act_whose_outcome_cannot_be_recorded_has_its_answer_and_a_line_in_the_log(
    table: Fragile, fake: FakeCodegen, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = start(fake)
    table.writes_left = 1
    answer = pause(run_id)
    table.writes_left = None

    assert answer.status == 200
    assert [entry.outcome for entry in entries(table)] == ["attempted"]
    (line,) = [record.__dict__ for record in caplog.records if record.levelname == "ERROR"]
    assert (line["act"], line["attempt"], line["status"]) == ("run.pause", 1, 200)
    reader = ChainReader()
    for entry in reversed(entries(table)):
        reader.take(entry.model_dump(mode="json"))
    assert reader.result().unfinished == (1,)


def test_a_token_is_recorded_by_its_id_in_each_organization_of_its_creator(table: AuditTable) -> None:
    made = send("POST", "api_tokens/create", "/v1/users/me/api-tokens", {"name": "CI", "role": "viewer"}).json
    send("DELETE", "api_tokens/revoke", f"/v1/users/me/api-tokens/{made['id']}")

    for org_id in (DEMO_ORG_ID, 124):
        created, concluded, revoked, _ = entries(table, org_id)
        assert (created.target, created.details) == (None, {"role": "viewer"})
        assert (concluded.target, concluded.outcome) == (made["id"], "succeeded")
        assert (revoked.act, revoked.target) == ("api_token.revoke", made["id"])
    assert entries(table, 124)[0].role is None, "this deployment gives no role there"
    text = json.dumps([entry.model_dump(mode="json") for entry in entries(table)])
    assert made["token"] not in text
    assert DEMO_TOKEN not in text


def test_changes_of_roles_and_budgets_are_recorded_with_what_they_became(table: AuditTable) -> None:
    role = send("PATCH", "users/update", f"{ORG}/users/792", {"role": "admin"})
    budgets = send("PUT", "budgets/set", f"{ORG}/budgets", {"organization": {"runs_per_day": 9}, "caller": {}})

    assert (role.status, budgets.status) == (200, 200), role.text + budgets.text
    found = [entry for entry in entries(table) if entry.outcome == "succeeded"]
    assert [(entry.act, entry.target, entry.details) for entry in found] == [
        ("member.set_role", "792", {"role": "admin"}),
        ("budgets.set", None, {"organization": {"runs_per_day": 9}, "caller": {}}),
    ]


def test_a_pull_request_that_is_closed_is_recorded(table: AuditTable) -> None:
    send("PATCH", "pull_requests/edit", f"{ORG}/repos/5/prs/9", {"state": "closed"})

    attempted = entries(table)[0]
    assert (attempted.act, attempted.target) == ("pull_request.edit", "9")
    assert attempted.details == {"repo_id": 5, "state": "closed"}


def test_a_webhook_is_recorded_without_its_url_and_secret(table: AuditTable) -> None:
    hook = {"url": "https://hooks.example.com/a-secret-path", "secret": "hush-hush", "enabled": True}
    send("POST", "webhooks/set", f"{ORG}/webhooks/agent-run", hook)

    text = json.dumps([entry.model_dump(mode="json") for entry in entries(table)])
    assert entries(table)[0].details == {"enabled": True}
    assert "hooks.example.com" not in text
    assert "hush" not in text


@given(st.dictionaries(st.sampled_from(["role", "reason"]), st.text()))
def test_a_text_of_any_length_and_form_is_no_detail(sent: dict[str, str]) -> None:
    """Prompts have spaces or are long; secrets have a form, a length or characters of their own."""
    recorded = Act("run.cancel", details=("role",)).details_in(sent)

    assert recorded.keys() <= {"role"}
    for value in recorded.values():
        assert value.isascii()
        assert len(value) <= 32
        assert value.replace("_", "").replace(".", "").isalnum()


def test_a_detail_has_the_parts_that_can_be_recorded() -> None:
    sent = {"details": [1, None, True, "open", "two words", 1.5, 2**60, {"a": "b", "c d": 1, "e": "f g"}]}

    assert Act("a.b", details=("details",)).details_in(sent) == {"details": [1, None, True, "open", {"a": "b"}]}


def test_a_target_that_looks_like_a_secret_is_masked() -> None:
    secret = "ghp_" + "a1B2c3D4e5F6" * 3

    assert secret not in str(Act("oauth_tokens.revoke", "provider").target_in({"provider": secret}))
    assert len(cast(str, Act("a.b", "id").target_in({"id": "x" * 1000}))) == 128
    assert Act("a.b", "id").target_in({"id": ""}) is None
