"""The runs table: the one in DynamoDB and the one in memory, which other tests use, behave the same."""

from collections import Counter
from typing import Any

import pytest

from codegen_runs.events import Event, Writer
from codegen_runs.prompts import Prompt
from codegen_runs.statuses import Status
from codegen_runs.storage.buckets import Bucket
from codegen_runs.storage.checkpoints import Checkpoint, Reason
from codegen_runs.storage.outages import Outage
from codegen_runs.storage.runs import (
    DEFAULT_QUOTA,
    EVENTS_PER_WRITE,
    MAX_CLOCK_SKEW,
    RETENTION,
    Cancel,
    Launch,
    Lease,
    RunsTable,
    Watch,
)
from codegen_runs.storage.table import ConditionFailed, Table
from tests.support import backend
from tests.support.aws import ENVIRONMENT, Aws, in_memory
from tests.support.memory import ONE_CALL, MemoryRuns

ORG, OTHER_ORG = 123, 124
NOW = 1_750_000_000
MS = NOW * 1000

Runs = RunsTable | MemoryRuns


@pytest.fixture(params=["dynamodb", "memory"])
def runs(request: pytest.FixtureRequest) -> Runs:
    if request.param == "memory":
        return MemoryRuns(made_up=True)
    return backend.runs_table(request.getfixturevalue("deployed"))


def watch(key: str = "mr-1-0", **changes: Any) -> Watch:
    times = {"created_at": MS, "updated_at": MS, "deadline_at": MS + 3_600_000}
    return Watch.model_validate({"org_id": ORG, "key": key, "status": Status.QUEUED} | times | changes)


def events(count: int, *, first: int = 1, epoch: int = 0, at: float = NOW) -> list[Event]:
    writer = Writer(watch(epoch=epoch, seq=first - 1).position, run_id=7, now=at)
    for number in range(count):
        writer.add("run.log", {"position": number, "log": {"cost": 0.5, "tool_output": None}})
    return writer.events


def checkpoints(count: int, *, first: int = 1, epoch: int = 0) -> list[Checkpoint]:
    return [
        Checkpoint(org_id=ORG, run="mr-1-0", agent_run_id=7, epoch=epoch, seq=first + number, turn=1,
                   reason=Reason.PLAN, status=Status.RUNNING, created_at=MS).sealed()
        for number in range(count)
    ]  # fmt: skip


def written(runs: Runs) -> tuple[Watch | None, list[Event], Checkpoint | None]:
    """Read all that a write may change."""
    return runs.get(ORG, "mr-1-0"), runs.events(ORG, "mr-1-0", limit=1000), runs.last_checkpoint(ORG, "mr-1-0")


# --- watches ---


def test_a_watch_is_read_as_it_was_added(runs: Runs) -> None:
    whole = watch(
        launch=Launch(metadata={"weight": 0.5, "nothing": None, "list": [1, {}]}),
        prompts=(Prompt(text="Say hello.", at=MS, source={"agent_id": "reviewer", "agent_version": 3}),),
        cancel=Cancel(requested_at=MS, requested_by="user:1"),
        pull_requests=(1, 2),
        tail=("a:b",),
    )

    assert runs.add(whole, events(2))
    assert runs.get(ORG, whole.key) == whole
    assert runs.events(ORG, whole.key) == events(2)


def test_a_key_is_added_once_and_the_first_watch_stays(runs: Runs) -> None:
    runs.add(watch(priority=1))

    assert not runs.add(watch(priority=2), events(1))
    assert runs.get(ORG, "mr-1-0") == watch(priority=1)
    assert runs.events(ORG, "mr-1-0") == []


def test_a_missing_watch_is_none(runs: Runs) -> None:
    runs.add(watch(agent_run_id=7))

    assert runs.get(ORG, "another") is runs.get(OTHER_ORG, "mr-1-0") is None
    assert runs.find(ORG, 8) is runs.find(OTHER_ORG, 7) is None


def test_many_watches_are_read_by_their_keys(runs: Runs) -> None:
    for key in ("a", "b", "c"):
        runs.add(watch(key))

    assert runs.get_many(ORG, ["a", "c", "none"]) == {"a": watch("a"), "c": watch("c")}
    assert runs.get_many(OTHER_ORG, ["a"]) == {}


