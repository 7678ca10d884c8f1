"""Pause and resume a run through the handlers."""

from collections.abc import Callable
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from tests.support import handlers
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import call, rest
from tests.support.memory import MemoryRuns
from tests.unit.run_control.controls import ADA, KEY, TOKEN, Act, history, stored

Poll = Callable[[float], None]

FOLLOW_UP = {"prompt": "Go on."}


def test_a_queued_run_is_held_until_it_is_resumed(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, clock: TestClock, kicks: Kicks
) -> None:
    answer = act("pause", KEY)

    assert answer.status == 200
    assert (answer.json["status"], answer.json["paused_scope"]) == ("paused", "queue_only")
    assert "deadline" in answer.json["detail"]
    poll(58)
    assert len(fake.creates) == 0
    assert kicks.changed[-1] == KEY
    before = kicks.count
    resumed = act("resume", KEY)
    assert resumed.status == 200
    assert (resumed.json["status"], resumed.json["paused_scope"]) == ("queued", None)
    assert kicks.count == before + 1
    assert kicks.changed[-2:] == [KEY, KEY]
    poll(58)
    assert stored(runs).status is Status.COMPLETED
    assert history(runs) == [
        "run.queued", "run.status_changed", "run.status_changed", "run.started", "run.completed"
    ]  # fmt: skip


def test_a_paused_run_that_is_cancelled_is_never_launched(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, tokens: Tokens
) -> None:
    act("pause", KEY)
    answer = act("cancel", KEY)
    poll(58)

    assert (answer.status, answer.json["status"], answer.json["means"]) == (200, "cancelled", "local")
    assert act("resume", KEY).status == 409
    assert len(fake.creates) == 0
    assert tokens.answers[TOKEN][0] == "Run.cancelled"


def test_a_working_agent_continues_while_its_follow_ups_are_held(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.script(Script(seconds=30))
    poll(5)
    answer = act("pause", KEY)

    assert answer.status == 200
    assert (answer.json["status"], answer.json["paused_scope"]) == ("running", "queue_only")
    assert "continues" in answer.json["detail"]
    poll(58)
    assert stored(runs).status is Status.COMPLETED
    held = act("resume", stored(runs).agent_run_id, FOLLOW_UP)
    assert (held.status, held.json["code"]) == (409, "follow_up_held")
    assert held.json["detail"] == "The run is paused. Resume it first."
    assert fake.calls["resume_agent_run"] == 0

    resumed = act("resume", stored(runs).agent_run_id)
    assert resumed.status == 200
    assert (resumed.json["status"], resumed.json["paused_scope"]) == ("completed", None)
    assert history(runs)[-1] == "run.completed"
    assert act("resume", stored(runs).agent_run_id, FOLLOW_UP).status == 200
    assert fake.calls["resume_agent_run"] == 1


def test_follow_ups_at_the_upstreams_own_path_are_held_too(running: Watch, act: Act, fake: FakeCodegen) -> None:
    act("pause", KEY)
    path = f"/v1/organizations/{DEMO_ORG_ID}/agent/run/resume"
    event = rest("POST", path, body=FOLLOW_UP | {"agent_run_id": running.agent_run_id}, caller=ADA)
    answer = call(handlers.handler("agent_runs/resume"), event)

    assert (answer.status, answer.json["code"]) == (409, "follow_up_held")
    assert answer.json["message"] == "The run is paused. Resume it first."
    assert fake.calls["resume_agent_run"] == 0


def test_a_repeated_pause_changes_nothing(queued: Watch, running: Watch, act: Act, runs: MemoryRuns) -> None:
    first, second = act("pause", KEY), act("pause", KEY)

    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json
    assert history(runs).count("run.status_changed") == 1


def test_a_paused_run_that_was_not_followed_is_followed_and_its_follow_ups_are_held(
    act: Act, codegen: CodegenAPI, fake: FakeCodegen
) -> None:
    fake.script(Script(ending="NEVER"))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)

    assert act("pause", run.id).status == 200
    assert act("resume", run.id, FOLLOW_UP).status == 409


