"""The candidates of a multi-run side by side."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs.backend import Backend
from codegen_runs.events import Writer
from codegen_runs.multi_runs import comparison
from codegen_runs.multi_runs.comparison import MOST_BYTES, files
from codegen_runs.multi_runs.evidence.reading import evidence_of, gathered
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Answer, AnswerSource, MultiRun, MultiRunsTable, MultiRunStatus
from codegen_runs.storage.runs import RunsTable
from tests.support import backend, handlers
from tests.support.events import call, current, rest, working_with
from tests.unit.multi_runs.records import multi_run, watch_of

ORG = 123
SHARED = "Take the clock as a parameter and write the entry under a condition."
RACE = "Two workers read the clock before either of them has written the entry."


@pytest.fixture(autouse=True)
def _backend(runs: RunsTable, clock: backend.TestClock) -> Iterator[None]:
    with working_with(Backend(clock=clock, kick=backend.Kicks())):
        yield


def candidate(
    of: MultiRun, index: int, result: str | None, *logs: dict[str, Any], status: Any = Status.COMPLETED
) -> None:
    """Store the run of a candidate with its event log."""
    key = of.candidate_key(index)
    watch = watch_of(key, status, result, agent_run_id=100 + index, multi_run_id=of.id)
    writer = Writer(watch.position, run_id=watch.agent_run_id, now=current().clock.now())
    writer.add("run.queued", {"turn": 1})
    for position, log in enumerate(logs):
        writer.add("run.log", {"position": position, "log": log})
    if status.terminal:
        writer.ended(status, {"turn": 1, "status": status, "reason": None})
    assert current().runs.add(watch.at(writer.position), writer.events)


def edit(path: str) -> dict[str, Any]:
    return {"message_type": "ACTION", "tool_name": "edit_file", "tool_input": {"path": path}, "tool_output": {}}


def stored(**changes: Any) -> MultiRun:
    made = multi_run(id="mr-1-compare", **changes)
    MultiRunsTable("MultiRunsTable").add(made)
    return made


def compare(of: MultiRun) -> Any:
    path = f"/v1/organizations/{ORG}/multi-runs/{of.id}/compare"
    answer = call(handlers.handler("multi_runs/compare"), rest("GET", path))
    assert answer.status == 200
    return answer.json


def test_candidates_are_compared_by_their_logs_and_answers() -> None:
    answer = Answer(text=f"{SHARED}\n\nNobody else wrote any of this.", source=AnswerSource.SYNTHESIS)
    of = stored(answer=answer, status=MultiRunStatus.COMPLETED)
    test = {"tool_name": "Bash", "tool_input": {"command": "pytest"}, "tool_output": "1 failed, 2 passed in 1s"}
    candidate(of, 0, SHARED, edit("src/cache.py"), edit("src/clock.py"), test)
    candidate(of, 1, f"{SHARED} Yes.", edit("/srv/shop/src/cache.py"))

    found = compare(of)

    first, second, missing = found["candidates"]
    assert (first["evidence"]["tests_outcome"], second["evidence"]["tests_outcome"]) == ("failed", None)
    assert first["evidence"]["tests"][0]["event_id"] == "0-4"
    assert (first["usable"], first["answer_characters"]) == (True, len(SHARED))
    assert first["link"] == f"/v1/organizations/{ORG}/agent/run/100"
    assert (missing["evidence"], missing["usable"], missing["link"]) == (None, None, None)
    assert [(each["rank"], each["rank_reasons"]) for each in found["candidates"]] == [(None, None)] * 3
    assert found["files"]["changed_by_all"] == ["src/cache.py"]
    assert found["files"]["changed_by_one"] == [{"path": "src/clock.py", "candidate": 0}]
    assert (found["agreement"]["summary"], found["agreement"]["clusters"]) == ("2 of 2 agree", [[0, 1]])
    copied, novel = found["provenance"]["blocks"]
    assert [source["candidate"] for source in copied["sources"]] == [0, 1]
    assert novel["novel"] is True


def test_before_there_are_answers_there_is_nothing_to_relate() -> None:
    of = stored(status=MultiRunStatus.RUNNING)
    candidate(of, 0, None, edit("a.py"), status=Status.RUNNING)

    found = compare(of)

    assert (found["agreement"], found["provenance"], found["status"]) == (None, None, "running")
    assert found["candidates"][0]["evidence"]["files"][0]["path"] == "a.py"


def test_an_unknown_multi_run_is_not_found() -> None:
    path = f"/v1/organizations/{ORG}/multi-runs/mr-none/compare"

    assert call(handlers.handler("multi_runs/compare"), rest("GET", path)).status == 404


def test_secrets_in_answers_are_masked() -> None:
    secret = "ghp_" + "a" * 30
    of = stored(answer=Answer(text=f"The key is {secret} now.", source=AnswerSource.SYNTHESIS))
    candidate(of, 0, f"Another key is {secret} there.")

    assert secret not in json.dumps(compare(of))


def test_a_log_that_is_read_in_part_is_incomplete() -> None:
    of = stored()
    candidate(of, 0, RACE, *map(edit, "abcdef"))
    watch = current().runs.get(ORG, of.candidate_key(0))
    assert watch is not None

    part, whole = (gathered([watch], backend=current(), page=2, most_pages=most)[watch.key] for most in (2, 4))

    assert (part.complete, part.changed_files, part.status) == (False, ["a", "b", "c"], None)
    assert (whole.complete, whole.changed_files, whole.status) == (True, list("abcdef"), "completed")


def test_many_runs_share_the_pages() -> None:
    of = stored()
    for index in range(3):
        candidate(of, index, RACE, *map(edit, "abcdef"))
    watches = list(current().runs.get_many(ORG, of.candidate_keys).values())

    found = gathered(watches, backend=current(), page=2, most_pages=9)

    assert {len(each.changed_files) for each in found.values()} == {5}
    assert {each.complete for each in found.values()} == {False}


def test_an_expired_log_is_incomplete(clock: backend.TestClock) -> None:
    of = stored()
    candidate(of, 0, RACE, edit("a.py"))
    clock.sleep(40 * 86_400)

    evidence = compare(of)["candidates"][0]["evidence"]

    assert (evidence["complete"], evidence["steps"], evidence["duration_seconds"]) == (False, 0, None)


def test_an_answer_fits_into_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_BYTES", MOST_BYTES // 1000)
    of = stored()
    for index in range(3):
        candidate(of, index, RACE, *(edit(f"{number}.py") for number in range(60)))

    found = [each["evidence"] for each in compare(of)["candidates"]]

    assert len(json.dumps(found)) <= MOST_BYTES // 1000 + 100
    assert all(each["left_out"]["files"] + len(each["files"]) == 60 for each in found)
    assert compare(of)["files"]["changed_by_all"] == sorted(f"{number}.py" for number in range(60))


def test_of_tests_the_last_ones_are_kept() -> None:
    logs = [{"tool_name": "Bash", "tool_input": {"command": f"pytest {number}"}} for number in range(4)]
    writer = Writer(watch_of("k", Status.RUNNING).position, run_id=7, now=0)
    for position, log in enumerate(logs):
        writer.add("run.log", {"position": position, "log": log})

    short = evidence_of(writer.events).shortened(1)

    assert [test.command for test in short.tests] == ["pytest 3"]
    assert short.left_out["tests"] == 3


@pytest.mark.parametrize(
    ("changed", "by_all", "by_one"),
    [
        ({0: ["a"], 1: ["a", "b"], 2: []}, ["a"], [("b", 1)]),
        ({0: ["a"]}, [], [("a", 0)]),
        ({0: ["/x/src/a"], 1: ["src/a"]}, ["src/a"], []),
        ({0: ["/x/other/a"], 1: ["src/a"]}, [], [("/x/other/a", 0), ("src/a", 1)]),
        ({}, [], []),
    ],
)
def test_files_of_one_and_of_all(
    changed: dict[int, list[str]], by_all: list[str], by_one: list[tuple[str, int]]
) -> None:
    found = files(changed)

    assert found.changed_by_all == by_all
    assert [(each.path, each.candidate) for each in found.changed_by_one] == by_one
