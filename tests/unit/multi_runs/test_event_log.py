"""The event log of a multi-run: what is written when, and how viewers read it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.live.multi_runs import MultiRunReader
from codegen_runs.multi_runs import recording, transitions
from codegen_runs.multi_runs.judging import judge
from codegen_runs.multi_runs.snapshots import state
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.poller.candidates import RecordedCandidates
from codegen_runs.poller.publisher import NoViewers
from codegen_runs.problems import StorageUnavailable
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus, Variant
from codegen_runs.storage.table import ConditionFailed
from local import openapi_events
from local.fake_codegen import Script
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import call, current, rest, working_with
from tests.support.overtaken import Overtaken
from tests.support.schemas import unfit
from tests.support.viewers import frames, stream_live
from tests.unit.multi_runs.flow import ORG, PATH, Runs, cancel, create, events, get, stored, task, types
from tests.unit.multi_runs.records import multi_run, watch_of

pytestmark = pytest.mark.usefixtures("state_machine")


def answered(upstream: Runs, **body: Any) -> str:
    """Take a multi-run to its answer, and call each task twice, as Step Functions may."""
    multi_run_id = str(create({"prompt": "Say hello.", **body}).json["id"])
    task("plan", multi_run_id)
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    for _ in range(2):
        task("publish", multi_run_id)
    return multi_run_id


def ended() -> str:
    """Take a multi-run whose candidates have answered to its end, without the upstream."""
    multi_run_id = str(create({"prompt": "Say hello.", "strategy": "none"}).json["id"])
    task("plan", multi_run_id)
    for index in range(3):
        watch = watch_of(f"{multi_run_id}-{index}", Status.COMPLETED, f"Hello {index}.", multi_run_id=multi_run_id)
        assert current().runs.add(watch)
        recording.candidates_ended([watch], backend=current())
    task("publish", multi_run_id)
    return multi_run_id


def test_each_step_has_one_event_however_often_a_task_is_called(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="FAILED"))
    multi_run_id = answered(upstream, quorum=2)

    found = types(multi_run_id)
    ends = [type_ for type_ in found if type_ in ("candidate_finished", "quorum_met")]
    assert sorted(ends) == ["candidate_finished"] * 3 + ["quorum_met"]
    assert [type_ for type_ in found if type_ not in ends] == [
        "created", "launching", "degraded", "judged", "synthesizing", "completed"
    ]  # fmt: skip
    items = events(multi_run_id).json["items"]
    assert [event["seq"] for event in items] == list(range(1, len(items) + 1))
    degraded = next(event for event in items if event["type"] == "multi_run.degraded")
    (gap,) = degraded["data"]["gaps"]
    failed = next(each for each in get(multi_run_id).json["candidates"] if not each["usable"])
    assert gap == {"candidate": failed["index"], "reason": failed["reason"]}


def test_every_event_fits_its_schema_and_the_record_is_what_the_events_add_up_to() -> None:
    multi_run_id = ended()
    items = events(multi_run_id).json["items"]

    assert [openapi_events.fault({name: event[name] for name in event if name != "link"}) for event in items] == [
        None
    ] * len(items)
    usable = {
        str(event["data"]["candidate"]): event["data"]["usable"]
        for event in items
        if event["type"] == "multi_run.candidate_finished"
    }
    snapshot, record = get(multi_run_id).json, stored(multi_run_id)
    assert usable == record.outcomes == {str(each["index"]): each["usable"] for each in snapshot["candidates"]}
    assert (items[-1]["data"]["source"], snapshot["answer"]) == (None, None)
    assert items[-1]["seq"] == record.seq


def test_a_candidate_that_the_poller_did_not_record_is_recorded_when_all_have_come() -> None:
    """A poller may die between the end of a run and its event; the next one has only the task token to answer."""
    multi_run_id = str(create({"prompt": "Say hello.", "concurrency": 2}).json["id"])
    task("plan", multi_run_id)
    for index, status in enumerate((Status.COMPLETED, Status.TIMED_OUT)):
        watch = watch_of(f"{multi_run_id}-{index}", status, "Hello." if index == 0 else None, multi_run_id=multi_run_id)
        assert current().runs.add(watch)
    task("gather", multi_run_id, next="launch", wave=1)

    assert types(multi_run_id) == [
        "created", "launching", "candidate_finished", "quorum_met", "candidate_finished", "degraded"
    ]  # fmt: skip


def test_below_the_quorum_the_log_ends_with_the_reason(upstream: Runs) -> None:
    upstream.fake.script(Script(ending="FAILED"))
    multi_run_id = answered(upstream, concurrency=2, quorum=2)
    *_, last = events(multi_run_id).json["items"]

    assert types(multi_run_id)[-1] == "failed"
    assert "degraded" not in types(multi_run_id)
    assert last["data"]["reason"].startswith("Usable candidates: 1, required: 2.")


def test_pause_resume_and_cancel_are_in_the_log_once_each() -> None:
    multi_run_id = str(create().json["id"])
    for action in ("pause", "pause", "resume", "cancel", "cancel"):
        call(handlers.handler(f"multi_runs/{action}"), rest("POST", f"{PATH}/{multi_run_id}/{action}"))

    assert types(multi_run_id) == ["created", "paused", "resumed", "cancelled"]
    assert events(multi_run_id).json["items"][-1]["data"] == {"requested_by": "user:42", "reason": None}
    assert events(multi_run_id).json["ended"]


def test_a_state_machine_that_cannot_start_leaves_a_failed_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTI_RUN_STATE_MACHINE", "arn:aws:states:us-east-1:123456789012:stateMachine:gone")
    create()
    (left,), _ = current().multi_runs.newest(ORG, 10)

    assert types(left.id) == ["created", "failed"]


@pytest.mark.parametrize("overtaken", ["pause", "cancel"])
def test_a_change_at_the_same_time_loses_no_event_and_no_change(overtaken: str, clock: backend.TestClock) -> None:
    """The poller records the end of a candidate between the read and the write of a caller's request."""
    multi_run_id = str(create({"prompt": "Say hello.", "concurrency": 2}).json["id"])
    task("plan", multi_run_id)
    watch = watch_of(f"{multi_run_id}-1", Status.COMPLETED, "Hello.", multi_run_id=multi_run_id)
    assert current().runs.add(watch)
    racing: Any = Overtaken(
        current().multi_runs, "advance", lambda: recording.candidates_ended([watch], backend=current())
    )
    with working_with(Backend(clock=clock, kick=backend.Kicks(), multi_runs=racing)):
        call(handlers.handler(f"multi_runs/{overtaken}"), rest("POST", f"{PATH}/{multi_run_id}/{overtaken}"))

    assert types(multi_run_id)[2:] == [
        "candidate_finished", "quorum_met", {"pause": "paused", "cancel": "cancelled"}[overtaken]
    ]  # fmt: skip
    assert stored(multi_run_id).outcomes == {"1": True}


