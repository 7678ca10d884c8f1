"""The log of a run after its end: what Codegen adds, fills in and rewrites is reported, and then the run is closed."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from codegen_api import AgentRun, AgentRunLogs, APIConnectionError, CodegenAPI, NotFoundError
from codegen_runs.backend import Backend
from codegen_runs.events import MAX_TAIL, Event
from codegen_runs.live.reading import RunReader
from codegen_runs.poller.loop import Poller
from codegen_runs.prompts import Prompt
from codegen_runs.runs import following
from codegen_runs.runs.schedule import LOOK_PATIENCE
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable, Watch
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.memory import MemoryRuns

ORG, RUN, KEY = 123, 7, "7"


class Upstream:
    """A Codegen API with one run, whose log the test writes. It counts the reads of the log."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.status = "ACTIVE"
        self.result: str | None = None
        self.error: Exception | None = None
        self.reads = 0
        self.runs = self

    def entry(self, number: int, **more: Any) -> dict[str, Any]:
        made = {"agent_run_id": RUN, "created_at": f"2025-06-21 12:{number // 60:02d}:{number % 60:02d}.000000"}
        return made | {"message_type": "ACTION", "tool_name": "search", "tool_output": {"found": number}} | more

    def append(self, count: int = 1, **more: Any) -> None:
        self.log += [self.entry(len(self.log) + number, **more) for number in range(count)]

    def fill(self, at: int) -> None:
        self.log[at] = self.log[at] | {"tool_output": "Late."}

    def get(self, agent_run_id: int, *, org_id: int) -> AgentRun:
        opened = [{"id": 5, "url": "u"}] if any(log["tool_name"] == "create_pr" for log in self.log) else []
        return AgentRun.model_validate({"id": agent_run_id, "organization_id": org_id, "github_pull_requests": opened})

    def logs(self, agent_run_id: int, *, org_id: int, skip: int, limit: int) -> AgentRunLogs:
        assert limit <= 100
        self.reads += 1
        if self.error:
            raise self.error
        body = {"id": agent_run_id, "organization_id": org_id, "status": self.status, "result": self.result}
        shown = {"logs": self.log[skip : skip + limit], "total_logs": len(self.log)}
        return AgentRunLogs.model_validate(body | shown)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def follow(backend: Backend) -> Callable[..., Watch]:
    def follow(status: str = "ACTIVE", prompt: Prompt | None = None) -> Watch:
        return following.follow(org_id=ORG, agent_run_id=RUN, status=status, prompt=prompt, backend=backend)

    return follow


@pytest.fixture
def ended(
    upstream: Upstream, follow: Callable[..., Watch], poll: Callable[[float], None], memory: MemoryRuns
) -> Callable[[int], None]:
    """Follow a run with a number of entries to its end."""

    def ended(count: int) -> None:
        upstream.append(count)
        upstream.status = "COMPLETE"
        follow()
        poll(5)
        assert of(memory).status is Status.COMPLETED

    return ended


def of(memory: MemoryRuns) -> Watch:
    return memory.watches[ORG, KEY]


def events(memory: MemoryRuns) -> list[Event]:
    return memory.events(ORG, KEY, limit=10_000)


def told(memory: MemoryRuns) -> list[tuple[str, Any]]:
    """Return the type and the position of each event after the end."""
    types = [event.type for event in events(memory)]
    assert types.count("run.completed") == 1
    return [(event.type, event.data.get("position")) for event in events(memory)[types.index("run.completed") + 1 :]]


def shown(memory: MemoryRuns) -> list[Any]:
    log: dict[int, Any] = {}
    for event in events(memory):
        if event.type == "stream.reset":
            log.clear()
        elif event.type in ("run.log", "run.log_updated"):
            log[event.data["position"]] = (event.data["log"]["created_at"], event.data["log"]["tool_output"])
    return [log[at] for at in range(len(log))]


def theirs(upstream: Upstream) -> list[Any]:
    return [(log["created_at"], log["tool_output"]) for log in upstream.log]


def rewrite(upstream: Upstream) -> None:
    upstream.log[-25] = upstream.entry(4000)


def insert(upstream: Upstream) -> None:
    upstream.log.insert(20, upstream.entry(4000))


def remove(upstream: Upstream) -> None:
    del upstream.log[10:12]


def shrink(upstream: Upstream) -> None:
    del upstream.log[100:]


def lose_all(upstream: Upstream) -> None:
    upstream.log.clear()


# --- what a look finds ---


