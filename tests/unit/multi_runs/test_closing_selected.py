"""Closing the pull requests of the candidates that were not selected, as the caller who requested it at the start."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from codegen_runs import upstream as connections
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.problems import StorageUnavailable
from codegen_runs.roles import Role
from codegen_runs.storage.access import ApiToken, Member
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, Script, Trouble
from tests.support import handlers
from tests.support.backend import SECRET_NAME, TestClock
from tests.support.events import Answer, Context, call, current, invoke, rest
from tests.unit.multi_runs.flow import ORG, PATH, Runs, events, get, task, types
from tests.unit.run_control.controls import ADA

EDIT = "edit_pull_request_simple"
TOKEN_ID = "tok-000000001-0123456789"
BY_TOKEN = Caller("user:789", 789, frozenset({ORG}), kind=DEPLOYMENT, roles={ORG: Role.MEMBER}, token_id=TOKEN_ID)
CODE = Script(seconds=1, steps=1, result="Done.", pull_request=True)
FAILED = Script(seconds=1, steps=1, ending="FAILED", pull_request=True)
SELECT = {"prompt": "Say hello.", "strategy": "select", "judge": "never", "close_losers": True}


@pytest.fixture(autouse=True)
def _codegen(upstream: Runs, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    upstream.ticks, upstream.seconds = 1, 12
    connections.deployment_token.forget()
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
    token = ApiToken(
        id=TOKEN_ID,
        user_id=789,
        name="Mine",
        prefix="x",
        role=Role.MEMBER,
        organizations=(ORG,),
        created_at=int(clock.now()),
        expires_at=int(clock.now()) + 3600,
    )
    current().access.add_token(lambda _: token, "a-digest", user_id=789, now=int(clock.now()), most=9)
    with connections.over(FakeTransport(fake)):
        yield


def create(caller: Caller = BY_TOKEN, **body: Any) -> Answer:
    return call(handlers.handler("multi_runs/create"), rest("POST", PATH, body={**SELECT, **body}, caller=caller))


def selected(upstream: Runs, *scripts: Script, **body: Any) -> str:
    """Run a multi-run up to its selection; its answer is not published."""
    for script in scripts:
        upstream.fake.script(script)
    answer = create(concurrency=len(scripts), **body)
    assert answer.status == 202, answer.json
    multi_run_id = str(answer.json["id"])
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    return multi_run_id


def opened(multi_run_id: str) -> dict[int, int]:
    candidates = get(multi_run_id).json["candidates"]
    return {each["index"]: each["pull_requests"][0]["id"] for each in candidates if each["pull_requests"]}


def kept(multi_run_id: str) -> list[str]:
    items = events(multi_run_id).json["items"]
    return [each["data"]["reason"] for each in items if each["type"] == "multi_run.pull_request_kept"]


def states(upstream: Runs, multi_run_id: str) -> list[str]:
    return [upstream.fake.pull_requests[each].state for each in opened(multi_run_id).values()]


def test_the_pull_requests_of_the_others_are_closed_when_one_is_selected(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE, CODE)
    assert upstream.fake.calls[EDIT] == 0
    for _ in range(2):  # The state machine may call the task again.
        task("publish", multi_run_id)
    found = get(multi_run_id).json
    closed = [each["data"] for each in events(multi_run_id).json["items"] if each["type"].endswith("request_closed")]

    assert (found["answer"]["source"], found["answer"]["candidate"], found["close_losers"]) == ("selected", 0, True)
    assert states(upstream, multi_run_id) == ["open", "closed", "closed"]
    assert upstream.fake.calls[EDIT] == 2
    assert [(each["candidate"], each["closed_by"]) for each in closed] == [(1, "user:789"), (2, "user:789")]
    assert [len(each["closed_pull_requests"]) for each in found["candidates"]] == [0, 1, 1]


class Killed(BaseException):
    """The process of the function is gone."""


# Publish writes the record when it settles, and after each pull request.
@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_publish_that_dies_is_completed_by_its_next_try(
    upstream: Runs, monkeypatch: pytest.MonkeyPatch, write: int, is_stored: bool
) -> None:
    multi_run_id = selected(upstream, CODE, CODE, CODE)
    with monkeypatch.context() as patched:
        die_at(write, patched, is_stored=is_stored)
        with pytest.raises(Killed):
            task("publish", multi_run_id)
    for _ in range(2):
        task("publish", multi_run_id)

    assert states(upstream, multi_run_id) == ["open", "closed", "closed"]
    assert types(multi_run_id).count("pull_request_closed") == 2
    assert kept(multi_run_id) == []
    # One that Codegen has closed, but that is not recorded, is closed again, which changes nothing.
    assert upstream.fake.calls[EDIT] == (3 if write > 1 and not is_stored else 2)


def test_what_could_not_be_closed_is_reported_once(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    multi_run_id = selected(upstream, CODE, CODE, CODE)
    upstream.fake.trouble(EDIT, Trouble("error", status=403))
    with monkeypatch.context() as patched:
        die_at(2, patched, is_stored=True)
        with pytest.raises(Killed):
            task("publish", multi_run_id)
    for _ in range(2):
        task("publish", multi_run_id)

    assert len(kept(multi_run_id)) == 1
    assert states(upstream, multi_run_id) == ["open", "open", "closed"]
    assert upstream.fake.calls[EDIT] == 2


def test_the_next_try_closes_nothing_after_a_pick(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    multi_run_id = selected(upstream, CODE, CODE, CODE)
    with monkeypatch.context() as patched:
        die_at(2, patched, is_stored=True)
        with pytest.raises(Killed):
            task("publish", multi_run_id)
    event = rest("POST", f"{PATH}/{multi_run_id}/pick", body={"candidate": 2}, caller=ADA)
    assert call(handlers.handler("multi_runs/pick"), event).status == 200
    task("publish", multi_run_id)

    assert states(upstream, multi_run_id) == ["open", "closed", "open"]


def die_at(write: int, patched: pytest.MonkeyPatch, *, is_stored: bool) -> None:
    """Let the process die at a write of the record: before it, or after it."""
    table, writes = type(current().multi_runs), []
    advance = table.advance

    def dying(*arguments: Any, **more: Any) -> Any:
        writes.append(1)
        if len(writes) == write and not is_stored:
            raise Killed
        stored = advance(*arguments, **more)
        if len(writes) == write:
            raise Killed
        return stored

    patched.setattr(table, "advance", dying)


def test_the_audit_trail_has_who_closed_them(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE)
    task("publish", multi_run_id)
    entries = [each for each in current().audit.newest(ORG, 9) if each.act == "multi_run.close_losers"]

    assert [(each.outcome, each.target, each.details) for each in reversed(entries)] == [
        (outcome, multi_run_id, {"candidate": 0}) for outcome in ("attempted", "succeeded")
    ]
    assert {(each.actor, each.token_id, each.role) for each in entries} == {("user:789", TOKEN_ID, "member")}


def test_nothing_is_closed_that_the_audit_trail_cannot_record(upstream: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    multi_run_id = selected(upstream, CODE, CODE)
    monkeypatch.setattr(current().audit, "add", failing)
    task("publish", multi_run_id)

    assert kept(multi_run_id) == ["The audit trail does not respond, so nothing was closed."]
    assert upstream.fake.calls[EDIT] == 0


def failing(_: object) -> None:
    raise StorageUnavailable("The storage does not respond.")


def test_nothing_is_closed_by_default(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE, close_losers=False)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["close_losers"] is False
    assert upstream.fake.calls[EDIT] == 0


def test_a_codegen_token_is_refused_because_it_is_not_kept() -> None:
    answer = create(ADA)
    estimated = call(
        handlers.handler("multi_runs/estimate"), rest("POST", f"{PATH}/estimate", body=SELECT, caller=ADA)
    ).json

    assert (answer.status, answer.json["code"]) == (409, "api_token_required")
    assert "with close_losers when the multi-run has ended" in answer.json["remedy"]
    assert [each["code"] for each in estimated["refusals"]] == ["api_token_required"]
    assert current().multi_runs.newest(ORG, 1) == ([], None)


@pytest.mark.parametrize("strategy", ["synthesize", "rank", "none"])
def test_only_a_selection_has_losers(strategy: str) -> None:
    answer = create(strategy=strategy)

    assert answer.status == 422
    assert "close_losers needs the strategy select" in answer.text


def test_consent_is_a_boolean() -> None:
    assert [create(close_losers=value).status for value in ("yes", 1)] == [422, 422]


def revoke() -> None:
    current().access.revoke_token(789, TOKEN_ID, int(current().clock.now()))


def expire() -> None:
    current().clock.sleep(3600)


def demote() -> None:
    record = current().access.organization(ORG)
    now = int(current().clock.now())
    member = Member(
        org_id=ORG, user_id=789, role=Role.VIEWER, permissions=("read",), updated_at=now, updated_by="user:1"
    )
    current().access.write_member(member, record)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (revoke, "has expired or was revoked"),
        (expire, "has expired or was revoked"),
        (demote, "no role that may close"),
    ],
)
def test_nothing_is_closed_if_the_caller_may_not_do_it_any_more(upstream: Runs, end: Any, words: str) -> None:
    multi_run_id = selected(upstream, CODE, CODE, CODE, deadline_s=7200)
    end()
    task("publish", multi_run_id)

    assert get(multi_run_id).json["answer"]["source"] == "selected"
    assert [words in reason for reason in kept(multi_run_id)] == [True, True]
    assert upstream.fake.calls[EDIT] == 0


def test_nothing_is_closed_if_codegen_does_not_confirm_the_caller(
    upstream: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    multi_run_id = selected(upstream, CODE, CODE)
    upstream.fake.trouble("get_user", Trouble("error", status=503))
    task("publish", multi_run_id)

    assert ["cannot be checked whether the caller may close it" in each for each in kept(multi_run_id)] == [True]
    assert upstream.fake.calls[EDIT] == 0


def test_a_pick_before_the_selection_takes_precedence(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE)
    event = rest("POST", f"{PATH}/{multi_run_id}/pick", body={"candidate": 1}, caller=ADA)
    assert call(handlers.handler("multi_runs/pick"), event).status == 200
    task("publish", multi_run_id)

    assert get(multi_run_id).json["answer"]["source"] == "picked"
    assert upstream.fake.calls[EDIT] == 0


@pytest.mark.parametrize("scripts", [(CODE, FAILED), (FAILED, FAILED)])
def test_without_a_selection_nothing_is_closed(upstream: Runs, scripts: tuple[Script, ...]) -> None:
    multi_run_id = selected(upstream, *scripts)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["strategy_used"] in ("only_candidate", None)
    assert upstream.fake.calls[EDIT] == 0


def test_nothing_is_closed_if_the_judges_accept_no_candidate(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE)
    stored = current().multi_runs.get(ORG, multi_run_id)
    assert stored
    assert stored.ranking
    ranking = stored.ranking.model_copy(update={"none_acceptable": True})
    current().multi_runs.advance(stored, stored.status, ranking=ranking)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["answer"]["source"] == "selected"
    assert upstream.fake.calls[EDIT] == 0


def test_consent_ends_with_the_answer_that_it_was_given_for(upstream: Runs) -> None:
    """Somebody else may retry, and a repair may select another candidate."""
    multi_run_id = selected(upstream, CODE, FAILED, quorum=2)
    task("publish", multi_run_id)
    assert get(multi_run_id).json["status"] == "failed"
    upstream.fake.script(CODE)
    retried = call(handlers.handler("multi_runs/retry"), rest("POST", f"{PATH}/{multi_run_id}/retry", caller=ADA))
    assert retried.json["close_losers"] is False
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["answer"]["source"] == "selected"
    assert upstream.fake.calls[EDIT] == 0


def test_what_there_is_no_time_for_stays_open_and_a_pick_closes_it(upstream: Runs) -> None:
    multi_run_id = selected(upstream, CODE, CODE)
    event = {"org_id": ORG, "multi_run_id": multi_run_id}
    invoke(handlers.handler("multi_runs/publish"), event, Context(milliseconds_left=5_000))
    assert kept(multi_run_id) == ["No time was left. A pick with close_losers closes it."]
    assert types(multi_run_id)[-2:] == ["completed", "pull_request_kept"]

    body = {"candidate": 0, "close_losers": True}
    call(handlers.handler("multi_runs/pick"), rest("POST", f"{PATH}/{multi_run_id}/pick", body=body, caller=ADA))
    assert states(upstream, multi_run_id) == ["open", "closed"]