class Writes:
    """A multi-runs table that fails its first write if asked to, and counts the writes that another one prevented."""

    def __init__(self, *, fails: bool = False) -> None:
        self._table = current().multi_runs
        self._fails = fails
        self.prevented = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def advance(self, *args: Any, **more: Any) -> MultiRun:
        if self._fails:
            self._fails = False
            raise StorageUnavailable("The table cannot be reached.")
        try:
            return self._table.advance(*args, **more)
        except ConditionFailed:
            self.prevented += 1
            raise


@pytest.mark.parametrize("fails", [False, True])
def test_ends_that_are_found_at_once_are_recorded_once_and_do_not_prevent_each_other(
    clock: backend.TestClock, fails: bool
) -> None:
    multi_run_id = str(create({"prompt": "Say hello.", "concurrency": 8}).json["id"])
    task("plan", multi_run_id)
    keys = [f"{multi_run_id}-{index}" for index in range(8)]
    watches = [watch_of(key, Status.COMPLETED, "Hello.", multi_run_id=multi_run_id) for key in keys]
    table = Writes(fails=fails)
    recorded = RecordedCandidates(
        Backend(clock=clock, kick=backend.Kicks(), multi_runs=cast("Any", table), runs=current().runs), NoViewers()
    )
    with ThreadPoolExecutor(8) as threads:
        failures = [end.exception() for end in [threads.submit(recorded.ended, watch) for watch in watches]]
    for watch, failure in zip(watches, failures, strict=True):
        if failure:  # The poller takes the step again.
            recorded.ended(watch)

    assert sum(failure is not None for failure in failures) == fails
    assert table.prevented == 0
    assert types(multi_run_id).count("candidate_finished") == 8
    assert stored(multi_run_id).outcomes == {str(index): True for index in range(8)}


