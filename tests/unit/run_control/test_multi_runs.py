"""Cancel, pause and resume multi-runs, without the state machine itself."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks
from codegen_runs.multi_runs.tasks import MultiRunGone
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRunsTable
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport, Script, Trouble
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock, Tokens, create_state_machine, runs_table
from tests.support.events import Answer, call, current, rest, working_with
from tests.support.overtaken import Overtaken
from tests.unit.run_control.controls import ADA, offers

ORG = 123
PATH = f"/v1/organizations/{ORG}/multi-runs"
CONSENT = {"allow_pr_ban": True}
BAN = "ban_all_checks_for_agent_run"

Poll = Callable[[float], None]


@pytest.fixture(autouse=True)
def _surroundings(deployed: Template, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    create_state_machine(deployed)
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def runs(deployed: Template) -> RunsTable:
    return runs_table(deployed)


@pytest.fixture
def multi_run() -> str:
    """A multi-run of three candidates, planned."""
    event = rest("POST", PATH, body={"prompt": "Say hello.", "concurrency": 3}, caller=ADA)
    multi_run_id: str = call(handlers.handler("multi_runs/create"), event).json["id"]
    tasks.plan(ORG, multi_run_id, backend=current())
    return multi_run_id


def launch(multi_run: str, *indexes: int) -> None:
    for index in indexes:
        tasks.launch(ORG, multi_run, index, f"token-{index}", backend=current())


def act(verb: str, multi_run: str, body: Any = None) -> Answer:
    event = rest("POST", f"{PATH}/{multi_run}/{verb}", body=body, caller=ADA)
    return call(handlers.handler(f"multi_runs/{verb}"), event)


def read(multi_run: str) -> Any:
    return call(handlers.handler("multi_runs/get"), rest("GET", f"{PATH}/{multi_run}", caller=ADA)).json


def statuses(multi_run: str) -> list[str]:
    return [candidate["status"] for candidate in read(multi_run)["candidates"]]


def test_a_cancel_reports_its_effect_on_each_run(
    multi_run: str, poll: Poll, fake: FakeCodegen, runs: RunsTable, tokens: Tokens
) -> None:
    fake.script(Script(seconds=1, steps=1))
    fake.script(Script(ending="NEVER"))
    launch(multi_run, 0)
    poll(10)
    launch(multi_run, 1)
    poll(2)
    launch(multi_run, 2)
    answer = act("cancel", multi_run, CONSENT)

    assert answer.status == 202
    assert answer.json["status"] == "cancelled"
    assert [
        (run["candidate"], run["status"], run["means"], [effect["code"] for effect in run["side_effects"]])
        for run in answer.json["cancelled_runs"]
    ] == [
        (1, "cancelling", "pr_ban", ["stops_other_agents", "mutes_checks"]),
        (2, "cancelled", "local", []),
    ]
    poll(30)
    assert statuses(multi_run) == ["completed", "cancelled", "cancelled"]
    assert (len(fake.creates), fake.calls[BAN]) == (2, 1)
    assert list(tokens.answers) == ["token-0"]


def test_launched_runs_continue_until_a_cancel_allows_their_ban(multi_run: str, poll: Poll, fake: FakeCodegen) -> None:
    fake.script(Script(ending="NEVER"), times=2)
    launch(multi_run, 0, 1)
    poll(5)
    first = act("cancel", multi_run, {"reason": "Enough."})

    assert first.status == 200
    assert [(run["status"], run["means"]) for run in first.json["cancelled_runs"]] == [("running", None)] * 2
    assert "without its multi-run" in first.json["cancelled_runs"][0]["detail"]
    assert fake.calls[BAN] == 0
    assert [name for name, is_offered in offers(first.json).items() if is_offered] == ["cancel"]

    second = act("cancel", multi_run, CONSENT)
    assert second.status == 202
    assert [run["status"] for run in second.json["cancelled_runs"]] == ["cancelling"] * 2
    assert offers(second.json)["cancel"] is False
    assert act("cancel", multi_run).status == 202
    poll(30)
    assert statuses(multi_run)[:2] == ["cancelled"] * 2
    assert fake.calls[BAN] == 2
    settled = act("cancel", multi_run, CONSENT)
    assert (settled.status, settled.json["cancelled_runs"]) == (200, [])


def test_a_ban_that_fails_for_one_run_is_reported_there_and_the_others_are_stopped(
    multi_run: str, poll: Poll, fake: FakeCodegen
) -> None:
    fake.script(Script(ending="NEVER"), times=3)
    launch(multi_run, 0, 1, 2)
    poll(5)
    fake.trouble(BAN, Trouble("error", status=403, message="No, thank you."))
    fake.trouble(BAN, Trouble("error", status=500))
    answer = act("cancel", multi_run, CONSENT)

    assert answer.status == 202
    stopping = sorted((run["status"], run["means"]) for run in answer.json["cancelled_runs"] if run["means"])
    assert stopping == [("cancelling", "pr_ban")] * 2
    (refused,) = [run for run in answer.json["cancelled_runs"] if run["means"] is None]
    assert refused["detail"].endswith("No, thank you.")
    assert read(multi_run)["candidates"][refused["candidate"]]["status"] == "running"
    assert sum("not certain" in run["detail"] for run in answer.json["cancelled_runs"]) == 1


def test_a_multi_run_that_has_ended_is_neither_cancelled_nor_paused_nor_resumed(multi_run: str) -> None:
    tasks.publish(ORG, multi_run, backend=current())

    for verb in ("cancel", "pause", "resume"):
        answer = act(verb, multi_run)
        assert (answer.status, answer.json["code"]) == (409, "multi_run_ended")
    assert [name for name, is_offered in offers(read(multi_run)).items() if is_offered] == ["retry"]


def test_a_multi_run_that_is_not_there_is_not_found() -> None:
    for verb in ("cancel", "pause", "resume"):
        assert act(verb, "mr-0").json["code"] == "multi_run_not_found"


def test_an_invalid_consent_is_refused(multi_run: str) -> None:
    answer = act("cancel", multi_run, {"allow_pr_ban": "true"})

    assert answer.status == 422
    assert read(multi_run)["status"] == "running"


def test_a_paused_multi_run_launches_nothing_until_it_is_resumed(
    multi_run: str, poll: Poll, fake: FakeCodegen, tokens: Tokens
) -> None:
    fake.script(Script(seconds=5), times=1)
    launch(multi_run, 0)
    poll(2)
    launch(multi_run, 1)
    answer = act("pause", multi_run)
    launch(multi_run, 2)  # The state machine continues.

    assert answer.status == 200
    assert (answer.json["status"], answer.json["paused_scope"]) == ("running", "queue_only")
    assert [name for name, is_offered in offers(answer.json).items() if is_offered] == ["cancel", "resume"]
    assert act("pause", multi_run).status == 200
    poll(58)
    assert statuses(multi_run) == ["completed", "paused", "paused"]
    assert len(fake.creates) == 1

    resumed = act("resume", multi_run)
    assert (resumed.status, resumed.json["paused_scope"]) == (200, None)
    assert act("resume", multi_run).json["code"] == "multi_run_not_paused"
    poll(58)
    assert statuses(multi_run) == ["completed"] * 3
    assert len(tokens.answers) == 3


def test_the_synthesis_of_a_paused_multi_run_is_held_too(multi_run: str, poll: Poll, fake: FakeCodegen) -> None:
    launch(multi_run, 0, 1, 2)
    poll(58)
    act("pause", multi_run)
    tasks.synthesize(ORG, multi_run, "token-synthesis", backend=current())
    poll(58)

    assert read(multi_run)["status"] == "synthesizing"
    assert read(multi_run)["synthesis"]["status"] == "paused"
    act("resume", multi_run)
    poll(58)
    assert read(multi_run)["synthesis"]["status"] == "completed"


def test_a_paused_multi_run_that_is_cancelled_launches_nothing(multi_run: str, poll: Poll, fake: FakeCodegen) -> None:
    launch(multi_run, 0)
    act("pause", multi_run)
    answer = act("cancel", multi_run)
    poll(58)

    assert (answer.status, answer.json["paused_scope"]) == (200, None)
    assert statuses(multi_run)[0] == "cancelled"
    assert len(fake.creates) == 0
    with pytest.raises(MultiRunGone):
        launch(multi_run, 1)


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("pause", "paused"), ("resume", "queued")])
def test_a_candidate_queued_at_the_same_moment_is_treated_like_the_others(
    verb: str, status: str, multi_run: str, runs: RunsTable, clock: TestClock
) -> None:
    if verb == "resume":
        act("pause", multi_run)
    # The caller acts after the task has read the multi-run, and before the task queues the candidate.
    table = Overtaken(runs, "add", lambda: act(verb, multi_run))
    with working_with(Backend(clock=clock, kick=Kicks(), runs=cast(RunsTable, table))):
        launch(multi_run, 0)

    assert statuses(multi_run)[0] == status


def test_a_multi_run_whose_status_changes_during_a_pause_is_paused(
    multi_run: str, poll: Poll, clock: TestClock
) -> None:
    launch(multi_run, 0, 1)
    poll(58)
    outer = current()
    table = Overtaken(
        outer.multi_runs, "advance", lambda: tasks.synthesize(ORG, multi_run, "token-synthesis", backend=outer)
    )
    with working_with(Backend(clock=clock, kick=Kicks(), multi_runs=cast(MultiRunsTable, table))):
        answer = act("pause", multi_run)

    assert (answer.json["status"], answer.json["paused_scope"]) == ("synthesizing", "queue_only")
    assert answer.json["synthesis"]["status"] == "paused"
    stored = current().multi_runs.get(ORG, multi_run)
    assert stored is not None
    assert stored.paused_at is not None


def test_one_candidate_can_be_paused_and_cancelled_by_its_key(
    multi_run: str, poll: Poll, fake: FakeCodegen, tokens: Tokens
) -> None:
    launch(multi_run, 0, 1, 2)
    keys = [candidate["key"] for candidate in read(multi_run)["candidates"]]

    def control(verb: str, key: str) -> Answer:
        path = f"/v1/organizations/{ORG}/agent/run/{key}/{verb}"
        return call(handlers.handler(f"agent_runs/{verb}"), rest("POST", path, caller=ADA))

    assert (control("pause", keys[0]).status, control("cancel", keys[1]).status) == (200, 200)
    poll(58)
    assert statuses(multi_run) == ["paused", "cancelled", "completed"]
    assert tokens.answers["token-1"][0] == "Run.cancelled"
    assert read(multi_run)["counts"]["missing"] == 1
    assert control("resume", keys[0]).json["status"] == Status.QUEUED
    poll(58)
    assert statuses(multi_run) == ["completed", "cancelled", "completed"]
    reason = read(multi_run)["candidates"][1]["reason"]
    assert reason == "The run was cancelled before it was launched."
