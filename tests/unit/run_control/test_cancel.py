"""Cancel a run through the handler."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.events import timestamp
from codegen_runs.limits.buckets import LIMITS, Buckets
from codegen_runs.limits.permits import PATIENCE
from codegen_runs.runs.transitions import CONFIRMATION_SECONDS
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable, Watch
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, Script, Trouble
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import working_with
from tests.support.memory import MemoryRuns
from tests.support.overtaken import Overtaken
from tests.unit.run_control.controls import ADA, KEY, TOKEN, Act, history, offers, stored

CONSENT = {"allow_pr_ban": True}
BAN = "ban_all_checks_for_agent_run"
EFFECTS = ["stops_other_agents", "mutes_checks"]

Poll = Callable[[float], None]


def codes(side_effects: Any) -> list[str]:
    return [effect["code"] for effect in side_effects]


def test_a_queued_run_is_cancelled_here_and_nothing_is_sent_upstream(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, tokens: Tokens, kicks: Kicks
) -> None:
    answer = act("cancel", KEY, {"reason": "Not needed."})

    assert answer.status == 200
    assert answer.json["status"] == "cancelled"
    assert answer.json["status_reason"] == "The run was cancelled before it was launched: Not needed."
    assert (answer.json["means"], answer.json["side_effects"]) == ("local", [])
    assert not any(offers(answer.json).values())
    assert kicks.changed == [KEY, KEY]  # One kick for the queued run, one for its end.
    poll(58)
    assert not fake.calls
    assert history(runs) == ["run.queued", "run.cancelled"]
    assert tokens.answers[TOKEN] == ("Run.cancelled", answer.json["status_reason"])
    assert stored(runs).due_at is None


def test_a_running_run_is_not_banned_unless_the_request_allows_it(
    running: Watch, act: Act, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    for body in (None, {}, {"allow_pr_ban": False}):
        answer = act("cancel", running.agent_run_id, body)

        assert answer.status == 409
        assert answer.json["code"] == "cancel_needs_pr_ban"
        assert "allow_pr_ban" in answer.json["remedy"]
        assert answer.json["means"] == "pr_ban"
        assert codes(answer.json["side_effects"]) == EFFECTS
    assert fake.calls[BAN] == 0
    assert stored(runs) == running


def test_an_allowed_ban_stops_a_running_run_which_is_cancelled_once_that_is_confirmed(
    running: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, clock: TestClock, tokens: Tokens
) -> None:
    answer = act("cancel", running.agent_run_id, CONSENT | {"reason": "Wrong branch. sk-0123456789abcdef0123"})

    assert answer.status == 202
    assert answer.json["status"] == "cancelling"
    assert answer.json["means"] == "pr_ban"
    assert codes(answer.json["side_effects"]) == EFFECTS
    assert answer.json["cancel_deadline_at"] == timestamp(clock.now() + CONFIRMATION_SECONDS)
    assert fake.calls[BAN] == 1
    poll(30)

    watch = stored(runs)
    assert watch.status is Status.CANCELLED
    assert watch.upstream_status == "CANCELLED"
    assert history(runs) == ["run.queued", "run.started", "run.cancel_requested", "run.cancelled"]
    (requested,) = [e for e in runs.events(DEMO_ORG_ID, KEY) if e.type == "run.cancel_requested"]
    assert requested.data == {
        "turn": 1,
        "means": "pr_ban",
        "reason": "Wrong branch. [redacted]",
        "requested_by": "user:789",
    }
    assert tokens.answers[TOKEN][0] == "Run.cancelled"


def test_a_run_can_be_cancelled_by_its_key(running: Watch, act: Act) -> None:
    assert act("cancel", KEY, CONSENT).json["agent_run_id"] == running.agent_run_id


def test_a_repeated_cancel_does_not_repeat_the_ban(
    running: Watch, act: Act, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    first = act("cancel", running.agent_run_id, CONSENT)
    for body in (CONSENT, None):
        again = act("cancel", running.agent_run_id, body)

        assert again.status == 202
        assert again.json == first.json
    assert fake.calls[BAN] == 1
    assert history(runs).count("run.cancel_requested") == 1


def test_a_run_continues_after_an_unconfirmed_cancel_and_can_be_cancelled_again(
    running: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, clock: TestClock
) -> None:
    fake.trouble(BAN, Trouble("error", status=500))  # The ban may have taken effect.
    answer = act("cancel", running.agent_run_id, CONSENT)
    assert answer.status == 202
    assert [warning["code"] for warning in answer.json["warnings"]] == ["effect_unknown"]
    poll(CONFIRMATION_SECONDS + 60)

    assert stored(runs).status is Status.RUNNING
    assert history(runs)[-1] == "run.cancel_unconfirmed"
    assert act("cancel", running.agent_run_id, CONSENT).status == 202
    assert fake.calls[BAN] == 2


@pytest.mark.parametrize("trouble", [Trouble("lost_answer"), Trouble("truncated"), Trouble("hang"), Trouble("html")])
def test_a_cancel_whose_ban_got_no_answer_stays_open_until_the_run_is_read(
    trouble: Trouble, running: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.trouble(BAN, trouble)
    answer = act("cancel", running.agent_run_id, CONSENT)
    poll(30)

    assert answer.status == 202
    assert answer.json["status"] == "cancelling"
    assert [warning["code"] for warning in answer.json["warnings"]] == ["effect_unknown"]
    took_effect = trouble.kind in ("lost_answer", "truncated")
    assert stored(runs).status is (Status.CANCELLED if took_effect else Status.CANCELLING)


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [(403, 403, "forbidden"), (404, 404, "not_found"), (422, 422, "validation_failed"), (429, 429, "rate_limited")],
)
def test_a_refused_ban_is_reported_and_the_run_keeps_its_status(
    refusal: int,
    status: int,
    code: str,
    running: Watch,
    act: Act,
    fake: FakeCodegen,
    runs: MemoryRuns,
    clock: TestClock,
) -> None:
    fake.trouble(BAN, Trouble("error", status=refusal, message="No, thank you."), times=None)
    answer = act("cancel", running.agent_run_id, CONSENT)
    fake.troubles.clear()

    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["upstream"]["status"] == refusal
    watch = stored(runs)
    assert (watch.status, watch.cancel, watch.cancel_deadline_at) == (Status.RUNNING, None, None)
    assert history(runs)[-2:] == ["run.cancel_requested", "run.cancel_unconfirmed"]
    clock.sleep(60)  # A 429 holds all calls with the same token.
    assert act("cancel", running.agent_run_id, CONSENT).status == 202


def test_a_ban_over_the_rate_limit_is_refused_and_the_run_keeps_its_status(
    running: Watch, act: Act, fake: FakeCodegen, runs: MemoryRuns, clock: TestClock
) -> None:
    quota = upstream.quota_of(ADA)
    Buckets(runs, quota, clock).take("standard", LIMITS["standard"].calls)
    answer = act("cancel", running.agent_run_id, CONSENT)

    assert (answer.status, answer.json["code"]) == (429, "limit_used_up")
    assert int(answer.headers["retry-after"]) > PATIENCE
    assert fake.calls[BAN] == 0
    assert stored(runs).status is Status.RUNNING
    clock.sleep(60)
    assert act("cancel", running.agent_run_id, CONSENT).status == 202
    assert len(runs.get_bucket(quota, "standard").given) == 1


@pytest.mark.parametrize("ending", ["COMPLETE", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_TOKENS"])
def test_a_run_that_has_ended_cannot_be_cancelled(
    ending: Any, queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.script(Script(ending=ending))
    poll(58)
    answer = act("cancel", KEY, CONSENT)

    assert answer.status == 409
    assert answer.json["code"] == "run_ended"
    assert stored(runs).status in answer.json["detail"]
    assert fake.calls[BAN] == 0


def test_a_run_that_was_cancelled_here_cannot_be_cancelled_again(queued: Watch, act: Act) -> None:
    assert [act("cancel", KEY).status for _ in range(2)] == [200, 409]


def test_a_run_that_is_not_followed_is_read_upstream_followed_and_stopped(
    act: Act, poll: Poll, codegen: CodegenAPI, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.script(Script(ending="NEVER"))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    assert act("cancel", run.id).status == 409
    answer = act("cancel", run.id, CONSENT)
    poll(30)

    assert answer.status == 202
    assert stored(runs, str(run.id)).status is Status.CANCELLED


def test_a_finished_run_that_is_not_followed_cannot_be_cancelled(
    act: Act, codegen: CodegenAPI, runs: MemoryRuns
) -> None:
    finished = codegen.runs.list(org_id=DEMO_ORG_ID).items[0].id
    answer = act("cancel", finished, CONSENT)

    assert (answer.status, answer.json["code"]) == (409, "run_ended")
    assert runs.find(DEMO_ORG_ID, finished) is None


def test_a_run_that_received_a_follow_up_elsewhere_is_stopped_in_its_new_turn(
    queued: Watch, act: Act, poll: Poll, codegen: CodegenAPI, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    poll(58)
    agent_run_id = stored(runs).agent_run_id
    assert agent_run_id is not None
    fake.script(Script(ending="NEVER"))
    codegen.runs.follow_up(agent_run_id, "Go on.", org_id=DEMO_ORG_ID)
    answer = act("cancel", agent_run_id, CONSENT)
    poll(30)

    assert answer.status == 202
    assert stored(runs).turn == 2
    assert stored(runs).status is Status.CANCELLED


def test_a_cancel_during_a_launch_takes_effect_once_the_launch_is_known(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.script(Script(ending="NEVER"))
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    poll(1)
    without, with_consent, again = (act("cancel", KEY, body) for body in (None, CONSENT, None))

    assert [answer.status for answer in (without, with_consent, again)] == [202] * 3
    assert [answer.json["status"] for answer in (without, with_consent, again)] == ["launching"] * 3
    assert [answer.json["means"] for answer in (without, with_consent, again)] == ["local", "pr_ban", "pr_ban"]
    poll(58)
    assert stored(runs).status is Status.CANCELLED
    assert len(fake.creates) == 1
    assert history(runs) == ["run.queued", "run.cancel_requested", "run.started", "run.cancelled"]


def test_a_cancel_overtaken_by_the_poller_acts_on_the_new_state(
    queued: Watch, act: Act, fake: FakeCodegen, runs: MemoryRuns, poll: Poll, clock: TestClock, kicks: Kicks
) -> None:
    fake.script(Script(ending="NEVER"))
    table = Overtaken(runs, "write", lambda: poll(5))  # The poller launches the run after the cancel has read it.
    with working_with(Backend(runs=cast(RunsTable, table), clock=clock, kick=kicks)):
        answer = act("cancel", KEY)

    assert (answer.status, answer.json["code"]) == (409, "cancel_needs_pr_ban")
    assert stored(runs).status is Status.RUNNING
    assert history(runs) == ["run.queued", "run.started"]


def test_a_cancel_that_is_overtaken_every_time_can_be_retried(
    queued: Watch, act: Act, runs: MemoryRuns, clock: TestClock, kicks: Kicks
) -> None:
    table = Overtaken(runs, "write", lambda: runs.write(stored(runs)), times=None)
    with working_with(Backend(runs=cast(RunsTable, table), clock=clock, kick=kicks)):
        answer = act("cancel", KEY)

    assert answer.status == 503
    assert answer.json["retryable"] is True
    assert stored(runs).status is Status.QUEUED


@pytest.mark.parametrize("run", ["mr-none", "999999999", "000000000000000001"])
@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_a_run_that_is_not_there_is_not_found(verb: str, run: str, act: Act) -> None:
    assert act(verb, run, CONSENT).status == 404


@pytest.mark.parametrize("run", ["-1", "1.5", "1234567890123456789", "x" * 81])
@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_an_invalid_id_is_refused(verb: str, run: str, act: Act) -> None:
    answer = act(verb, run, {})

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/path/agent_run_id"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"allow_pr_ban": "yes"}, "/body/allow_pr_ban"),
        ({"allow_pr_ban": 1}, "/body/allow_pr_ban"),
        ({"allow_pr_ban": None}, "/body/allow_pr_ban"),
        ({"reason": 7}, "/body/reason"),
        ({"reason": "x" * 501}, "/body/reason"),
        ("[]", "/body"),
        ("{", "/body"),
    ],
)
def test_an_invalid_consent_or_reason_is_refused(body: Any, pointer: str, running: Watch, act: Act) -> None:
    answer = act("cancel", running.agent_run_id, body)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_an_unknown_field_of_a_cancel_is_ignored_with_a_warning(queued: Watch, act: Act) -> None:
    answer = act("cancel", KEY, {"force": True})

    assert answer.status == 200
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/force"]


def test_a_run_of_another_organization_is_not_found(queued: Watch, running: Watch, act: Act) -> None:
    assert act("cancel", KEY, CONSENT, org_id=124).status == 404
    assert act("cancel", running.agent_run_id, CONSENT, org_id=124).status == 404


def test_an_organization_without_the_caller_is_refused(running: Watch, act: Act, runs: MemoryRuns) -> None:
    eve = Caller(id="user:2", user_id=2, organizations=frozenset({124}), token=DEMO_TOKEN)

    for verb in ("cancel", "pause", "resume"):
        assert act(verb, KEY, CONSENT, caller=eve).status == 403
    assert stored(runs) == running