def test_the_record_and_its_event_are_written_together_or_not_at_all() -> None:
    multi_run_id = str(create().json["id"])
    record = stored(multi_run_id)
    change = transitions.launching(record, [0, 1, 2], now=current().clock.now())
    assert change is not None
    also = current().runs.event_actions(ORG, multi_run_id, change.events)
    current().multi_runs.advance(record, change.status, also=also, **change.fields)
    with pytest.raises(ConditionFailed):
        current().multi_runs.advance(record, change.status, also=also, **change.fields)

    assert types(multi_run_id) == ["created", "launching"]
    assert stored(multi_run_id).seq == 2


def test_an_end_after_the_end_of_the_multi_run_is_not_recorded() -> None:
    multi_run_id = str(create().json["id"])
    watch = watch_of(f"{multi_run_id}-0", Status.COMPLETED, "Hello.", multi_run_id=multi_run_id)
    assert current().runs.add(watch)
    cancel(multi_run_id)

    _, is_changed = recording.candidates_ended([watch], backend=current())
    assert not is_changed
    assert types(multi_run_id)[-1] == "cancelled"


def test_a_record_of_an_earlier_version_can_be_read_and_changed(deployed: Template) -> None:
    """Such a record has neither the number of its writes nor events."""
    record = multi_run(id="mr-0-old", created_at=0)
    table = current().multi_runs
    table.add(record)
    table._table.update(
        {"pk": f"org#{ORG}", "sk": f"multi_run#{record.id}"},
        dict.fromkeys(("rev", "seq", "epoch", "outcomes", "gathered_at")),
    )
    assert events(record.id).json["items"] == []
    task("plan", record.id)

    assert types(record.id) == ["launching"]
    assert stored(record.id).status is MultiRunStatus.RUNNING


# --- reading ---------------------------------------------------------------------------------------------------------


def test_each_cursor_continues_where_the_page_before_ended() -> None:
    multi_run_id = ended()
    seen: list[str] = []
    cursor, is_over = "", False
    while not is_over:
        page = events(multi_run_id, f"?limit=2{cursor}").json
        seen += [event["id"] for event in page["items"]]
        cursor, is_over = f"&after={page['next_cursor']}", page["ended"]

    assert seen == [event["id"] for event in events(multi_run_id).json["items"]]
    assert page["multi_run"]["status"] == "completed"
    assert page["multi_run"]["link"] == f"{PATH}/{multi_run_id}"
    assert (page["multi_run"]["finished"], page["multi_run"]["usable"]) == (3, 3)


@pytest.mark.parametrize("after", ["0-99", "nonsense", "1-1"])
def test_a_cursor_of_another_log_is_refused(after: str) -> None:
    multi_run_id = str(create().json["id"])
    answer = events(multi_run_id, f"?after={after}")

    assert (answer.status, answer.json["code"]) == (400, "invalid_cursor")


def test_events_that_are_no_longer_stored_are_counted_or_refused(clock: backend.TestClock) -> None:
    multi_run_id = ended()
    count = len(types(multi_run_id))
    clock.sleep(31 * 86_400)

    assert (events(multi_run_id).json["items"], events(multi_run_id).json["expired"]) == ([], count)
    gone = events(multi_run_id, "?after=0-1")
    assert (gone.status, gone.json["code"]) == (410, "cursor_expired")
    assert gone.json["links"] == {"multi_run": f"{PATH}/{multi_run_id}"}


@pytest.mark.usefixtures("loop")
def test_the_events_of_another_organization_are_not_found() -> None:
    multi_run_id = str(create().json["id"])
    path = f"/v1/organizations/124/multi-runs/{multi_run_id}"

    for name, tail in (("multi_runs/events", "events"), ("live/stream", "logs/stream")):
        answer = call(handlers.handler(name), rest("GET", f"{path}/{tail}"))
        assert (answer.status, answer.json["code"]) == (404, "multi_run_not_found")