@pytest.mark.parametrize("after", [10, 60])
@pytest.mark.parametrize("at", [149, 100, 99, 0])
def test_an_output_that_arrives_after_the_end_is_reported_wherever_its_entry_is(
    after: float,
    at: int,
    memory: MemoryRuns,
    upstream: Upstream,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(150)
    poll(after - 5)
    upstream.fill(at)
    poll(120)

    assert told(memory) == [("run.log_updated", at)]
    assert shown(memory) == theirs(upstream)
    assert of(memory).due_at is None


def test_an_entry_after_the_final_answer_is_reported_with_its_pull_request(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(100)
    upstream.append(tool_name="create_pr")
    poll(200)

    assert told(memory) == [("run.log", 100), ("run.pr_opened", None)]
    assert of(memory).pull_requests == (5,)


@pytest.mark.parametrize("change", [rewrite, insert, remove, shrink, lose_all])
def test_a_log_that_is_rewritten_after_the_end_is_read_again_from_its_start(
    change: Callable[[Upstream], None],
    memory: MemoryRuns,
    upstream: Upstream,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(250)
    change(upstream)
    poll(200)

    assert told(memory)[0] == ("stream.reset", None)
    assert [at for _, at in told(memory)[1:]] == list(range(len(upstream.log)))
    assert shown(memory) == theirs(upstream)
    assert [event.seq for event in events(memory)] == list(range(1, len(events(memory)) + 1))
    assert of(memory).due_at is None


def test_every_entry_of_a_page_may_change_at_once(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(150)
    for at in range(150):
        upstream.fill(at)
    poll(200)

    assert told(memory) == [("run.log_updated", at) for at in range(150)]


def test_a_result_that_arrives_after_the_end_is_stored_and_reported(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(1)
    upstream.result = "Done."
    poll(200)

    assert of(memory).result == "Done."
    assert [event.data["result_preview"] for event in events(memory)[-1:]] == ["Done."]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_a_look_reads_each_hundred_entries_once_at_15_s_and_at_2_minutes_and_never_again(
    count: int,
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(count)
    finished = (of(memory).finished_at or 0) / 1000
    pages = max(1, -(-count // 100))
    reads = upstream.reads

    for at, total in ((14, 0), (25, pages), (115, pages), (135, 2 * pages), (4000, 2 * pages)):
        poll(finished + at - clock.now())
        assert upstream.reads - reads == total, at
    assert told(memory) == []
    assert (of(memory).due_at, of(memory).look_at) == (None, None)


# --- what else can happen meanwhile ---


def test_a_look_continues_where_a_dead_poller_left_it(
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    tokens: Tokens,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(250)
    upstream.fill(240)
    clock.sleep(15)
    poller = Poller(
        runs=cast(RunsTable, memory), codegen=cast(CodegenAPI, upstream), tokens=tokens, clock=clock, holder="dies"
    )
    poller.poll(ORG, KEY)
    assert of(memory).look_at == 100
    reads = upstream.reads
    poll(5)

    assert told(memory) == [("run.log_updated", 240)]
    assert upstream.reads - reads == 2
    assert of(memory).looks_left == 1


def test_a_follow_up_during_the_looks_begins_the_next_turn_which_is_looked_at_after_its_own_end(
    memory: MemoryRuns,
    upstream: Upstream,
    follow: Callable[..., Watch],
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(120)
    poll(20)
    upstream.status = "ACTIVE"
    upstream.append()
    follow("ACTIVE", Prompt(text="Go on.", at=0, follow_up=True))
    poll(5)
    assert (of(memory).status, of(memory).turn, of(memory).looks_left) == (Status.RUNNING, 2, 0)
    upstream.status = "COMPLETE"
    poll(10)
    upstream.fill(0)
    poll(200)

    types = [event.type for event in events(memory)]
    assert types.count("run.completed") == 2
    assert types[-1] == "run.log_updated"


def test_a_run_that_was_continued_elsewhere_begins_its_next_turn(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(3)
    upstream.status = "ACTIVE"
    upstream.append()
    poll(30)

    assert (of(memory).status, of(memory).turn) == (Status.RUNNING, 2)
    assert [type_ for type_, _ in told(memory)] == ["checkpoint.created", "run.log", "run.started"]


@pytest.mark.parametrize("kept", [{"multi_run_id": "mr-1"}, {"status": Status.CANCELLED}])
def test_an_outcome_that_others_rely_on_stays_when_the_run_is_continued_elsewhere(
    kept: dict[str, Any],
    memory: MemoryRuns,
    upstream: Upstream,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    ended(3)
    memory.write(of(memory).model_copy(update=kept))
    upstream.status = "ACTIVE"
    upstream.append()
    poll(200)

    assert (of(memory).status.terminal, of(memory).turn, of(memory).due_at) == (True, 1, None)
    assert told(memory) == []


def test_a_run_that_was_timed_out_here_still_gets_what_its_agent_logs(
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    follow: Callable[..., Watch],
    poll: Callable[[float], None],
) -> None:
    upstream.append(3)
    watch = follow()
    memory.write(watch.model_copy(update={"deadline_at": round(clock.now() * 1000) + 5000}))
    poll(10)
    assert of(memory).status is Status.TIMED_OUT
    upstream.append()
    poll(200)

    assert [event.type for event in events(memory)][-2:] == ["run.timed_out", "run.log"]
    assert (of(memory).status, of(memory).due_at) == (Status.TIMED_OUT, None)


def test_a_look_waits_while_codegen_is_away_and_is_given_up_after_an_hour(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(3)
    upstream.error = APIConnectionError("away")
    poll(300)
    upstream.fill(0)
    upstream.error = None
    poll(90)
    assert told(memory) == [("run.log_updated", 0)]

    assert of(memory).due_at is None
    assert (of(memory).status, of(memory).status_reason) == (Status.COMPLETED, None)


def test_looks_that_fail_for_an_hour_are_given_up(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(3)
    upstream.error = APIConnectionError("away")
    poll(LOOK_PATIENCE + 300)

    assert (of(memory).due_at, of(memory).status) == (None, Status.COMPLETED)


def test_a_run_that_codegen_deleted_after_its_end_is_closed_at_once(
    memory: MemoryRuns, upstream: Upstream, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(3)
    upstream.error = NotFoundError("gone", body={"detail": "gone"})
    reads = upstream.reads
    poll(300)

    assert (of(memory).due_at, of(memory).status) == (None, Status.COMPLETED)
    assert upstream.reads == reads + 1
    assert told(memory) == []


# --- viewers ---


def test_a_viewer_of_a_run_that_has_ended_does_not_hurry_the_looks(
    memory: MemoryRuns, backend: Backend, ended: Callable[[int], None]
) -> None:
    ended(3)
    before = of(memory)
    following.view(before, backend=backend)

    assert of(memory) == before


def test_the_snapshot_says_until_when_the_log_may_change(
    memory: MemoryRuns, clock: TestClock, ended: Callable[[int], None], poll: Callable[[float], None]
) -> None:
    ended(3)
    finished = of(memory).finished_at or 0
    snapshot = run_snapshot(of(memory), now=clock.now())
    assert snapshot.finished_at is not None
    assert snapshot.log_final_at is not None
    assert of(memory).due_at == finished + 15_000
    poll(200)

    assert run_snapshot(of(memory), now=clock.now()).log_final_at is None


def test_a_viewer_that_left_at_the_end_gets_the_rest_from_its_cursor_and_no_half_of_a_rewritten_log(
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    tokens: Tokens,
    ended: Callable[[int], None],
    poll: Callable[[float], None],
) -> None:
    backend = Backend(clock=clock, kick=Kicks(), runs=memory)
    ended(150)
    reader = RunReader(backend, of(memory))
    while not reader.ended:
        reader.next()
    left_at = reader.after
    rewrite(upstream)
    clock.sleep(15)
    poller = Poller(
        runs=cast(RunsTable, memory), codegen=cast(CodegenAPI, upstream), tokens=tokens, clock=clock, holder="one"
    )
    while not (of(memory).epoch and of(memory).log_count):
        poller.poll(ORG, KEY)
    again = RunReader(backend, of(memory), left_at)
    seen = [*again.next()]
    assert seen[0].type == "stream.reset"
    assert again.next() == []
    assert not again.ended  # the new log has not been read to its end
    poll(5)
    while not again.ended:
        seen += again.next()

    assert [event.data["position"] for event in seen[1:]] == list(range(150))


# --- open entries during the run ---


def test_an_open_entry_far_from_the_end_is_looked_at_while_nothing_happens(
    memory: MemoryRuns, upstream: Upstream, follow: Callable[..., Watch], poll: Callable[[float], None]
) -> None:
    upstream.append(tool_output=None)
    upstream.append(MAX_TAIL + 200)
    follow()
    poll(10)
    assert of(memory).open
    upstream.fill(0)
    poll(60)

    assert [event.data["position"] for event in events(memory) if event.type == "run.log_updated"] == [0]
    assert of(memory).open == ()
    assert of(memory).status is Status.RUNNING


def test_open_entries_on_several_pages_take_turns(
    memory: MemoryRuns, upstream: Upstream, follow: Callable[..., Watch], poll: Callable[[float], None]
) -> None:
    for _ in range(4):
        upstream.append(tool_output=None)
        upstream.append(120)
    follow()
    poll(10)
    for at in (0, 363):
        upstream.fill(at)
    poll(200)

    updated = [event.data["position"] for event in events(memory) if event.type == "run.log_updated"]
    assert sorted(updated) == [0, 363]
    assert len(of(memory).open) == 2


def test_a_busy_run_is_read_at_most_once_more_for_each_hundred_entries(
    memory: MemoryRuns, upstream: Upstream, follow: Callable[..., Watch], poll: Callable[[float], None]
) -> None:
    def reads(first: Any) -> int:
        upstream.log.clear()
        upstream.append(tool_output=first)
        memory.watches.clear()
        memory.log.clear()
        memory._due.clear()
        memory._keys.clear()
        follow()
        before = upstream.reads
        for _ in range(150):
            upstream.append(4)
            poll(3)
        return upstream.reads - before

    closed, still_open = reads("Done."), reads(None)

    assert of(memory).log_count > 550
    assert of(memory).open
    assert 0 < still_open - closed <= -(-of(memory).log_count // 100)
