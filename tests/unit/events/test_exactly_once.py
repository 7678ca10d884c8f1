"""Every viewer gets the same events, however Codegen changes a history and wherever a poller dies."""

from collections.abc import Callable
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_api import AgentRun, AgentRunLogs, CodegenAPI
from codegen_runs.events import Event
from codegen_runs.poller.loop import Poller
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable, Watch
from tests.support.backend import Tokens
from tests.support.memory import MemoryRuns
from tests.support.profiles import examples

ORG, RUN, KEY = 123, 7, "7"


class CrashError(Exception):
    """The poller dies here."""


class Clock:
    def __init__(self) -> None:
        self.time = 1_750_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Upstream:
    """A Codegen API with one run, whose history the test writes. A page has at most `page` entries."""

    def __init__(self, page: int) -> None:
        self.history: list[dict[str, Any]] = []
        self.status = "ACTIVE"
        self.page = page
        self.runs = self
        self._made = 0

    def append(self, count: int) -> None:
        for _ in range(count):
            self._made += 1
            tool = "create_pr" if self._made % 40 == 0 else "search"
            # Several entries may have the same time, and be identical.
            entry = {"agent_run_id": RUN, "created_at": f"2025-06-21 12:00:{self._made // 3:02d}.000000"}
            self.history.append(entry | {"message_type": "ACTION", "tool_name": tool, "tool_output": None})

    def fill(self, back: int) -> None:
        """Give an entry its output; 1 is the last entry."""
        if 0 < back <= len(self.history):
            self.history[-back] = self.history[-back] | {"tool_output": {"found": back}}

    def rewrite(self, back: int) -> None:
        """Replace an entry by another step; 1 is the last entry."""
        if 0 < back <= len(self.history):
            self._made += 3
            self.history[-back] = self.history[-back] | {"created_at": f"2025-06-21 14:00:{self._made:02d}.000000"}

    def insert(self, back: int) -> None:
        """Put a new entry before the last `back` entries."""
        at = max(0, len(self.history) - back)
        self._made += 3
        entry = {"agent_run_id": RUN, "created_at": f"2025-06-21 15:00:{self._made:02d}.000000"}
        self.history.insert(at, entry | {"message_type": "PLAN"})

    def remove(self, back: int) -> None:
        if 0 < back <= len(self.history):
            del self.history[-back]

    def shrink(self, count: int) -> None:
        self.history = self.history[: max(0, len(self.history) - count)]

    def get(self, agent_run_id: int, *, org_id: int) -> AgentRun:
        pull_requests = [{"id": number} for number in range(min(3, len(self.history) // 20))]
        return AgentRun.model_validate(
            {"id": agent_run_id, "organization_id": org_id, "github_pull_requests": pull_requests}
        )

    def logs(self, agent_run_id: int, *, org_id: int, skip: int, limit: int) -> AgentRunLogs:
        entries = self.history[skip : skip + min(limit, self.page)]
        return AgentRunLogs.model_validate(
            {
                "id": agent_run_id,
                "organization_id": org_id,
                "status": self.status,
                "result": "Done." if self.status == "COMPLETE" else None,
                "logs": entries,
                "total_logs": len(self.history),
            }
        )


def replay(events: list[Event]) -> list[dict[str, Any]]:
    """Read the log as a viewer does."""
    shown: list[dict[str, Any]] = []
    for event in events:
        if event.type == "stream.reset":
            shown.clear()
        elif event.type == "run.log":
            assert event.data["position"] == len(shown)
            shown.append(event.data["log"])
        elif event.type == "run.log_updated":
            shown[event.data["position"]] = event.data["log"]
    return shown


def shown_by(events: list[Event]) -> list[dict[str, Any]]:
    """Read the log as a viewer does, with the fields that the test writes."""
    fields = {"agent_run_id", "created_at", "message_type", "tool_name", "tool_output"}
    return [{name: value for name, value in log.items() if name in fields} for log in replay(events)]


def finish(runs: MemoryRuns, clock: Clock, poll: Callable[[], None], late: Callable[[], None] = lambda: None) -> None:
    """Poll until nothing more is to be read, and twice more to show that this changes nothing.

    `late` is called between the two looks at the log after its end.
    """
    while runs.watches[ORG, KEY].due_at is not None:
        if runs.watches[ORG, KEY].looks_left == 1:
            late()
            late = lambda: None  # noqa: E731
        clock.sleep(2)  # as the limit of the Codegen API wants it
        assert clock.now() < 1_750_000_000 + 3600, "the run never ends"
        if (runs.watches[ORG, KEY].due_at or 0) <= clock.now() * 1000:
            poll()
    ended = runs.watches[ORG, KEY]
    poll()
    poll()
    assert runs.watches[ORG, KEY] == ended


changes = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 130)),
    st.tuples(st.just("fill"), st.integers(1, 300)),
    st.tuples(st.just("rewrite"), st.integers(1, 300)),
    st.tuples(st.just("insert"), st.integers(0, 300)),
    st.tuples(st.just("remove"), st.integers(1, 300)),
    st.tuples(st.just("shrink"), st.integers(1, 300)),
)
# The fate of a poll: it succeeds, dies before its n-th write, or dies after its n-th write.
fates = st.one_of(st.none(), st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 2)))