def test_a_waiting_request_returns_with_the_next_event(clock: backend.TestClock) -> None:
    multi_run_id = str(create().json["id"])
    sleep = clock.sleep

    def sleep_until_planned(seconds: float) -> None:
        sleep(seconds)
        task("plan", multi_run_id)

    clock.sleep = sleep_until_planned  # type: ignore[method-assign]
    answer = events(multi_run_id, "?after=0-1&wait=20").json

    assert [event["type"] for event in answer["items"]] == ["multi_run.launching"]


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("live", [False, True])
def test_a_stream_has_the_snapshot_then_each_event_then_the_end(live: bool) -> None:
    multi_run_id = ended()
    event = rest("GET", f"{PATH}/{multi_run_id}/logs/stream")
    answer = stream_live(event) if live else call(handlers.handler("live/stream"), event)
    first, *others, end = frames(answer.text)

    assert unfit([first, *others, end], "StreamFrame") == []
    assert first["event"] == "multi_run_snapshot"
    assert first["data"]["status"] == "completed"
    assert [frame["data"] for frame in others] == [
        {name: value for name, value in each.items() if name != "link"} for each in events(multi_run_id).json["items"]
    ]
    assert end["event"] == "stream_end"
    seen = rest("GET", f"{PATH}/{multi_run_id}/logs/stream", headers={"Last-Event-ID": end["data"]["cursor"]})
    assert call(handlers.handler("live/stream"), seen).status == 204


@pytest.mark.usefixtures("loop")
def test_a_stream_of_a_multi_run_has_no_chat_view() -> None:
    multi_run_id = str(create().json["id"])
    answer = call(handlers.handler("live/stream"), rest("GET", f"{PATH}/{multi_run_id}/logs/stream?view=chat"))

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/query/view"]


def test_a_long_answer_is_a_preview_in_the_snapshot_of_the_log() -> None:
    long = multi_run(
        status=MultiRunStatus.COMPLETED, answer={"text": "a" * 60_000, "source": "synthesis"}, reason="b" * 60_000
    )

    assert len(json.dumps(state(long).model_dump(mode="json"))) < 8_000
    assert state(long).answer.truncated  # type: ignore[union-attr]


# --- the changes alone -----------------------------------------------------------------------------------------------


@given(
    outcomes=st.lists(st.sampled_from([Status.COMPLETED, Status.FAILED, Status.RUNNING]), min_size=1, max_size=8),
    quorum=st.integers(1, 8),
    order=st.randoms(use_true_random=False),
)
def test_in_any_order_each_end_is_recorded_once_and_the_quorum_is_met_once(
    outcomes: list[Status], quorum: int, order: Any
) -> None:
    record = multi_run(candidates=[Variant()] * len(outcomes), quorum=quorum, status=MultiRunStatus.RUNNING)
    watches = [watch_of(record.candidate_key(index), status, "Hello.") for index, status in enumerate(outcomes)]
    judgement = judge(record, {watch.key: watch for watch in watches})
    shuffled = [*judgement.candidates, *judgement.candidates]
    order.shuffle(shuffled)
    found = []
    for candidate in shuffled:
        change = transitions.candidates_ended(record, [candidate], now=0)
        if change:
            record = record.model_copy(update=change.fields)
            found += [event.type for event in change.events]

    assert found.count("multi_run.candidate_finished") == sum(status is not Status.RUNNING for status in outcomes)
    assert found.count("multi_run.quorum_met") == (outcomes.count(Status.COMPLETED) >= quorum)
    assert record.seq == len(found)


def test_a_change_is_decided_again_with_the_state_that_was_written_in_the_meantime() -> None:
    multi_run_id = str(create().json["id"])
    seen: list[MultiRunStatus] = []

    def decide(record: MultiRun) -> Change | None:
        seen.append(record.status)
        if len(seen) == 1:
            task("plan", multi_run_id)
        return transitions.paused(record, now=current().clock.now())

    recording.update(stored(multi_run_id), decide, backend=current())

    assert seen == [MultiRunStatus.QUEUED, MultiRunStatus.RUNNING]
    assert types(multi_run_id) == ["created", "launching", "paused"]


def test_a_reader_of_a_multi_run_ends_with_its_end() -> None:
    multi_run_id = str(create().json["id"])
    reader = MultiRunReader(current(), stored(multi_run_id))
    assert [event.type for event in reader.next()] == ["multi_run.created"]
    assert (list(reader.next()), reader.ended) == ([], False)
    cancel(multi_run_id)
    reader.next()

    assert (list(reader.next()), reader.ended) == ([], True)
