"""Picks: a person decides, others' decisions are not lost, and pull requests are closed only where that is safe."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream as connections
from codegen_runs.backend import Backend
from codegen_runs.events import timestamp
from codegen_runs.multi_runs import picking
from codegen_runs.multi_runs.picking import AnotherIsPicked, PickCandidate
from local.fake_codegen import FakeCodegen, FakeTransport, Script, Trouble
from tests.support import backend as support
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Answer, Context, call, current, rest
from tests.support.overtaken import Overtaken
from tests.unit.multi_runs.flow import PATH, MergedPullRequests, Runs, cancel, create, events, get, task, types
from tests.unit.run_control.controls import ADA, offers

EDIT = "edit_pull_request_simple"


@pytest.fixture(autouse=True)
def _codegen(upstream: Runs, fake: FakeCodegen) -> Iterator[None]:
    upstream.ticks, upstream.seconds = 1, 12
    with connections.over(FakeTransport(fake)):
        yield


def pick(multi_run_id: str, context: Context | None = None, **body: Any) -> Answer:
    event = rest("POST", f"{PATH}/{multi_run_id}/pick", body=body, caller=ADA)
    return call(handlers.handler("multi_runs/pick"), event, context)


def unpick(multi_run_id: str, query: str = "") -> Answer:
    event = rest("DELETE", f"{PATH}/{multi_run_id}/pick{query}", caller=ADA)
    return call(handlers.handler("multi_runs/unpick"), event)


def started(upstream: Runs, *scripts: Script, **body: Any) -> str:
    """Run the candidates of a multi-run, one for each script."""
    for script in scripts:
        upstream.fake.script(script)
    given = {"prompt": "Say hello.", "concurrency": len(scripts), "strategy": "none", **body}
    multi_run_id: str = create(given).json["id"]
    upstream.launch(multi_run_id)
    return multi_run_id


def finished(upstream: Runs, *scripts: Script, **body: Any) -> str:
    multi_run_id = started(upstream, *scripts, **body)
    task("publish", multi_run_id)
    return multi_run_id


def codegen(upstream: Runs) -> CodegenAPI:
    return support.codegen(FakeTransport(upstream.fake))


def opened(multi_run_id: str) -> dict[int, int]:
    """Return the pull request of each candidate that has one."""
    candidates = get(multi_run_id).json["candidates"]
    return {each["index"]: each["pull_requests"][0]["id"] for each in candidates if each["pull_requests"]}


def outcomes(answer: Answer) -> dict[int, str]:
    return {each["candidate"]: each["outcome"] for each in answer.json["losers"]}


HELLO = Script(seconds=1, steps=1, result="Hello.", pull_request=False)
HI = Script(seconds=1, steps=1, result="Hi.", pull_request=False)
CODE = Script(seconds=1, steps=1, result="Done.", pull_request=True)


def test_the_answer_of_the_picked_candidate_is_the_answer_until_the_pick_is_undone(
    upstream: Runs, clock: TestClock
) -> None:
    multi_run_id = finished(upstream, HELLO, HI)
    assert offers(get(multi_run_id).json)["pick"]
    assert not offers(get(multi_run_id).json)["unpick"]

    at = timestamp(clock.now())
    picked = pick(multi_run_id, candidate=1, reason="It is shorter.")

    assert picked.status == 200
    assert picked.json["losers"] == []
    for read in (picked.json, get(multi_run_id).json):
        assert (read["answer"]["text"], read["answer"]["source"]) == ("Hi.", "picked")
        run = read["candidates"][1]["agent_run_id"]
        decided = {
            "candidate": 1,
            "agent_run_id": run,
            "picked_by": "user:789",
            "picked_at": at,
            "reason": "It is shorter.",
        }
        assert read["pick"] == decided
        assert offers(read)["unpick"]
    assert events(multi_run_id).json["multi_run"]["answer"]["text"] == "Hi."

    assert unpick(multi_run_id).json["answer"] is None
    assert get(multi_run_id).json["pick"] is None
    assert types(multi_run_id)[-3:] == ["completed", "picked", "unpicked"]


def test_a_repeated_pick_and_a_repeated_undo_change_nothing(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, HI)

    first = pick(multi_run_id, candidate=0, reason="First.")
    again = pick(multi_run_id, candidate=0, reason="Second.")
    assert again.json["pick"] == first.json["pick"]
    unpick(multi_run_id)
    assert unpick(multi_run_id).status == 200

    assert types(multi_run_id)[-2:] == ["picked", "unpicked"]


def test_a_pick_does_not_overwrite_another_one_that_the_caller_has_not_seen(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, HI, HI)
    pick(multi_run_id, candidate=0, reason="It is polite.")

    refused = pick(multi_run_id, candidate=1)
    assert refused.status == 409
    assert (refused.json["code"], refused.json["picked"]) == ("another_is_picked", 0)
    assert "picked by user:789: It is polite." in refused.json["detail"]
    assert '{"replaces": 0}' in refused.json["remedy"]

    assert pick(multi_run_id, candidate=1, replaces=0).json["answer"]["candidate"] == 1
    assert pick(multi_run_id, candidate=2, replaces=0).status == 409
    assert unpick(multi_run_id, "?candidate=0").status == 409
    assert get(multi_run_id).json["pick"]["candidate"] == 1
    assert events(multi_run_id).json["items"][-1]["data"]["replaced"] == 0


def test_of_two_picks_at_once_the_second_is_refused(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, HI)
    request = PickCandidate(candidate=1)
    overtaken = Overtaken(current().multi_runs, "advance", lambda: pick(multi_run_id, candidate=0))
    backend = Backend(clock=current().clock, kick=current().kick, multi_runs=cast("Any", overtaken))

    with pytest.raises(AnotherIsPicked) as refusal:
        picking.pick(123, multi_run_id, request, caller=ADA, seconds=20, backend=backend)

    assert refusal.value.code == "another_is_picked"
    assert get(multi_run_id).json["pick"]["candidate"] == 0


def test_a_multi_run_that_failed_or_is_at_work_can_be_decided_by_a_pick(upstream: Runs) -> None:
    failed = finished(upstream, HELLO, Script(seconds=1, ending="FAILED"), quorum=2)
    read = pick(failed, candidate=0).json
    assert (read["status"], read["answer"]["text"]) == ("failed", "Hello.")

    working = started(upstream, HELLO, Script(ending="NEVER"))
    assert pick(working, candidate=1).json["code"] == "nothing_to_pick"
    assert pick(working, candidate=0).json["status"] == "running"
    cancel(working)
    read = get(working).json
    assert (read["status"], read["answer"]["text"]) == ("cancelled", "Hello.")


def test_a_pick_during_the_synthesis_outlasts_it(upstream: Runs) -> None:
    multi_run_id = started(upstream, HELLO, HI, strategy="synthesize")
    assert task("gather", multi_run_id, next="launch", wave=1)["next"] == "synthesize"
    task("synthesize", multi_run_id, task_token="synthesis")
    pick(multi_run_id, candidate=0)
    upstream.follow()
    task("publish", multi_run_id)

    read = get(multi_run_id).json
    assert (read["status"], read["answer"]["source"]) == ("completed", "picked")
    assert unpick(multi_run_id).json["answer"]["source"] == "synthesis"


def test_an_invalid_pick_is_refused_with_its_place(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, HI)

    for body, pointer in (
        ({"candidate": 2}, "/body/candidate"),
        ({"candidate": -1}, "/body/candidate"),
        ({"candidate": 0, "close_losers": "yes"}, "/body/close_losers"),
        ({}, "/body/candidate"),
    ):
        refused = pick(multi_run_id, **body)
        assert refused.status == 422
        assert [error["pointer"] for error in refused.json["errors"]] == [pointer]


def test_a_candidate_without_an_answer_and_without_a_pull_request_cannot_be_picked(upstream: Runs) -> None:
    multi_run_id = finished(upstream, Script(seconds=1, ending="FAILED"), HELLO)

    refused = pick(multi_run_id, candidate=0)

    assert (refused.status, refused.json["code"]) == (409, "nothing_to_pick")


def test_a_very_long_answer_is_cut_so_that_the_record_can_be_stored(upstream: Runs) -> None:
    long = Script(seconds=1, steps=1, result="\u8a9e" * 60_000)
    multi_run_id = finished(upstream, long, HI, prompt="\u8a9e" * 59_000)

    answer = pick(multi_run_id, candidate=0).json["answer"]

    assert answer["truncated"]
    assert set(answer["text"]) == {"\u8a9e"}
    assert 50_000 < len(answer["text"]) < 60_000


def test_losers_are_closed_only_on_request_and_each_outcome_is_reported(upstream: Runs) -> None:
    multi_run_id = finished(upstream, CODE, CODE, HELLO, CODE)
    of = opened(multi_run_id)
    assert set(of) == {0, 1, 3}
    assert pick(multi_run_id, candidate=1).json["losers"] == []
    assert upstream.fake.calls[EDIT] == 0

    answer = pick(multi_run_id, candidate=1, close_losers=True)

    assert outcomes(answer) == {0: "closed", 3: "closed"}
    states = {index: upstream.fake.pull_requests[pull_request].state for index, pull_request in of.items()}
    assert states == {0: "closed", 1: "open", 3: "closed"}
    assert [each["closed_pull_requests"] for each in answer.json["candidates"]] == [[of[0]], [], [], [of[3]]]
    logged = [each for each in events(multi_run_id).json["items"] if each["type"] == "multi_run.pull_request_closed"]
    assert [each["data"] for each in logged] == [
        {"candidate": index, "pull_request_id": of[index], "closed_by": "user:789"} for index in (0, 3)
    ]

    again = pick(multi_run_id, candidate=1, close_losers=True)
    assert outcomes(again) == {0: "closed", 3: "closed"}
    assert upstream.fake.calls[EDIT] == 2


def test_a_pull_request_that_is_not_the_candidates_own_is_not_closed(upstream: Runs) -> None:
    older = next(iter(upstream.fake.pull_requests))
    multi_run_id = finished(upstream, HELLO, Script(seconds=1, steps=1, result="Done.", pull_request_id=older))

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "refused"}
    assert upstream.fake.pull_requests[older].state == "open"
    assert types(multi_run_id)[-1] == "pull_request_kept"
    assert events(multi_run_id).json["items"][-1]["data"]["reason"] == answer.json["losers"][0]["detail"]


def test_a_pull_request_that_is_older_than_the_candidates_run_is_not_closed(upstream: Runs) -> None:
    """No other run at Codegen works on it: a person may have opened it."""
    multi_run_id = finished(upstream, HELLO, CODE)
    upstream.fake.pull_requests[opened(multi_run_id)[1]].created_at -= timedelta(hours=1)

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "refused"}
    assert "was not opened by the candidate's run" in answer.json["losers"][0]["detail"]
    assert upstream.fake.calls[EDIT] == 0


def test_a_pull_request_that_codegen_does_not_list_with_the_run_any_more_is_not_closed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE)
    run_id = get(multi_run_id).json["candidates"][1]["agent_run_id"]
    upstream.fake.runs[run_id].pull_request = None

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "refused"}
    assert "does not list it" in answer.json["losers"][0]["detail"]
    assert upstream.fake.calls[EDIT] == 0


def test_a_pull_request_that_another_run_works_on_is_not_closed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE)
    fixing = codegen(upstream).runs.create(f"Fix the checks. [[fake pull_request_id={opened(multi_run_id)[1]}]]")

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "refused"}
    assert f"{fixing.id} (API)" in answer.json["losers"][0]["detail"]
    assert upstream.fake.calls[EDIT] == 0


def test_a_candidate_at_work_keeps_its_pull_request(upstream: Runs) -> None:
    working = Script(ending="NEVER", steps=1, pull_request=True, seconds=2)
    multi_run_id = started(upstream, HELLO, working)
    assert set(opened(multi_run_id)) == {1}

    assert outcomes(pick(multi_run_id, candidate=0, close_losers=True)) == {1: "refused"}


def test_a_merged_pull_request_is_not_closed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE)

    with connections.over(MergedPullRequests(upstream.fake)):
        answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert (outcomes(answer), answer.json["losers"][0]["detail"]) == ({1: "refused"}, "It is merged.")


class NoSuccess(FakeTransport):
    """Codegen that reports no success for an edit, and the state after it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        content = response.read().replace(b'"success":true', b'"success":false')
        return httpx.Response(response.status_code, content=content, headers={"Content-Type": "application/json"})