def test_a_run_is_found_by_its_id_at_codegen_once_it_is_launched(runs: Runs) -> None:
    runs.add(watch("7", agent_run_id=7))
    runs.add(watch())
    assert runs.find(ORG, 8) is None
    launched = runs.write(watch(agent_run_id=8), launched=True)
    later = runs.write(launched)

    assert runs.find(ORG, 8) == later
    assert runs.find_many(ORG, [7, 8, 9]) == {7: watch("7", agent_run_id=7), 8: later}


def test_a_write_replaces_the_watch_and_appends_to_the_log(runs: Runs) -> None:
    runs.add(watch(), events(1))
    stored = runs.write(watch(status=Status.RUNNING, seq=3), events(2, first=2), checkpoints(1, first=3))

    assert stored == watch(status=Status.RUNNING, seq=3, rev=1)
    assert written(runs) == (stored, events(1) + events(2, first=2), *checkpoints(1, first=3))


@pytest.mark.parametrize(
    ("change", "new_events", "new_checkpoints", "raised"),
    [
        (watch(rev=0), events(1, first=2), checkpoints(1, first=2), ConditionFailed),
        (watch(rev=2), events(1, first=2), checkpoints(1, first=2), ConditionFailed),
        (watch(rev=1), events(2), [], ConditionFailed),
        (watch(rev=1), events(1, first=2), checkpoints(1), ConditionFailed),
        (watch(rev=1), events(EVENTS_PER_WRITE, first=2), checkpoints(1, first=2), ValueError),
    ],
    ids=["written since", "not yet written", "an event again", "a checkpoint again", "too much at once"],
)
def test_a_write_that_is_refused_stores_nothing(
    change: Watch, new_events: Any, new_checkpoints: Any, raised: type[Exception], runs: Runs
) -> None:
    runs.add(watch(), events(1))
    runs.write(watch(), (), checkpoints(1))
    before = written(runs)

    with pytest.raises(raised):
        runs.write(change, new_events, new_checkpoints)
    assert written(runs) == before


def test_a_watch_that_was_never_added_cannot_be_written(runs: Runs) -> None:
    with pytest.raises(ConditionFailed):
        runs.write(watch(), events(1))
    assert written(runs) == (None, [], None)


def test_the_largest_write_is_accepted(runs: Runs) -> None:
    runs.add(watch())
    runs.write(watch(agent_run_id=7), events(EVENTS_PER_WRITE - 10), checkpoints(10), launched=True)

    assert len(runs.events(ORG, "mr-1-0", limit=1000)) == EVENTS_PER_WRITE - 10
    assert runs.find(ORG, 7) is not None


def test_the_last_checkpoint_is_that_of_the_highest_position(runs: Runs) -> None:
    runs.add(watch())
    stored = runs.write(watch(), (), [*checkpoints(1, first=9), *checkpoints(1, first=10)])
    assert runs.last_checkpoint(ORG, "mr-1-0") == checkpoints(1, first=10)[0]
    runs.write(stored, (), checkpoints(1, first=2, epoch=1))

    assert runs.last_checkpoint(ORG, "mr-1-0") == checkpoints(1, first=2, epoch=1)[0]
    assert runs.last_checkpoint(ORG, "another") is None