@settings(max_examples=examples(150))
@given(
    story=st.lists(st.tuples(st.lists(changes, max_size=3), fates, st.booleans()), max_size=12),
    late=st.lists(changes, max_size=3),
    page=st.integers(60, 100),
)
def test_every_viewer_ends_with_the_log_as_codegen_has_it(story: list[Any], late: list[Any], page: int) -> None:
    runs, upstream, clock, tokens = MemoryRuns(), Upstream(page), Clock(), Tokens()
    now = round(clock.now() * 1000)
    runs.add(
        Watch(org_id=ORG, key=KEY, agent_run_id=RUN, status=Status.UNKNOWN, task_token="token", created_at=now,
              updated_at=now, deadline_at=now + 10**9, due_at=now)
    )  # fmt: skip
    eager: list[Event] = []  # a viewer that is always connected

    def poller(name: str) -> Poller:
        return Poller(
            runs=cast(RunsTable, runs), codegen=cast(CodegenAPI, upstream), tokens=tokens, clock=clock, holder=name
        )

    def poll(fate: Any, rival: bool) -> None:
        writes = 0

        def strike(moment: str) -> Callable[[], None]:
            def maybe() -> None:
                nonlocal writes
                writes += moment == "before"
                if fate == (moment, writes):
                    raise CrashError

            return maybe

        if rival:
            # Another poller reads the same watch and writes first. The write of this poller must have no effect.
            stale = runs.get(ORG, KEY)
            poller("rival").poll(ORG, KEY)
            real, runs.get = runs.get, lambda *_: stale  # type: ignore[method-assign,assignment]
            poller("late").poll(ORG, KEY)
            runs.get = real  # type: ignore[method-assign]
        runs.before, runs.after = strike("before"), strike("after")
        try:
            poller("one").poll(ORG, KEY)
        except CrashError:
            pass
        finally:
            runs.before = runs.after = lambda: None
        last = (eager[-1].epoch, eager[-1].seq) if eager else (0, 0)
        eager.extend(runs.events(ORG, KEY, after=last, limit=10_000))

    def happen(done: list[tuple[str, int]]) -> None:
        for what, count in done:
            getattr(upstream, what)(count)

    for done, fate, rival in story:
        happen(done)
        poll(fate, rival)
        clock.sleep(5)
    upstream.status = "COMPLETE"
    # The pollers after the end die as often as those before it.
    ends = iter([fate for _, fate, _ in story])
    finish(runs, clock, lambda: poll(next(ends, None), rival=False), lambda: happen(late))

    events = runs.events(ORG, KEY, limit=10_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.id for event in eager] == [event.id for event in events]
    assert [event.type for event in events].count("run.completed") == 1
    pull_requests = [event.data["pull_request"]["id"] for event in events if event.type == "run.pr_opened"]
    assert pull_requests == list(range(len(pull_requests)))
    assert shown_by(events) == upstream.history
    assert tokens.answers == {"token": {"run": KEY, "status": "completed"}}


@settings(max_examples=examples(60))
@given(count=st.integers(1, 300), page=st.integers(60, 95), back=st.integers(1, 20))
def test_an_output_that_arrives_after_later_entries_has_an_event(count: int, page: int, back: int) -> None:
    runs, upstream, clock = MemoryRuns(), Upstream(page), Clock()
    now = round(clock.now() * 1000)
    runs.add(
        Watch(org_id=ORG, key=KEY, agent_run_id=RUN, status=Status.UNKNOWN, created_at=now, updated_at=now,
              deadline_at=now + 10**9, due_at=now)
    )  # fmt: skip
    poller = Poller(
        runs=cast(RunsTable, runs), codegen=cast(CodegenAPI, upstream), tokens=Tokens(), clock=clock, holder="one"
    )
    upstream.append(count)
    while runs.watches[ORG, KEY].log_count < count:
        poller.poll(ORG, KEY)
    upstream.fill(back)
    upstream.status = "COMPLETE"
    finish(runs, clock, lambda: poller.poll(ORG, KEY))

    assert replay(runs.events(ORG, KEY, limit=10_000)) == upstream.history