def test_a_run_that_has_ended_or_is_being_cancelled_cannot_be_paused(
    running: Watch, act: Act, poll: Poll, codegen: CodegenAPI
) -> None:
    act("cancel", KEY, {"allow_pr_ban": True})
    cancelling = act("pause", KEY)
    poll(30)
    ended = act("pause", KEY)
    elsewhere = act("pause", codegen.runs.list(org_id=DEMO_ORG_ID).items[-1].id)

    assert (cancelling.status, cancelling.json["code"]) == (409, "run_cancelling")
    assert (ended.status, ended.json["code"]) == (409, "run_ended")
    assert (elsewhere.status, elsewhere.json["code"]) == (409, "run_ended")


def test_a_run_that_is_not_paused_is_not_resumed_without_a_prompt(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns, codegen: CodegenAPI
) -> None:
    fake.script(Script(ending="PAUSED", seconds=20))
    waiting = act("resume", KEY)
    poll(5)
    working = act("resume", KEY, {})
    poll(58)
    paused_there = act("resume", KEY, {"prompt": None})
    unknown_here = act("resume", codegen.runs.list(org_id=DEMO_ORG_ID).items[-1].id)

    for answer in (waiting, working, paused_there, unknown_here):
        assert (answer.status, answer.json["code"]) == (409, "run_not_paused")
    assert "queued" in waiting.json["detail"]
    assert "running" in working.json["detail"]
    assert "paused at Codegen" in paused_there.json["detail"]
    assert act("resume", KEY, FOLLOW_UP).status == 200


def test_a_run_that_is_not_there_is_not_resumed(act: Act) -> None:
    for run in ("999999999", "mr-none"):
        for body in (None, FOLLOW_UP):
            assert act("resume", run, body).status == 404


def test_a_run_that_is_not_launched_accepts_no_follow_up(queued: Watch, act: Act, fake: FakeCodegen) -> None:
    answer = act("resume", KEY, FOLLOW_UP)

    assert (answer.status, answer.json["code"]) == (409, "follow_up_held")
    assert answer.json["detail"] == "The run has not been launched yet."
    act("cancel", KEY)
    assert act("resume", KEY, FOLLOW_UP).json["detail"] == "The run ended before it was launched."
    assert not fake.calls


def test_a_run_that_is_being_cancelled_accepts_no_follow_up(running: Watch, act: Act, poll: Poll) -> None:
    act("cancel", KEY, {"allow_pr_ban": True})
    held = act("resume", KEY, FOLLOW_UP)
    poll(30)

    assert (held.status, held.json["detail"]) == (409, "The run is being cancelled.")
    assert act("resume", KEY, FOLLOW_UP).status == 200


def test_a_follow_up_by_key_returns_the_upstreams_answer(
    queued: Watch, act: Act, poll: Poll, runs: MemoryRuns, fake: FakeCodegen
) -> None:
    poll(58)
    answer = act("resume", KEY, FOLLOW_UP | {"model": "m", "temperature": 1})

    assert answer.status == 200
    assert answer.json["id"] == stored(runs).agent_run_id
    assert answer.json["status"] == "ACTIVE"
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/temperature"]
    assert stored(runs).turn == 2


@pytest.mark.parametrize("more", [{"model": "m"}, {"images": ["data:,"]}, {"webhooks": [{"url": "https://hook.test"}]}])
def test_follow_up_options_without_a_prompt_do_not_resume_a_run(
    more: Any, queued: Watch, act: Act, runs: MemoryRuns
) -> None:
    act("pause", KEY)
    answer = act("resume", KEY, more)

    assert answer.status == 422
    assert stored(runs).status is Status.PAUSED


def test_a_pause_during_a_launch_holds_the_follow_ups(
    queued: Watch, act: Act, poll: Poll, fake: FakeCodegen, runs: MemoryRuns
) -> None:
    fake.script(Script(ending="NEVER"))
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    poll(1)
    answer = act("pause", KEY)
    poll(30)

    assert (answer.json["status"], answer.json["paused_scope"]) == ("launching", "queue_only")
    assert stored(runs).status is Status.RUNNING
    assert act("resume", KEY, FOLLOW_UP).status == 409