def test_each_method_that_the_poller_calls_is_one_call_to_dynamodb(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    arguments: dict[str, list[Any]] = {
        "get": [ORG, "mr-1-0"],
        "write": [watch(agent_run_id=7), events(3), checkpoints(2)],
        "last_checkpoint": [ORG, "mr-1-0"],
        "due": [MS, 10],
        "outlook": [10],
        "imprints": [ORG, "mr-1-0", 0],
        "heads": [8],
        "get_bucket": ["quota", "create"],
        "put_bucket": ["quota", "create", Bucket()],
        "get_outage": [],
        "put_outage": [Outage()],
        "acquire_lease": ["poller", "one", MS, MS],
        "lease": ["poller"],
        "release_lease": ["poller", "one"],
    }
    assert arguments.keys() == set(ONE_CALL)

    with in_memory() as aws:
        backend.create_tables(backend.template())
        runs = backend.runs_table(backend.template())
        runs.add(watch())
        for name, given in arguments.items():
            aws.asked.clear()
            getattr(runs, name)(*given, **{"launched": True} if name == "write" else {})
            assert len(aws.asked) == 1, name


def test_the_newest_events_before_a_place_are_read_oldest_first(runs: Runs) -> None:
    runs.add(watch())
    stored = runs.write(watch(), events(6))
    runs.write(stored, events(3, first=7, epoch=1))

    def before(epoch: int, seq: int, limit: int = 3) -> list[tuple[int, int]]:
        found = runs.events_before(ORG, "mr-1-0", before=(epoch, seq), limit=limit, now=NOW)
        return [(event.epoch, event.seq) for event in found]

    assert before(9999, 0) == [(1, 7), (1, 8), (1, 9)]
    assert before(1, 8) == [(0, 5), (0, 6), (1, 7)]
    assert before(0, 2) == [(0, 1)]
    assert before(0, 1) == []
    assert runs.events_before(ORG, "mr-1-0", before=(9999, 0), limit=3, now=NOW + 10**9) == []


def test_the_marks_of_an_epoch_are_listed_in_the_order_of_its_events(runs: Runs) -> None:
    runs.add(watch())
    made = [
        Event(epoch=epoch, seq=seq, type="run.log", ts="2025-06-15T15:06:40.123Z", data={}, imprint=imprint)
        for epoch, seq, imprint in ((0, 1, "0:a"), (0, 2, None), (0, 3, "1:b"), (0, 4, "0:c"), (1, 5, "0:d"))
    ]
    runs.write(watch(), made)

    assert [runs.imprints(ORG, "mr-1-0", epoch) for epoch in (0, 1, 2)] == [["0:a", "1:b", "0:c"], ["0:d"], []]
    assert [event.imprint for event in runs.events(ORG, "mr-1-0")] == ["0:a", None, "1:b", "0:c", "0:d"]


def test_an_outage_is_replaced_only_by_who_has_read_it(runs: Runs) -> None:
    assert runs.get_outage() == Outage()
    runs.put_outage(Outage(since=MS, probes=2, probe_at=MS + 1, reason="No answer."))
    stored = Outage(since=MS, probes=2, probe_at=MS + 1, reason="No answer.", rev=1)
    assert runs.get_outage() == stored
    with pytest.raises(ConditionFailed):
        runs.put_outage(Outage())
    runs.put_outage(Outage(rev=1))

    assert runs.get_outage() == Outage(rev=2)


# --- what the poller reads ---


def test_due_watches_are_listed_the_longest_due_first(runs: Runs) -> None:
    for key, due_at in (("late", MS - 1), ("later", MS), ("future", MS + 1), ("never", None), ("first", MS - 9)):
        runs.add(watch(key, due_at=due_at))

    assert runs.due(MS, 10) == [(ORG, "first"), (ORG, "late"), (ORG, "later")]
    assert runs.due(MS, 2) == [(ORG, "first"), (ORG, "late")]


def test_a_watch_moves_in_the_index_with_each_write_and_leaves_it(runs: Runs) -> None:
    runs.add(watch(due_at=MS))
    stored = runs.write(watch(due_at=MS + 5))
    assert runs.due(MS, 10) == []
    assert runs.due(MS + 5, 10) == [(ORG, "mr-1-0")]
    runs.write(stored.model_copy(update={"due_at": None}))

    assert runs.due(MS + 5, 10) == []
    assert runs.outlook(10) == []


def test_the_outlook_has_the_next_times_up_to_a_limit(runs: Runs) -> None:
    for number in range(3):
        runs.add(watch(f"mr-1-{number}", due_at=MS - number))

    assert runs.outlook(10) == [MS - 2, MS - 1, MS]
    assert runs.outlook(2) == [MS - 2, MS - 1]


def test_a_line_of_the_launch_queue_is_in_the_order_of_priority_and_age(runs: Runs) -> None:
    runs.add(watch("young", created_at=MS + 1, priority=1))
    runs.add(watch("old", created_at=MS, priority=1))
    runs.add(watch("urgent", created_at=MS + 2, priority=0))
    runs.add(watch("patient", created_at=MS - 9, priority=2))
    runs.add(watch("again", created_at=MS - 8, queued_at=MS + 3, priority=2))

    keys = ["urgent", "old", "young", "patient", "again"]
    assert [queued.key for queued in runs.queue(ORG, 10)] == keys
    assert [queued.since - MS for queued in runs.queue(ORG, 10)] == [2, 0, 1, -9, 3]
    assert [queued.key for queued in runs.queue(ORG, 2)] == keys[:2]
    assert [queued.place for queued in runs.heads(3)] == [(ORG, key) for key in keys[:3]]


def test_each_caller_of_each_organization_has_a_line_of_its_own(runs: Runs) -> None:
    for org_id in (ORG, OTHER_ORG):
        for caller in ("user:1", "user:2", "user:3"):
            for number in range(3):
                runs.add(watch(f"{caller}-{number}", org_id=org_id, created_by=caller, created_at=MS + number))
    heads = runs.heads(2)

    assert len(heads) == 12
    assert len({head.line for head in heads}) == 6
    assert len({head.caller for head in heads}) == 3
    assert {head.organization for head in heads} == {str(ORG), str(OTHER_ORG)}
    assert all(head.key.endswith(("-0", "-1")) for head in heads)
    assert {queued.org_id for queued in runs.queue(ORG, 100)} == {ORG}
    assert len(runs.queue(ORG, 100)) == 9


@pytest.mark.parametrize("flood", [99, 100, 101, 250])
def test_the_first_runs_of_a_line_are_found_behind_a_long_one(flood: int, runs: Runs) -> None:
    for number in range(flood):
        runs.add(watch(f"flood-{number:03d}", created_by="user:1", created_at=MS + number // 3))
    for caller in range(2, 6):
        for number in range(9):
            runs.add(watch(f"{caller}-{number}", created_by=f"user:{caller}", org_id=ORG + caller % 2))
    found = runs.heads(8)

    assert sorted(Counter(head.line for head in found).values()) == [8] * 5
    assert {head.org_id for head in found} == {ORG, OTHER_ORG}


def test_the_reads_of_the_queue_do_not_grow_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with in_memory() as aws:
        backend.create_tables(backend.template())
        runs, reads = backend.runs_table(backend.template()), []
        for number in range(2):
            runs.add(watch(f"{number}", created_by=f"user:{number}"))
        for number in range(351):
            if number in (50, 200, 350):
                aws.asked.clear()
                assert len({head.line for head in runs.heads(8)}) == 3
                reads.append(len(aws.asked))
            runs.add(watch(f"flood-{number:04d}", created_by="user:9", created_at=MS + number))

    assert reads[0] == 1
    assert reads[1] == reads[2] <= 3


def test_a_run_that_was_queued_before_there_were_lines_is_found(deployed: Aws) -> None:
    runs, old = backend.runs_table(deployed), watch("old", created_by="user:1")
    runs.add(old)
    runs.add(watch("new", created_by="user:1", created_at=MS - 1))
    key = {"pk": f"run#{ORG}#old", "sk": "watch"}
    Table(runs._table.name).update(key, {"rank": 2 * 10**14 + MS})

    assert [(head.key, head.since) for head in runs.heads(8)] == [("old", MS), ("new", MS - 1)]
    assert [queued.key for queued in runs.queue(ORG, 10)] == ["new"]
    runs.write(old)
    assert [queued.key for queued in runs.queue(ORG, 10)] == ["new", "old"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.LAUNCHING},
        {"status": Status.PAUSED, "paused_at": MS},
        {"paused_at": MS},
        {"held_until": MS},
        {"cancel": Cancel(requested_at=MS, requested_by="user:1")},
        {"agent_run_id": 7},
        {"status": Status.CANCELLED},
    ],
)
def test_only_a_watch_that_may_be_launched_is_in_the_launch_queue(changes: dict[str, Any], runs: Runs) -> None:
    runs.add(watch())
    assert [queued.place for queued in runs.queue(ORG, 10)] == [(ORG, "mr-1-0")]
    runs.write(watch(**changes))

    assert runs.queue(ORG, 10) == runs.heads(8) == []


def test_watches_that_codegen_does_not_know_are_listed_newest_first(runs: Runs) -> None:
    runs.add(watch("old", created_at=MS - 1, status=Status.PAUSED))
    runs.add(watch("new", created_at=MS + 1, status=Status.LAUNCHING))
    runs.add(watch("between"))
    runs.add(watch("launched", agent_run_id=7, status=Status.RUNNING))
    runs.add(watch("ended", status=Status.CANCELLED))
    runs.add(watch("elsewhere", org_id=OTHER_ORG))

    assert [each.key for each in runs.unlaunched(ORG, 10)] == ["new", "between", "old"]
    assert [each.key for each in runs.unlaunched(ORG, 2)] == ["new", "between"]
    assert runs.unlaunched(125, 10) == []


# --- limits ---


def test_the_quota_of_the_deployment_is_stored(runs: Runs) -> None:
    assert runs.deployment_quota() == DEFAULT_QUOTA
    runs.note_deployment_quota("a-token")
    runs.note_deployment_quota("a-token")

    assert runs.deployment_quota() == "a-token"


def test_a_bucket_is_empty_until_it_is_written(runs: Runs) -> None:
    assert runs.get_bucket("quota", "create") == Bucket()
    runs.put_bucket("quota", "create", Bucket(given=(MS,), blocked_until=MS, blocked_reason="No."))

    assert runs.get_bucket("quota", "create") == Bucket(given=(MS,), blocked_until=MS, blocked_reason="No.", rev=1)
    assert runs.get_bucket("quota", "logs") == runs.get_bucket("another", "create") == Bucket()


def test_a_bucket_that_was_written_since_it_was_read_is_not_replaced(runs: Runs) -> None:
    runs.put_bucket("quota", "create", Bucket(given=(1,)))
    with pytest.raises(ConditionFailed):
        runs.put_bucket("quota", "create", Bucket(given=(2,)))
    runs.put_bucket("quota", "create", Bucket(given=(3,), rev=1))
    with pytest.raises(ConditionFailed):
        runs.put_bucket("quota", "create", Bucket(given=(4,), rev=1))

    assert runs.get_bucket("quota", "create") == Bucket(given=(3,), rev=2)


# --- the event log ---


def test_events_are_read_strictly_after_a_position_oldest_first(runs: Runs) -> None:
    log = events(10) + events(2, first=11, epoch=1)
    runs.add(watch(), log)
    runs.add(watch("another"), events(1))

    assert runs.events(ORG, "mr-1-0") == log
    assert runs.events(ORG, "mr-1-0", after=(0, 9)) == log[9:]
    assert runs.events(ORG, "mr-1-0", after=(0, 10)) == log[10:]
    assert runs.events(ORG, "mr-1-0", after=(1, 12)) == []
    assert runs.events(OTHER_ORG, "mr-1-0") == []


def test_events_are_read_in_pages(runs: Runs) -> None:
    runs.add(watch(), events(7))
    read: list[Event] = []
    while page := runs.events(ORG, "mr-1-0", after=(0, len(read)), limit=3):
        assert len(page) <= 3
        read += page

    assert read == events(7)


@pytest.mark.parametrize("fraction", [0, 0.9])
def test_an_event_is_read_until_it_expires(fraction: float, runs: Runs) -> None:
    runs.add(watch(), [*events(3, at=NOW - 5), *events(1, first=4, at=NOW + fraction)])

    def read(now: float) -> list[int]:
        return [event.seq for event in runs.events(ORG, "mr-1-0", limit=2, now=now)]

    assert read(NOW) == [1, 2]
    assert read(NOW + RETENTION - 1) == [4]
    assert read(NOW + RETENTION - 0.5) == [4]
    assert read(NOW + RETENTION) == []
    assert len(runs.events(ORG, "mr-1-0")) == 4


# --- leases ---


def test_a_lease_has_one_holder_until_it_is_released(runs: Runs) -> None:
    assert runs.lease("poller") is None
    assert runs.acquire_lease("poller", "one", MS, MS + 30)
    assert not runs.acquire_lease("poller", "two", MS, MS + 30)
    assert runs.acquire_lease("another", "two", MS, MS + 30)
    assert runs.acquire_lease("poller", "one", MS + 10, MS + 40)
    assert runs.lease("poller") == Lease("one", MS + 40)
    runs.release_lease("poller", "two")
    assert not runs.acquire_lease("poller", "two", MS, MS + 30)
    runs.release_lease("poller", "one")

    assert runs.lease("poller") is None
    assert runs.acquire_lease("poller", "two", MS, MS + 30)


def test_a_lease_is_taken_only_after_it_expired_by_every_clock(runs: Runs) -> None:
    runs.acquire_lease("poller", "one", MS, MS)
    skew = MAX_CLOCK_SKEW * 1000

    assert not runs.acquire_lease("poller", "two", MS + skew, MS + skew + 30)
    assert runs.acquire_lease("poller", "two", MS + skew + 1, MS + skew + 31)


def test_an_abandoned_lease_is_taken_if_its_holder_did_not_extend_it(runs: Runs) -> None:
    runs.acquire_lease("poller", "dead", MS, MS + 30)
    seen = runs.lease("poller")
    runs.acquire_lease("poller", "dead", MS, MS + 60)

    assert not runs.acquire_lease("poller", "two", MS, MS + 30, abandoned=seen)
    assert not runs.acquire_lease("poller", "two", MS, MS + 30, abandoned=Lease("three", MS + 60))
    assert runs.acquire_lease("poller", "two", MS, MS + 30, abandoned=runs.lease("poller"))
    assert runs.lease("poller") == Lease("two", MS + 30)