def test_a_pull_request_that_is_closed_already_counts_as_closed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE)

    with connections.over(NoSuccess(upstream.fake)):
        answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "closed"}


def test_a_refusal_by_codegen_is_reported_and_the_others_are_closed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE, CODE, CODE)
    upstream.fake.trouble(EDIT, Trouble("error", status=403, message="No, thank you."))

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert outcomes(answer) == {1: "failed", 2: "closed", 3: "closed"}
    assert "No, thank you." in answer.json["losers"][0]["detail"]
    assert types(multi_run_id)[-3:] == ["pull_request_kept", "pull_request_closed", "pull_request_closed"]
    assert outcomes(pick(multi_run_id, candidate=0, close_losers=True)) == {1: "closed", 2: "closed", 3: "closed"}


def test_nothing_is_closed_while_the_list_of_runs_cannot_be_read(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE)
    upstream.fake.trouble("list_agent_runs", Trouble("error", status=403, message="No, thank you."))

    answer = pick(multi_run_id, candidate=0, close_losers=True)

    assert answer.json["answer"]["candidate"] == 0
    assert outcomes(answer) == {1: "refused"}
    assert "No, thank you." in answer.json["losers"][0]["detail"]


def test_what_there_is_no_time_for_is_closed_by_the_next_request(upstream: Runs) -> None:
    multi_run_id = finished(upstream, HELLO, CODE, CODE)

    hurried = pick(multi_run_id, Context(milliseconds_left=10_000), candidate=0, close_losers=True)
    assert outcomes(hurried) == {1: "not_tried", 2: "not_tried"}
    assert outcomes(pick(multi_run_id, candidate=0, close_losers=True)) == {1: "closed", 2: "closed"}


def test_no_pull_request_is_closed_after_the_pick_has_changed(upstream: Runs) -> None:
    multi_run_id = finished(upstream, CODE, CODE, CODE)
    pick(multi_run_id, candidate=0)
    request = PickCandidate(candidate=0, close_losers=True)
    # Read once for the pick, and then before each pull request.
    reads = iter([lambda: None, lambda: None, lambda: pick(multi_run_id, candidate=1, replaces=0)])
    overtaken = Overtaken(current().multi_runs, "get", lambda: next(reads, lambda: None)(), times=None)
    backend = Backend(
        clock=current().clock, kick=current().kick, codegen=codegen(upstream), multi_runs=cast("Any", overtaken)
    )

    picked = picking.pick(123, multi_run_id, request, caller=ADA, seconds=20, backend=backend)

    assert [each.outcome for each in picked.losers] == ["closed", "not_tried"]
    assert get(multi_run_id).json["pick"]["candidate"] == 1
