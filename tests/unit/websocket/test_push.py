"""Sending a run's events to those who are connected."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from codegen_runs.backend import Backend
from codegen_runs.events import MAX_DATA_BYTES, Writer
from codegen_runs.live.connections import Congested, EffectUnknown, Gone
from codegen_runs.live.push import CHECK_INTERVAL, CLAIM_MARGIN, SLOW_INTERVAL, Publisher, Sender
from codegen_runs.live.websocket_frames import MAX_FRAME
from codegen_runs.problems import StorageUnavailable
from codegen_runs.statuses import Status
from codegen_runs.storage.connections import Subscription
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import RETENTION, Watch
from tests.support.memory import MemoryRuns
from tests.unit.multi_runs.records import multi_run
from tests.unit.websocket.fakes import FakeConnections, MemoryConnectionsTable, events

ORG, KEY = 123, "7"


class Clock:
    time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Live:
    """One run, and what sends its events."""

    clock: Clock = field(default_factory=Clock)
    runs: MemoryRuns = field(default_factory=lambda: MemoryRuns(made_up=True))
    table: MemoryConnectionsTable = field(default_factory=MemoryConnectionsTable)
    connections: FakeConnections = field(default_factory=FakeConnections)
    multi_runs: dict[tuple[int, str], MultiRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        watch = Watch(
            org_id=ORG, key=KEY, agent_run_id=7, status=Status.RUNNING, created_at=0, updated_at=0, deadline_at=0
        )
        self.runs.add(watch)
        self.backend = Backend(
            clock=self.clock,
            runs=cast(Any, self.runs),
            connections=cast(Any, self.table),
            multi_runs=cast(Any, self),
        )
        self.publisher = Publisher(self.sender, self.backend)

    @property
    def sender(self) -> Sender:
        return Sender(self.backend, self.connections)

    def get(self, org_id: int, multi_run_id: str) -> MultiRun | None:
        return self.multi_runs.get((org_id, multi_run_id))

    def write(self, *data: dict[str, Any], ends: Status | None = None) -> None:
        """Append log entries, or the end, and publish them."""
        watch = self.runs.watches[ORG, KEY]
        writer = Writer(watch.position, run_id=7, now=self.clock.now())
        for each in data:
            writer.add("run.log", each)
        if ends:
            writer.ended(ends, {"turn": watch.turn})
            watch = watch.model_copy(update={"status": ends})
        self.publisher.publish(self.runs.write(watch.at(writer.position), writer.events), writer.events)

    def follow(self, connection_id: str = "ada=", **changes: Any) -> list[dict[str, Any]]:
        """Subscribe; return what the connection gets."""
        frames = self.connections.open(connection_id)
        fields = {"run_id": 7, "due_at": 0, "expires_at": 2_000_000, "key": KEY, "id": "s1"} | changes
        self.sender.begin(Subscription(connection_id=connection_id, org_id=ORG, **fields), until=self.clock.now() + 20)
        return frames

    def subscription(self) -> Subscription:
        (found,) = self.table.subscribers(ORG, KEY)
        return found


@pytest.fixture
def live() -> Live:
    return Live()


def ids(frames: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events(frames)]


def test_a_subscriber_gets_a_snapshot_the_stored_events_and_then_news(live: Live) -> None:
    live.write({"position": 0}, {"position": 1})
    frames = live.follow()
    live.write({"position": 2})

    assert [frame["type"] for frame in frames] == ["snapshot", "events", "events"]
    assert frames[0]["snapshot"]["status"] == "running"
    assert ids(frames) == ["0-1", "0-2", "0-3"]
    assert {frame["subscription"] for frame in frames} == {"s1"}
    assert {frame["run_id"] for frame in frames} == {7}


def test_a_subscription_continues_from_its_cursor(live: Live) -> None:
    live.write({"position": 0}, {"position": 1}, {"position": 2})

    assert ids(live.follow(seq=2)) == ["0-3"]


def test_the_end_is_sent_and_ends_the_subscription(live: Live) -> None:
    frames = live.follow()
    live.write({"position": 0}, ends=Status.COMPLETED)

    assert frames[-1] == {"type": "stream.end", "subscription": "s1", "run_id": 7, "cursor": "0-2"}
    assert live.table.subscriptions == {}


def test_a_subscriber_at_the_end_gets_the_end_at_once(live: Live) -> None:
    live.write({"position": 0}, ends=Status.FAILED)
    frames = live.follow(seq=2)

    assert [frame["type"] for frame in frames] == ["snapshot", "stream.end"]


def test_a_follow_up_keeps_subscribers_that_did_not_get_the_end(live: Live) -> None:
    live.write({"position": 0}, ends=Status.COMPLETED)
    reopened = live.runs.watches[ORG, KEY].model_copy(update={"status": Status.RUNNING, "turn": 2})
    live.runs.write(reopened)
    frames = live.follow()
    live.write({"position": 1})

    assert [frame["type"] for frame in frames] == ["snapshot", "events", "events"]


def test_all_subscribers_get_the_same_events(live: Live) -> None:
    followers = [live.follow(f"c{number}=") for number in range(40)]
    live.write({"position": 0})
    live.write({"position": 1})

    assert {tuple(ids(frames)) for frames in followers} == {("0-1", "0-2")}


def test_a_write_to_a_run_without_subscribers_costs_one_read(live: Live) -> None:
    calls: list[None] = []
    live.table.before = lambda: calls.append(None)
    live.write({"position": 0})

    assert len(calls) == 1


def test_small_events_share_frames_and_no_frame_is_too_large(live: Live) -> None:
    for first in (0, 50, 100, 150):
        live.write(*({"position": n, "text": "é" * 300} for n in range(first, first + 50)))
    frames = live.follow()

    assert ids(frames) == [f"0-{n}" for n in range(1, 201)]
    assert max(live.connections.sizes) <= MAX_FRAME
    assert len(frames) < 30


def test_the_largest_event_that_is_stored_fits_a_frame(live: Live) -> None:
    live.write({"position": 0, "text": "x" * (MAX_DATA_BYTES - 100)}, {"position": 1})
    frames = live.follow()

    assert ids(frames) == ["0-1", "0-2"]
    assert max(live.connections.sizes) <= MAX_FRAME


def test_a_truncated_entry_has_a_link_to_the_full_entry(live: Live) -> None:
    live.write({"position": 4, "log": {"observation": "beginning"}, "truncated": True})
    (event,) = events(live.follow())

    assert event["link"] == "/v1/organizations/123/agent/run/7/logs?skip=4&limit=1"


def test_an_event_larger_than_a_frame_is_a_preview_with_a_link(live: Live) -> None:
    live.write({"position": 4, "text": "x" * 2 * MAX_FRAME})
    (event,) = events(live.follow())

    assert event["data"] == {"position": 4, "truncated": True}
    assert event["link"] == "/v1/organizations/123/agent/run/7/logs?skip=4&limit=1"
    assert max(live.connections.sizes) <= MAX_FRAME


def test_a_late_subscriber_without_stored_events_gets_the_missing_count_and_the_end(live: Live) -> None:
    live.write({"position": 0}, {"position": 1}, ends=Status.COMPLETED)
    live.clock.time += RETENTION + 1
    frames = live.follow(expires_at=live.clock.now() + 60)

    assert [frame["type"] for frame in frames] == ["snapshot", "stream.end"]
    assert frames[0]["snapshot"]["expired"] == 3
    assert frames[1]["cursor"] == "0-3"
    assert live.table.subscriptions == {}


def test_a_late_subscriber_gets_the_events_that_are_still_stored(live: Live) -> None:
    live.write({"position": 0}, {"position": 1})
    live.clock.time += RETENTION - 60
    live.write({"position": 2})
    live.clock.time += 60
    frames = live.follow(expires_at=live.clock.now() + 60)

    assert frames[0]["snapshot"]["expired"] == 2
    assert ids(frames) == ["0-3"]


def test_a_gap_of_deleted_events_is_reported_and_never_skipped(live: Live) -> None:
    live.write({"position": 0}, {"position": 1})
    live.clock.time += RETENTION - 60
    live.write({"position": 2})
    live.clock.time += 60
    frames = live.follow(seq=1, expires_at=live.clock.now() + 60)

    assert [frame["type"] for frame in frames] == ["snapshot", "error"]
    assert frames[1]["error"]["code"] == "cursor_expired"
    assert frames[1]["subscription"] == "s1"
    assert live.table.subscriptions == {}


def test_a_long_result_is_a_preview_in_the_snapshot(live: Live) -> None:
    watch = live.runs.watches[ORG, KEY]
    live.runs.write(watch.model_copy(update={"result": "\N{PILE OF POO}" * 60_000, "status_reason": "x" * 60_000}))
    (snapshot,) = live.follow()

    assert snapshot["snapshot"]["result_truncated"] is True
    assert snapshot["snapshot"]["link"] == "/v1/organizations/123/agent/run/7"
    assert max(live.connections.sizes) <= MAX_FRAME


def test_a_connection_that_the_gateway_does_not_know_is_deleted(live: Live) -> None:
    live.follow()
    live.connections.frames.clear()
    live.write({"position": 0})

    assert live.table.subscriptions == {}


def test_a_slow_viewer_is_not_hurried_and_catches_up_from_the_log(live: Live) -> None:
    frames, other = live.follow(), live.follow("bob=")
    live.connections.trouble = [Congested(), Congested()]
    live.write({"position": 0})
    live.write({"position": 1})
    assert (ids(frames), ids(other)) == ([], [])

    live.clock.sleep(SLOW_INTERVAL + 1)
    live.write({"position": 2})

    assert ids(frames) == ids(other) == ["0-1", "0-2", "0-3"]


def test_a_viewer_that_is_slow_at_the_end_still_gets_it(live: Live) -> None:
    frames = live.follow()
    live.connections.trouble = [Congested()]
    live.write({"position": 0}, ends=Status.COMPLETED)
    live.clock.sleep(SLOW_INTERVAL + 1)

    assert live.publisher.check() == 1
    assert frames[-1]["type"] == "stream.end"


def test_a_frame_that_may_have_been_sent_is_never_sent_again(live: Live) -> None:
    live.follow()
    live.connections.trouble = [EffectUnknown()]
    live.write({"position": 0})

    assert "ada=" not in live.connections.frames, "the connection stayed open"
    assert live.table.subscriptions == {}


def test_a_connection_that_cannot_be_closed_gets_nothing_and_is_closed_later(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise Congested

    frames = live.follow()
    live.connections.trouble = [EffectUnknown()]
    with monkeypatch.context() as patched:
        patched.setattr(live.connections, "close", fail)
        live.write({"position": 0})
    live.write({"position": 1})
    assert ids(frames) == []

    live.clock.sleep(60)
    live.publisher.check()
    assert "ada=" not in live.connections.frames


def test_the_connection_of_a_sender_that_died_is_closed(live: Live) -> None:
    live.write({"position": 0})
    frames = live.follow()
    died = live.table.claim(live.subscription(), "gone", round((live.clock.now() + CLAIM_MARGIN) * 1000))
    live.write({"position": 1})
    assert died is not None
    assert ids(frames) == ["0-1"]

    live.clock.sleep(CLAIM_MARGIN + 1)
    live.publisher.check()

    assert ids(frames) == ["0-1"]
    assert "ada=" not in live.connections.frames


def test_the_current_sender_also_sends_later_news(live: Live) -> None:
    frames = live.follow()

    def write_meanwhile() -> None:
        live.connections.before = lambda: None
        live.write({"position": 1})

    live.connections.before = write_meanwhile
    live.write({"position": 0})

    assert ids(frames) == ["0-1", "0-2"]
    assert live.subscription().claim is None


def test_events_without_a_push_are_found_by_the_next_look(live: Live) -> None:
    frames = live.follow()
    watch = live.runs.watches[ORG, KEY]
    writer = Writer(watch.position, run_id=7, now=live.clock.now())
    writer.ended(Status.CANCELLED, {"turn": 1})
    live.runs.write(watch.at(writer.position).model_copy(update={"status": Status.CANCELLED}), writer.events)
    assert live.publisher.check() == 0

    live.clock.sleep(CHECK_INTERVAL)
    assert live.publisher.check() == 1
    assert [frame["type"] for frame in frames] == ["snapshot", "events", "stream.end"]


def test_a_look_postpones_idle_subscriptions_by_a_minute(live: Live) -> None:
    live.follow()
    live.clock.sleep(CHECK_INTERVAL)

    assert [live.publisher.check() for _ in range(2)] == [1, 0]


def test_subscriptions_of_a_deleted_connection_are_removed(live: Live) -> None:
    frames = live.follow(expires_at=int(live.clock.now()) + 60)
    live.clock.sleep(61)
    live.write({"position": 0})

    assert frames == frames[:1]
    assert live.table.subscriptions == {}


def test_a_long_log_is_continued_at_the_next_look_when_the_time_is_over(live: Live) -> None:
    live.write(*({"position": n, "text": "x" * 20_000} for n in range(50)))
    live.connections.before = lambda: live.clock.sleep(1)
    frames = live.follow()
    first = len(ids(frames))
    assert 0 < first < 50

    live.connections.before = lambda: None
    live.publisher.check()
    assert ids(frames) == [f"0-{n}" for n in range(1, 51)]


def test_an_unavailable_table_fails_only_the_viewers(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise StorageUnavailable

    frames = live.follow()
    live.table.before = fail
    live.write({"position": 0})
    assert live.publisher.watched(live.runs.watches[ORG, KEY]) is False
    assert live.publisher.check() == 0
    live.table.before = lambda: None
    live.write({"position": 1})

    assert ids(frames) == ["0-1", "0-2"]


@pytest.mark.parametrize("followed", [True, False])
def test_a_run_is_watched_while_it_has_a_subscriber(followed: bool, live: Live) -> None:
    if followed:
        live.follow()

    assert live.publisher.watched(live.runs.watches[ORG, KEY]) is followed


# --- runs that need not come to be ------------------------------------------------------------------------------------


@pytest.fixture
def follow_synthesis(live: Live) -> Callable[[], list[dict[str, Any]]]:
    named = {"key": "mr-1-synthesis", "run_id": None, "multi_run_id": "mr-1", "part": "synthesis"}
    return lambda: live.follow(**named)


def test_a_run_that_does_not_exist_yet_is_waited_for(live: Live, follow_synthesis: Any) -> None:
    live.multi_runs[ORG, "mr-1"] = multi_run(status=MultiRunStatus.RUNNING)
    frames = follow_synthesis()
    assert frames == []

    synthesis = live.runs.watches[ORG, KEY].model_copy(update={"key": "mr-1-synthesis", "agent_run_id": None})
    writer = Writer(synthesis.position, run_id=None, now=0)
    writer.add("run.queued", {"turn": 1})
    live.runs.add(synthesis.at(writer.position), writer.events)
    live.publisher.publish(synthesis, writer.events)

    assert frames[0]["part"] == "synthesis"
    assert frames[0]["multi_run_id"] == "mr-1"
    assert "run_id" not in frames[0]
    assert [event["type"] for event in events(frames)] == ["run.queued"]


def test_a_run_that_never_started_ends_with_its_multi_run(live: Live, follow_synthesis: Any) -> None:
    live.multi_runs[ORG, "mr-1"] = multi_run(status=MultiRunStatus.RUNNING)
    frames = follow_synthesis()
    live.multi_runs[ORG, "mr-1"] = multi_run(status=MultiRunStatus.FAILED)
    live.clock.sleep(CHECK_INTERVAL)
    live.publisher.check()

    assert [frame["type"] for frame in frames] == ["stream.end"]
    assert live.table.subscriptions == {}


def test_a_connection_that_closes_during_the_snapshot_is_deleted(live: Live) -> None:
    live.connections.trouble = [Gone()]
    live.follow()

    assert live.table.subscriptions == {}


def test_a_snapshot_that_may_have_been_sent_ends_the_connection(live: Live) -> None:
    live.connections.trouble = [EffectUnknown()]
    live.follow()

    assert "ada=" not in live.connections.frames
