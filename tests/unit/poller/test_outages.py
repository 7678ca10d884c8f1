"""Outages of Codegen: they cost one call at a time, and runs that somebody waits for are read again soon after."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from codegen_api import (
    AgentRunLogs,
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    CodegenAPI,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseTooLargeError,
    ServerError,
)
from codegen_runs.limits.outages import PROBE_INTERVALS, Outages, no_answer
from codegen_runs.problems import CredentialsRefused, StorageUnavailable
from codegen_runs.runs.health import RunHealth, assess
from codegen_runs.statuses import Status
from codegen_runs.storage.outages import Outage
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from tests.support.backend import TestClock
from tests.support.memory import MemoryRuns
from tests.unit.poller.conftest import KEY, Enqueue, MakePoller, watch_of

ORG = 123
AWAY = InvalidResponseError("The answer is not JSON.", status_code=200, body="<html>")
OUTAGE = Outage(since=1000, probes=1, probe_at=2000, reason="Away.")


class Upstream:
    """A Codegen API with many runs at work. It fails while `is_away`, and always for `broken` runs."""

    def __init__(self, clock: TestClock) -> None:
        self.runs = self
        self.is_away: Callable[[], bool] = lambda: False
        self.error: Exception = AWAY
        self.broken: dict[int, Exception] = {}
        self.calls: list[tuple[float, int, bool]] = []
        self._clock = clock

    def logs(self, agent_run_id: int, *, org_id: int, skip: int, limit: int) -> AgentRunLogs:
        error = self.error if self.is_away() else self.broken.get(agent_run_id)
        self.calls.append((self._clock.now(), agent_run_id, error is None))
        if error:
            raise error
        return AgentRunLogs.model_validate(
            {"id": agent_run_id, "organization_id": org_id, "status": "ACTIVE", "logs": [], "total_logs": 0}
        )

    def between(self, start: float, end: float) -> list[tuple[float, int, bool]]:
        return [call for call in self.calls if start <= call[0] < end]


@pytest.fixture
def upstream(clock: TestClock) -> Upstream:
    return Upstream(clock)


@pytest.fixture
def add(memory: MemoryRuns, clock: TestClock) -> Callable[..., None]:
    """Follow runs with these numbers."""

    def add(*numbers: int, **more: Any) -> None:
        now = round(clock.now() * 1000)
        for number in numbers:
            run = {"org_id": ORG, "key": str(number), "agent_run_id": number, "status": Status.RUNNING}
            times = {"created_at": now, "updated_at": now, "deadline_at": now + 10**9, "due_at": now + number}
            memory.add(Watch.model_validate(run | times | {"upstream_status": "ACTIVE"} | more))

    return add


def unreachable(memory: MemoryRuns, clock: TestClock) -> int:
    """Count the runs whose health says that they cannot be read."""
    return [assess(watch, now=clock.now()).health for watch in memory.watches.values()].count(RunHealth.UNREACHABLE)


def longest(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


# --- simulations ---


@pytest.mark.full
@pytest.mark.parametrize(
    "error", [AWAY, ServerError("", status_code=502), APITimeoutError(), CredentialsRefused("No.")]
)
@pytest.mark.parametrize("seconds", [1, 30, 600])
def test_after_an_outage_the_runs_that_somebody_waits_for_are_read_within_ten_seconds(
    seconds: float,
    error: Exception,
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    add: Callable[..., None],
    poll: Callable[[float], None],
) -> None:
    add(*range(1, 11), multi_run_id="mr-1")
    add(*range(11, 21), viewed_until=round(clock.now() * 1000) + 10**9)
    add(*range(21, 31))
    poll(120)
    began = clock.now()
    upstream.error = error
    upstream.is_away = lambda: clock.now() < began + seconds
    poll(seconds + 90)

    during = upstream.between(began, began + seconds)
    assert len(during) <= 3 + seconds / PROBE_INTERVALS[-1] + len(PROBE_INTERVALS)
    answers = [call for call in upstream.between(began, began + 999) if call[2]]
    assert answers[0][0] < began + seconds + PROBE_INTERVALS[-1] + 2
    normal = {run for at, run, _ in answers if at < answers[0][0] + 10}
    assert set(range(1, 21)) <= normal
    assert {run for _, run, _ in answers} == set(range(1, 31))
    assert unreachable(memory, clock) == 0
    assert memory.outage.since is None


@pytest.mark.parametrize("waited_for", [{"multi_run_id": "mr-1"}, {}])
def test_the_only_run_is_probed_during_an_outage_and_its_health_says_so(
    waited_for: dict[str, Any],
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    add: Callable[..., None],
    poll: Callable[[float], None],
) -> None:
    add(1, **waited_for)
    poll(10)
    began = clock.now()
    upstream.is_away = lambda: clock.now() < began + 300
    poll(290)

    assert unreachable(memory, clock) == 1
    assert "has not responded since 20" in assess(memory.watches[ORG, "1"], now=clock.now()).detail
    assert memory.watches[ORG, "1"].status is Status.RUNNING
    poll(40)
    assert [call for call in upstream.between(began + 300, began + 312) if call[2]]
    assert unreachable(memory, clock) == 0


def test_an_upstream_that_comes_and_goes_delays_nobody_for_long(
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    add: Callable[..., None],
    poll: Callable[[float], None],
) -> None:
    add(*range(1, 21), multi_run_id="mr-1")
    poll(60)
    began = clock.now()
    upstream.is_away = lambda: (clock.now() - began) % 20 < 10
    poll(600)

    for run in range(1, 21):
        read = [at for at, who, ok in upstream.between(began, began + 600) if who == run and ok]
        assert longest(read) < 60
    failed = [call for call in upstream.between(began, began + 600) if not call[2]]
    assert len(failed) < 30 * 7


@pytest.mark.full
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "error",
    [ServerError("", status_code=500), AWAY, PermissionDeniedError("", status_code=403, body={"detail": "No."})],
)
def test_a_broken_run_among_a_hundred_is_no_outage(
    error: Exception,
    count: int,
    memory: MemoryRuns,
    upstream: Upstream,
    clock: TestClock,
    add: Callable[..., None],
    poll: Callable[[float], None],
) -> None:
    add(*range(1, 101))
    upstream.broken = {17 * number: error for number in range(1, count + 1)}
    outages = []
    put = memory.put_outage
    memory.put_outage = lambda outage: (outages.append(outage), put(outage))[1]  # type: ignore[method-assign,func-returns-value]
    poll(600)

    assert outages == []
    assert unreachable(memory, clock) == count
    assert min(Counter(run for _, run, ok in upstream.calls if ok).values()) >= 3


def test_runs_that_are_all_broken_do_not_keep_the_only_healthy_one_from_being_read(
    memory: MemoryRuns, upstream: Upstream, clock: TestClock, add: Callable[..., None], poll: Callable[[float], None]
) -> None:
    add(*range(1, 8), multi_run_id="mr-1")
    add(8)
    upstream.broken = dict.fromkeys(range(1, 8), AWAY)
    poll(600)

    reads = [at for at, run, ok in upstream.calls if run == 8 and ok]
    assert longest(reads) < 90


def test_a_429_is_no_outage(
    memory: MemoryRuns, upstream: Upstream, clock: TestClock, add: Callable[..., None], poll: Callable[[float], None]
) -> None:
    add(1, 2, 3, multi_run_id="mr-1")
    began = clock.now()
    upstream.error = RateLimitError("Slow down.", status_code=429, retry_after=30)
    upstream.is_away = lambda: clock.now() < began + 20
    poll(60)

    assert memory.outage == Outage()
    assert len(upstream.between(began, began + 29)) == 1
    assert unreachable(memory, clock) == 0


def test_a_deadline_holds_during_an_outage_and_costs_no_call(
    memory: MemoryRuns, upstream: Upstream, clock: TestClock, add: Callable[..., None], poll: Callable[[float], None]
) -> None:
    add(1, 2, 3, multi_run_id="mr-1")
    add(4, deadline_at=round(clock.now() * 1000) + 120_000)
    upstream.is_away = lambda: True
    poll(200)

    watch = memory.watches[ORG, "4"]
    assert watch.status is Status.TIMED_OUT
    assert "could not be read before its deadline: 200: The answer is not JSON." in (watch.status_reason or "")


def test_a_gateway_that_answers_404_in_html_does_not_end_the_runs(
    memory: MemoryRuns, upstream: Upstream, clock: TestClock, add: Callable[..., None], poll: Callable[[float], None]
) -> None:
    add(1, 2, 3, 4)
    upstream.error = NotFoundError("", status_code=404, body="<html>404</html>")
    began = clock.now()
    upstream.is_away = lambda: clock.now() < began + 120
    poll(200)

    assert {watch.status for watch in memory.watches.values()} == {Status.RUNNING}


# --- launches ---


def test_launches_wait_during_an_outage_and_a_list_of_runs_probes(
    memory: MemoryRuns,
    codegen: CodegenAPI,
    clock: TestClock,
    fake: FakeCodegen,
    make_poller: MakePoller,
    enqueue: Enqueue,
) -> None:
    fake.script(Script(seconds=600), times=5)
    calls: list[str] = []
    well = clock.now() + 300

    def away(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **more: Any) -> Any:
            calls.append(call.__name__)
            if clock.now() < well:
                raise APIConnectionError("Connection refused.")
            return call(*args, **more)

        return called

    runs = codegen.runs
    api = SimpleNamespace(runs=SimpleNamespace(create=away(runs.create), list=away(runs.list), logs=away(runs.logs)))
    for number in range(5):
        enqueue(f"mr-1-{number}")
    while clock.now() < well:
        make_poller(codegen=api).tick(min(well, clock.now() + 58))
        clock.sleep(0.5)
    assert memory.outage.since is not None
    assert (calls.count("create"), calls.count("logs")) == (3, 0)
    assert 40 < calls.count("list") <= 300 / PROBE_INTERVALS[-1] + len(PROBE_INTERVALS)
    make_poller(codegen=api).tick(clock.now() + 12)

    assert {watch_of(memory, f"mr-1-{number}").status for number in range(5)} == {Status.RUNNING}
    assert memory.outage.since is None


def test_runs_whose_launch_was_not_answered_are_found_after_the_outage(
    memory: MemoryRuns, clock: TestClock, fake: FakeCodegen, make_poller: MakePoller, enqueue: Enqueue
) -> None:
    fake.script(Script(seconds=600))
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    fake.trouble("list_agent_runs", Trouble("html"), times=30)
    enqueue()
    for _ in range(6):
        ends = clock.now() + 58
        make_poller().tick(ends)
        clock.sleep(max(0.0, ends - clock.now()) + 2)

    assert len(fake.creates) == 1
    watch = watch_of(memory, KEY)
    assert (watch.org_id, watch.status, watch.outage_since) == (DEMO_ORG_ID, Status.RUNNING, None)


# --- what is an answer ---


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (APIConnectionError("away"), True),
        (APITimeoutError("away"), True),
        (ServerError("", status_code=500, body={"detail": "x"}), True),
        (InvalidResponseError("", status_code=200, body="<html>"), True),
        (CredentialsRefused("No."), True),
        (AuthenticationError("", status_code=401, body={"detail": "No."}), True),
        (NotFoundError("", status_code=404, body="<html>"), True),
        (NotFoundError("", status_code=404, body=None), True),
        (NotFoundError("", status_code=404, body={"detail": "x"}), False),
        (PermissionDeniedError("", status_code=403, body={"message": "x"}), False),
        (ResponseTooLargeError("", status_code=200), False),
        (RateLimitError("", status_code=429, body="Slow down."), False),
        (ValueError(), False),
    ],
)
def test_an_error_is_an_answer_of_codegen_or_none(error: Exception, expected: bool) -> None:
    assert no_answer(error) is expected


# --- one poller ---


@contextmanager
def failing(error: Exception) -> Iterator[None]:
    with pytest.raises(type(error)):
        yield


def outages(memory: MemoryRuns, clock: TestClock) -> Outages:
    made = Outages(memory, clock)
    made.read()
    return made


def test_an_outage_is_stored_for_the_next_poller_and_each_probe_is_later_up_to_a_limit(
    memory: MemoryRuns, clock: TestClock
) -> None:
    waits = []
    for _ in range(5):
        now = outages(memory, clock)  # another poller each time
        assert now.may_call()
        with failing(AWAY), now.call("a", of=1):
            raise AWAY
        waits.append(round(memory.outage.probe_at / 1000 - clock.now(), 3))
        assert not now.may_call()
        clock.sleep(waits[-1])

    assert waits == [1, 2, 5, 5, 5]
    assert memory.outage.reason == str(AWAY)
    now = outages(memory, clock)
    assert now.is_probe_due()
    assert now.may_call()
    with now.call("a", of=1):
        pass
    assert memory.outage.since is None
    assert now.may_call()


@pytest.mark.parametrize(("of", "failures"), [(0, 1), (1, 1), (2, 2), (3, 3), (99, 3)])
def test_the_calls_for_several_runs_fail_before_it_is_an_outage(
    of: int, failures: int, memory: MemoryRuns, clock: TestClock
) -> None:
    now = outages(memory, clock)
    for number in range(failures):
        assert memory.outage.since is None
        for _ in range(2 if number < failures - 1 else 1):  # the same run again is no further one
            with failing(AWAY), now.call(str(number), of=of):
                raise AWAY

    assert memory.outage.since is not None


def test_an_answer_in_between_begins_the_count_again(memory: MemoryRuns, clock: TestClock) -> None:
    now = outages(memory, clock)
    for run in ("a", "b", None, "c", "d"):
        if run is None:
            with now.call("x", of=9):
                pass
        else:
            with failing(AWAY), now.call(run, of=9):
                raise AWAY

    assert memory.outage == Outage()


def test_only_one_call_is_made_during_an_outage_until_its_step_is_done(memory: MemoryRuns, clock: TestClock) -> None:
    memory.outage = OUTAGE
    now = outages(memory, clock)

    assert [now.may_call(), now.may_call()] == [True, False]
    now.done()
    assert now.may_call()


def test_a_call_that_had_begun_before_the_outage_is_no_probe(memory: MemoryRuns, clock: TestClock) -> None:
    now = outages(memory, clock)
    with failing(AWAY), now.call("a", of=1):
        raise AWAY
    noticed = memory.outage
    with failing(AWAY), now.call("b", of=1):
        raise AWAY

    assert memory.outage == noticed


def test_a_probe_that_could_not_be_made_leaves_the_outage_as_it_was(memory: MemoryRuns, clock: TestClock) -> None:
    memory.outage = OUTAGE
    now = outages(memory, clock)
    assert now.may_call()
    with pytest.raises(StorageUnavailable), now.call("a", of=9):
        raise StorageUnavailable("The deployment's token could not be read.")
    now.done()

    assert memory.outage == OUTAGE
    assert now.may_call()


def test_what_another_poller_stored_in_the_meantime_counts(memory: MemoryRuns, clock: TestClock) -> None:
    now = outages(memory, clock)
    memory.put_outage(OUTAGE)
    with failing(AWAY), now.call("a", of=1):
        raise AWAY

    assert now.current == memory.outage == OUTAGE.model_copy(update={"rev": 1})


def test_each_probe_is_for_another_run(memory: MemoryRuns, clock: TestClock) -> None:
    runs = [(ORG, "a"), (ORG, "b"), (ORG, "c")]
    assert outages(memory, clock).in_turn(runs) == runs
    memory.outage = OUTAGE
    assert outages(memory, clock).in_turn(runs) == [(ORG, "b"), (ORG, "c"), (ORG, "a")]
    assert outages(memory, clock).in_turn([]) == []
