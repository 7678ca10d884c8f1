"""The poller: launching, following and releasing, whatever goes wrong in between."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.poller.lease import LEASE
from codegen_runs.poller.loop import Poller
from codegen_runs.runs import following
from codegen_runs.statuses import Status
from codegen_runs.storage import table as storage
from codegen_runs.storage.runs import MAX_CLOCK_SKEW, Launch, RunsTable, Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from local.template import Template
from tests.support import backend
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import current, working_with

KEY = "mr-1-0"
TOKEN = "a-task-token"


@pytest.fixture(autouse=True)
def _backend(deployed: Template, clock: TestClock) -> Iterator[None]:
    with working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def make_poller(runs: RunsTable, codegen: CodegenAPI, clock: TestClock, tokens: Tokens) -> Callable[[], Poller]:
    # One thread: the order of calls is the same each time.
    return lambda: Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", concurrency=1)


@pytest.fixture
def poll_until_idle(make_poller: Callable[[], Poller], clock: TestClock) -> Callable[[], None]:
    def poll() -> None:
        for _ in range(20):
            make_poller().tick(clock.now() + 58)
            clock.sleep(2)

    return poll


def enqueue(clock: TestClock, *, key: str = KEY, prompt: str = "Say hello.", seconds: float = 3600) -> None:
    following.enqueue(
        org_id=DEMO_ORG_ID,
        key=key,
        prompt=prompt,
        launch=Launch(metadata={"multi_run_id": "mr-1", "weight": 0.5}),
        task_token=TOKEN,
        multi_run_id="mr-1",
        deadline=clock.now() + seconds,
        backend=current(),
    )


def watch_of(runs: RunsTable, key: str = KEY) -> Watch:
    watch = runs.get(DEMO_ORG_ID, key)
    assert watch is not None
    return watch


def history(runs: RunsTable, key: str = KEY) -> list[str]:
    return [event.type for event in runs.events(DEMO_ORG_ID, key, limit=1000)]


def test_a_queued_run_is_launched_followed_and_its_token_answered(
    runs: RunsTable, clock: TestClock, tokens: Tokens, codegen: CodegenAPI, poll_until_idle: Callable[[], None]
) -> None:
    enqueue(clock)
    poll_until_idle()

    watch = watch_of(runs)
    assert watch.status is Status.COMPLETED
    assert watch.result
    assert watch.due_at is None
    assert tokens.answers == {TOKEN: {"run": KEY, "status": "completed"}}
    types = history(runs)
    assert types[:2] == ["run.queued", "run.started"]
    assert types[-1] == "run.completed"
    assert set(types[2:-1]) == {"run.log", "checkpoint.created"}
    assert watch.agent_run_id is not None
    assert types.count("run.log") == codegen.runs.logs(watch.agent_run_id, org_id=DEMO_ORG_ID).total_logs


def test_events_are_numbered_without_gaps_and_logs_by_their_upstream_position(
    runs: RunsTable, clock: TestClock, poll_until_idle: Callable[[], None]
) -> None:
    enqueue(clock)
    poll_until_idle()

    events = runs.events(DEMO_ORG_ID, KEY, limit=1000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    logs = [event.data["position"] for event in events if event.type == "run.log"]
    assert logs == list(range(len(logs)))


def test_a_run_with_hundreds_of_logs_is_read_whole_before_its_end_is_told(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(steps=350, seconds=5))
    enqueue(clock)
    poll_until_idle()

    types = history(runs)
    assert types.count("run.log") > 350
    assert types[-1] == "run.completed"


def test_a_failed_run_fails_its_token_with_the_reason(
    runs: RunsTable, clock: TestClock, tokens: Tokens, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(ending="FAILED"))
    enqueue(clock)
    poll_until_idle()

    assert watch_of(runs).status is Status.FAILED
    assert tokens.answers[TOKEN][0] == "Run.failed"


def test_a_status_nobody_knows_is_followed_on(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(via="PONDERING", seconds=30))
    enqueue(clock)
    poll_until_idle()

    assert watch_of(runs).status is Status.COMPLETED
    changed = [e.data for e in runs.events(DEMO_ORG_ID, KEY, limit=1000) if e.type == "run.status_changed"]
    assert changed[0]["upstream_status"] == "PONDERING"
    assert changed[0]["to"] == "unknown"


def test_a_run_that_never_ends_is_timed_out_at_its_deadline(
    runs: RunsTable, clock: TestClock, tokens: Tokens, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(ending="NEVER"))
    enqueue(clock, seconds=120)
    poll_until_idle()

    assert watch_of(runs).status is Status.TIMED_OUT
    assert tokens.answers[TOKEN][0] == "Run.timed_out"
    assert history(runs)[-1] == "run.timed_out"


@pytest.mark.parametrize("status", [402, 403, 404, 422])
def test_a_refused_launch_fails_the_run_with_the_upstreams_words(
    status: int,
    runs: RunsTable,
    clock: TestClock,
    tokens: Tokens,
    fake: FakeCodegen,
    poll_until_idle: Callable[[], None],
) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=status, message="No, thank you."))
    enqueue(clock)
    poll_until_idle()

    assert watch_of(runs).status is Status.FAILED
    assert "No, thank you." in (watch_of(runs).status_reason or "")
    assert tokens.answers[TOKEN][0] == "Run.failed"


def test_a_rate_limited_launch_waits_as_long_as_it_is_told(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, make_poller: Callable[[], Poller]
) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=429, retry_after=17))
    enqueue(clock)
    enqueue(clock, key="mr-1-1")
    before = clock.now()
    make_poller().tick(before + 10)

    assert len(fake.creates) == 0
    for key in (KEY, "mr-1-1"):
        watch = watch_of(runs, key)
        assert watch.status is Status.QUEUED
        assert watch.due_at is not None
        assert watch.due_at >= round((before + 17) * 1000)
    assert fake.calls["create_agent_run"] == 1


@pytest.mark.parametrize("trouble", ["lost_answer", "truncated", "cut", "empty"])
def test_a_launch_whose_answer_is_lost_makes_one_run(
    trouble: Any, runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.trouble("create_agent_run", Trouble(trouble))
    enqueue(clock)
    poll_until_idle()

    assert watch_of(runs).status is Status.COMPLETED
    assert len(fake.creates) == 1


@pytest.mark.parametrize("trouble", ["error", "html", "cut", "truncated", "hang", "empty"])
def test_trouble_while_following_delays_and_loses_nothing(
    trouble: Any, runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    enqueue(clock)
    fake.trouble("get_agent_run_logs", Trouble(trouble), times=3)
    poll_until_idle()

    assert watch_of(runs).status is Status.COMPLETED
    assert history(runs)[-1] == "run.completed"


def test_an_entry_that_is_filled_in_late_is_told_again(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(logs="late", seconds=30, steps=4))
    enqueue(clock)
    poll_until_idle()

    assert "run.log_updated" in history(runs)


def test_a_pull_request_is_told_once_and_before_the_end(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(pull_request=True, seconds=60, steps=20))
    enqueue(clock)
    poll_until_idle()

    events = runs.events(DEMO_ORG_ID, KEY, limit=1000)
    (opened,) = [event for event in events if event.type == "run.pr_opened"]
    run = fake.runs[watch_of(runs).agent_run_id or 0].response(fake.clock.now())
    (pull_request,) = run.github_pull_requests or []
    assert opened.data["pull_request"]["url"] == pull_request.url
    assert opened.data["pull_request"]["head_branch_name"] == pull_request.head_branch_name
    assert events[-1].data["summary"] == run.summary
    # One look for an entry that tells of it, perhaps another when its output is there, and one at the end.
    assert 1 <= fake.calls["get_agent_run"] <= 3


def test_a_run_without_a_pull_request_costs_one_more_look_and_ends_without_it_as_well(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, poll_until_idle: Callable[[], None]
) -> None:
    fake.script(Script(pull_request=False, seconds=60, steps=20))
    fake.trouble("get_agent_run", Trouble("error", status=500), times=None)
    enqueue(clock)
    poll_until_idle()

    assert history(runs)[-1] == "run.completed"
    assert "run.pr_opened" not in history(runs)
    assert fake.calls["get_agent_run"] == 1


def test_a_second_poller_leaves_the_work_to_the_first(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, make_poller: Callable[[], Poller]
) -> None:
    enqueue(clock)
    assert runs.acquire_lease(LEASE, "another", round(clock.now() * 1000), round(clock.now() * 1000) + 30_000)

    assert not make_poller().tick(clock.now() + 10).held_lease
    assert len(fake.creates) == 0


def test_a_patient_tick_goes_on_where_the_holder_of_the_lease_ends(
    runs: RunsTable, clock: TestClock, fake: FakeCodegen, make_poller: Callable[[], Poller]
) -> None:
    enqueue(clock)
    runs.acquire_lease(LEASE, "another", round(clock.now() * 1000), round(clock.now() * 1000) + 30_000)

    assert make_poller().tick(clock.now() + 58, patient=True).held_lease
    assert len(fake.creates) == 1


def test_one_run_that_breaks_the_poller_does_not_keep_it_from_the_others(
    runs: RunsTable, clock: TestClock, codegen: CodegenAPI, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(clock)
    clock.sleep(1)
    enqueue(clock, key="mr-1-1")
    poller = Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder="me", concurrency=1)
    real = runs.get

    def broken(org_id: int, key: str) -> Watch | None:
        if key == KEY:
            raise ZeroDivisionError
        return real(org_id, key)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "get", broken)
        with pytest.raises(ExceptionGroup, match="could not be polled"):
            poller.tick(clock.now() + 40)
    assert watch_of(runs, "mr-1-1").status is Status.COMPLETED


def test_a_follow_up_opens_the_next_turn(
    runs: RunsTable,
    clock: TestClock,
    codegen: CodegenAPI,
    poll_until_idle: Callable[[], None],
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    following.follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=run.status, backend=current())
    poll_until_idle()
    resumed = codegen.runs.resume(run.id, "And goodbye.", org_id=DEMO_ORG_ID)
    following.follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=resumed.status, backend=current())
    poll_until_idle()

    types = history(runs, str(run.id))
    assert types.count("run.completed") == 2
    assert types.count("run.started") == 2
    assert watch_of(runs, str(run.id)).turn == 2


class Killed(BaseException):
    """The function is gone in the middle of a call."""


class Saboteur:
    """Kill the process at the n-th call that leaves it, before or after the call took effect; no call follows."""

    def __init__(self) -> None:
        self.calls = 0
        self.fatal: int | None = None
        self.after_effect = False
        self.dead = False

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Killed
            self.calls += 1
            if self.calls != self.fatal:
                return function(*args, **kwargs)
            self.dead = True
            if self.after_effect:
                function(*args, **kwargs)
            raise Killed

        return wrapped


@pytest.mark.parametrize("after_effect", [False, True])
def test_killing_the_poller_at_each_of_its_calls_delays_and_loses_nothing(
    after_effect: bool,
    deployed: Template,
    clock: TestClock,
    fake: FakeCodegen,
    codegen: CodegenAPI,
    runs: RunsTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saboteur = Saboteur()
    saboteur.after_effect = after_effect
    client = storage.dynamodb()
    tokens = Tokens()
    for target, names in (
        (client, ["get_item", "put_item", "update_item", "delete_item", "query", "transact_write_items"]),
        (codegen.runs, ["create", "logs", "list"]),
        (tokens, ["succeed", "fail"]),
    ):
        for name in names:
            monkeypatch.setattr(target, name, saboteur.wrap(getattr(target, name)))

    def play(key: str, fatal: int | None) -> list[str]:
        """Run one run to its end; the poller dies at its `fatal`-th call, and the schedule starts it again."""
        backend.empty(deployed.tables["RunsTable"])
        creates = len(fake.creates)
        fake.script(Script(seconds=1, steps=1))
        saboteur.fatal = None
        enqueue(clock, key=key)
        saboteur.calls, saboteur.fatal = 0, fatal
        for tick in range(6):
            holder = f"{key}-{tick}"
            poller = Poller(runs=runs, codegen=codegen, tokens=tokens, clock=clock, holder=holder, concurrency=1)
            try:
                poller.tick(clock.now() + 58)
            except (Killed, BaseExceptionGroup):
                saboteur.dead, saboteur.fatal = False, None
            else:
                break
            clock.sleep(MAX_CLOCK_SKEW + 60)  # its lease has run out by any clock
        saboteur.fatal = None
        assert len(fake.creates) == creates + 1, f"call {fatal}: one intent, one run"
        assert watch_of(runs, key).status is Status.COMPLETED, f"call {fatal}"
        assert watch_of(runs, key).task_token is None, f"call {fatal}"
        events = runs.events(DEMO_ORG_ID, key, limit=1000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1)), f"call {fatal}"
        return [event.type for event in events]

    undisturbed = play("mr-0-0", None)
    calls = saboteur.calls
    assert calls > 20
    for fatal in range(1, calls + 1):
        tokens.answers.clear()
        assert play(f"mr-{fatal}-0", fatal) == undisturbed, f"call {fatal}"
        assert list(tokens.answers) == [TOKEN], f"call {fatal}"
