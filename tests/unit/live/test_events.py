"""Reading a run's events as JSON, and waiting for them."""

from collections.abc import Callable
from random import Random

import pytest

from codegen_api import CodegenAPI
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from tests.support.backend import TestClock
from tests.support.memory import MemoryRuns
from tests.support.viewers import LiveViewer, LongPollViewer, PageViewer, list_events

pytestmark = pytest.mark.usefixtures("served")
Poll = Callable[[float], None]


def test_pages_follow_one_another_to_the_end(codegen: CodegenAPI, poll: Poll, fake: FakeCodegen) -> None:
    fake.script(Script(steps=20, seconds=5))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    first = list_events(run.id).json
    assert (first["items"], first["next_cursor"], first["has_more"], first["ended"]) == ([], "0-0", False, False)
    poll(30)
    pages = [list_events(run.id, "?limit=10").json]
    while pages[-1]["has_more"]:
        pages.append(list_events(run.id, f"?limit=10&after={pages[-1]['next_cursor']}").json)

    ids = [item["id"] for page in pages for item in page["items"]]
    assert ids == [f"0-{n}" for n in range(1, len(ids) + 1)]
    assert [page["ended"] for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1]["items"][-1]["type"] == "run.completed"
    assert pages[-1]["run"]["status"] == "completed"
    assert list_events(run.id, f"?after={ids[-1]}").json["ended"]


def test_the_newest_events_come_first_and_then_the_earlier_ones(
    codegen: CodegenAPI, poll: Poll, fake: FakeCodegen
) -> None:
    fake.script(Script(steps=20, seconds=5))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    list_events(run.id)
    poll(30)
    every = [item["id"] for item in list_events(run.id).json["items"]]

    pages = [list_events(run.id, "?before=latest&limit=10").json]
    while pages[-1]["has_more"]:
        pages.append(list_events(run.id, f"?limit=10&before={pages[-1]['items'][0]['id']}").json)

    assert [item["id"] for page in reversed(pages) for item in page["items"]] == every
    assert pages[0]["next_cursor"] == every[-1]
    assert list_events(run.id, f"?before={every[0]}").json["items"] == []
    assert list_events(run.id, "?before=9-9").status == 400


def test_a_request_waits_for_the_first_news_only(
    codegen: CodegenAPI, fake: FakeCodegen, clock: TestClock, polled_meanwhile: None
) -> None:
    fake.script(Script(steps=5, seconds=60))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    before = clock.now()
    answer = list_events(run.id, "?wait=25").json

    assert answer["items"]
    assert clock.now() - before < 10


@pytest.mark.parametrize(("wait", "seconds"), [("0", 0), ("3.5", 3.5), ("25", 25)])
def test_a_request_without_news_is_held_for_the_requested_time(
    wait: str, seconds: float, codegen: CodegenAPI, clock: TestClock
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    before = clock.now()
    answer = list_events(run.id, f"?wait={wait}")

    assert answer.json["items"] == []
    assert clock.now() - before == pytest.approx(seconds)


def test_a_request_for_an_ended_run_does_not_wait(codegen: CodegenAPI, poll: Poll, clock: TestClock) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    list_events(run.id)
    poll(60)
    last = list_events(run.id).json["next_cursor"]
    before = clock.now()

    assert list_events(run.id, f"?after={last}&wait=25").json["ended"]
    assert clock.now() == before


def test_deleted_events_are_counted_or_answered_with_gone(codegen: CodegenAPI, poll: Poll, clock: TestClock) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    list_events(run.id)
    poll(60)
    total = len(list_events(run.id).json["items"])
    clock.sleep(30 * 86_400)

    fresh = list_events(run.id).json
    assert (fresh["expired"], fresh["items"], fresh["ended"]) == (total, [], True)
    gone = list_events(run.id, "?after=0-2")
    assert gone.status == 410
    assert gone.json["links"]["run"].endswith(f"/agent/run/{run.id}")
    assert list_events(run.id, f"?after={fresh['next_cursor']}").status == 200


def test_a_gap_of_deleted_events_is_never_skipped(
    codegen: CodegenAPI, poll: Poll, runs: MemoryRuns, fake: FakeCodegen
) -> None:
    fake.script(Script(steps=8, seconds=5))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    list_events(run.id)
    poll(30)
    del runs.log[DEMO_ORG_ID, str(run.id)][4]

    page = list_events(run.id).json
    assert [item["id"] for item in page["items"]] == ["0-1", "0-2", "0-3", "0-4"]
    assert page["has_more"]
    assert list_events(run.id, "?after=0-4").status == 410
    assert list_events(run.id, "?after=0-5").status == 200


@pytest.mark.parametrize("cursor", ["nonsense", "0-999999", "7-1", "-1", "0-1%3B"])
def test_an_invalid_cursor_is_refused(cursor: str, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    answer = list_events(run.id, f"?after={cursor}")

    assert (answer.status, answer.json["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=all", "wait=-1", "wait=26", "wait=nan", "wait=long"])
def test_a_parameter_out_of_range_is_refused(query: str) -> None:
    answer = list_events(1, f"?{query}")

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/query/" + query.split("=")[0]


def test_a_run_that_is_absent_or_of_another_organization_is_not_found(codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)

    assert list_events(99_999_999).status == 404
    assert list_events(run.id, org_id=124).status == 404
    assert list_events(run.id, org_id=125).status == 403


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2))
def test_viewers_cut_a_hundred_times_hold_the_same_events_and_one_end(
    seed: int, codegen: CodegenAPI, fake: FakeCodegen, runs: MemoryRuns, polled_meanwhile: None
) -> None:
    random = Random(seed)
    fake.script(Script(steps=500, seconds=200, logs=random.choice(["steady", "very_late"])))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    viewers = [kind(run.id, random) for kind in (PageViewer, LiveViewer, LongPollViewer)]
    for _ in range(2000):
        waiting = [viewer for viewer in viewers if not viewer.done]
        if not waiting:
            break
        random.choice(waiting).look()

    assert all(viewer.done for viewer in viewers)
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    log: list[tuple[str, str]] = []
    while events := runs.events(DEMO_ORG_ID, watch.key, after=(0, len(log))):
        log += [(event.id, event.type) for event in events]
    for viewer in viewers:
        assert viewer.seen == [*log, (None, "stream.end")]
        assert viewer.cuts == 100
    assert sum(type_ == "run.log" for _, type_ in log) >= 500
    assert sum(type_ == "run.completed" for _, type_ in log) == 1
