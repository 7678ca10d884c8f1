"""Launches are fair: with a caller who queues hundreds of runs, others wait hardly longer than without.

The simulations run the real poller, with a moved clock, over a Codegen API that notes each launch and refuses it, so
that nothing is left to follow.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from codegen_api import BadRequestError, QuotaExceededError, ServerError
from codegen_runs.backend import Backend
from codegen_runs.limits import launch_queue
from codegen_runs.limits.buckets import Buckets
from codegen_runs.poller.loop import Poller
from codegen_runs.run_control import pausing
from codegen_runs.runs import following
from codegen_runs.statuses import Status
from codegen_runs.storage.buckets import Claim
from codegen_runs.storage.runs import Launch
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.memory import MemoryRuns

FLOODER = (1, "user:1")
NINE = [(number, f"user:{number}") for number in range(2, 11)]
COLLEAGUES = [(1, f"user:{number}") for number in range(2, 11)]

# Seconds in which permits return: a minute and a margin.
WINDOW = 62

Tenant = tuple[int, str]


class Deployment:
    """The poller, its queue, and the launches that the Codegen API received: (seconds since the start, key)."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.start = clock.now()
        self.memory = MemoryRuns()
        self.launches: list[tuple[float, str]] = []
        self.failing: set[str] = set()
        self.error: Exception = ServerError("", status_code=500, body={"detail": "This prompt always fails."})
        probed = SimpleNamespace(items=[], unreadable=())
        self.runs = SimpleNamespace(create=self.create, list=lambda **_: probed)
        self.poller = Poller(
            runs=self.memory,
            codegen=self,
            tokens=Tokens(),
            clock=clock,
            holder="me",
            concurrency=1,  # type: ignore[arg-type]
        )

    def create(self, prompt: str, **request: Any) -> None:
        self.launches.append((self.clock.now() - self.start, request["metadata"]["client_run_id"]))
        if prompt in self.failing:
            raise self.error
        raise BadRequestError("", status_code=400, body={"detail": "Noted."})

    def enqueue(self, tenant: Tenant, name: str, count: int = 1, priority: int = 2) -> None:
        org_id, caller = tenant
        for number in range(count):
            following.enqueue(
                org_id=org_id,
                key=f"{org_id}.{caller}.{name}-{number:02d}",
                prompt=name,
                launch=Launch(),
                task_token="a-token",
                multi_run_id=f"mr-{name}",
                priority=priority,
                deadline=self.clock.now() + 24 * 3600,
                created_by=caller,
                backend=Backend(clock=self.clock, kick=Kicks(), runs=self.memory),
            )
            self.clock.sleep(0.001)

    def work(self, seconds: float) -> None:
        """Run ticks, as the schedule does."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            ends = min(until, self.clock.now() + 58)
            self.poller.tick(ends)
            self.clock.sleep(max(0.0, ends - self.clock.now()) + 2)

    def keys(self, tenant: Tenant) -> list[str]:
        return [key for _, key in self.launches if key.startswith(f"{tenant[0]}.{tenant[1]}.")]

    def last(self, tenant: Tenant) -> float:
        return max(at for at, key in self.launches if key.startswith(f"{tenant[0]}.{tenant[1]}."))

    def mean_wait(self, tenant: Tenant) -> float:
        waits = [
            at + self.start - self.memory.watches[tenant[0], key].created_at / 1000
            for at, key in self.launches
            if key.startswith(f"{tenant[0]}.{tenant[1]}.")
        ]
        return sum(waits) / len(waits)


MakeDeployment = Callable[[], Deployment]


@pytest.fixture
def deployment(clock: TestClock) -> Deployment:
    return Deployment(clock)


def flood(deployment: Deployment, multi_runs: int) -> None:
    for number in range(multi_runs):
        deployment.enqueue(FLOODER, f"flood-{number:02d}", 20)


def together(clock: TestClock, others: Iterable[Tenant], multi_runs: int, count: int) -> Deployment:
    """Simulate a flood, and behind it `count` runs of each of the others."""
    deployment = Deployment(clock)
    flood(deployment, multi_runs)
    for tenant in others:
        deployment.enqueue(tenant, "own", count)
    deployment.work(WINDOW * 3 * count)
    return deployment


@pytest.mark.parametrize("others", [NINE, COLLEAGUES], ids=["of other organizations", "of his organization"])
@pytest.mark.parametrize(
    ("multi_runs", "count"), [(2, 4), pytest.param(30, 20, marks=pytest.mark.full)], ids=["small", "large"]
)
def test_each_of_nine_waits_at_most_twice_as_long_with_a_flooder(
    multi_runs: int, count: int, others: list[Tenant], clock: TestClock
) -> None:
    alone = together(clock, others, 0, count)
    flooded = together(clock, others, multi_runs, count)

    for tenant in others:
        assert flooded.keys(tenant) == alone.keys(tenant)
        assert len(flooded.keys(tenant)) == count
        assert flooded.last(tenant) <= 2 * alone.last(tenant)
        assert flooded.mean_wait(tenant) <= 2 * alone.mean_wait(tenant)
    assert flooded.keys(FLOODER)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("others", [NINE, COLLEAGUES], ids=["of other organizations", "of his organization"])
@pytest.mark.parametrize("pause", [2, 30], ids=["more than the limit", "less than the limit"])
def test_random_arrivals_wait_at_most_twice_as_long_and_two_windows(
    pause: float, seed: int, others: list[Tenant], clock: TestClock
) -> None:
    """The two windows are for a run that waits for nothing without him: with him, no permit is left at its arrival."""
    waits = []
    for multi_runs in (0, 30):
        random, deployment = Random(seed), Deployment(clock)
        flood(deployment, multi_runs)
        for number in range(60):
            tenant = random.choice(others)
            deployment.enqueue(tenant, f"own-{number:02d}", random.randint(1, 5))
            deployment.work(random.expovariate(1 / pause))
        deployment.work(1800)
        waits.append({tenant: deployment.mean_wait(tenant) for tenant in others})

    alone, flooded = waits
    for tenant in others:
        assert flooded[tenant] <= 2 * alone[tenant] + 2 * WINDOW


def test_the_place_and_the_expected_time_of_a_launch_are_kept(deployment: Deployment) -> None:
    flood(deployment, 2)
    for tenant in NINE[:3]:
        deployment.enqueue(tenant, "own", 5)
    deployment.work(5)
    backend = Backend(clock=deployment.clock, runs=deployment.memory)
    places = {key: place for org_id in range(1, 5) for key, place in launch_queue.places(org_id, backend).items()}
    launched = len(deployment.launches)
    deployment.work(600)

    assert len(places) == 40 + 15 - launched
    for org_id in range(1, 5):
        own = [key for _, key in deployment.launches[launched:] if key.startswith(f"{org_id}.")]
        assert [places[key].position for key in own] == list(range(len(own)))
    times = {key: deployment.start + at for at, key in deployment.launches[launched:]}
    assert len(times) >= 40
    for key, at in times.items():
        assert at <= datetime.fromisoformat(places[key].expected_at).timestamp() + 1


def test_a_synthesis_goes_before_the_callers_candidates_and_not_before_others(deployment: Deployment) -> None:
    flood(deployment, 1)
    deployment.enqueue(NINE[0], "own", 4)
    deployment.enqueue(FLOODER, "synthesis", 1, priority=1)
    deployment.work(5)

    assert deployment.keys(FLOODER)[0].endswith("synthesis-00")
    assert len(deployment.keys(NINE[0])) == 4


def test_a_launch_that_always_fails_is_held_longer_each_time_and_goes_behind(deployment: Deployment) -> None:
    deployment.failing = {"bad"}
    deployment.enqueue(FLOODER, "bad")
    deployment.enqueue(FLOODER, "good", 30)
    deployment.enqueue(NINE[0], "own", 10)
    deployment.work(1200)

    bad = [at for at, key in deployment.launches if "bad" in key]
    gaps = [after - before for before, after in pairwise(bad)]
    assert len(deployment.keys(NINE[0])) == 10
    assert sum("good" in key for _, key in deployment.launches) == 30
    assert max(at for at, key in deployment.launches if "bad" not in key) < WINDOW * 6
    assert len(bad) <= 10
    assert gaps[-1] >= 300
    (watch,) = [watch for key, watch in deployment.memory.watches.items() if "bad" in key[1]]
    assert watch.status is Status.QUEUED


def test_an_organization_whose_plan_is_used_up_holds_no_other_back(deployment: Deployment) -> None:
    deployment.failing = {"over"}
    deployment.error = QuotaExceededError("", status_code=402, body={"detail": "Upgrade your plan."})
    deployment.enqueue(FLOODER, "over", 20)
    for tenant in NINE:
        deployment.enqueue(tenant, "own", 2)
    deployment.work(WINDOW * 3)

    assert all(len(deployment.keys(tenant)) == 2 for tenant in NINE)
    assert len(deployment.keys(FLOODER)) == 1
    backend = Backend(clock=deployment.clock, runs=deployment.memory)
    first = next(iter(launch_queue.places(FLOODER[0], backend).values()))
    assert datetime.fromisoformat(first.expected_at).timestamp() == pytest.approx(deployment.start + 300, abs=5)
    deployment.work(300)
    assert len(deployment.keys(FLOODER)) == 2


def test_several_launches_that_always_fail_take_no_more_than_their_callers_turns(deployment: Deployment) -> None:
    deployment.failing = {"bad"}
    deployment.enqueue(FLOODER, "bad", 2)
    for tenant in NINE:
        deployment.enqueue(tenant, "own", 4)
    deployment.work(WINDOW * 7)

    assert all(len(deployment.keys(tenant)) == 4 for tenant in NINE)


def test_a_failed_launch_returns_behind_the_runs_of_its_caller_that_wait_then(deployment: Deployment) -> None:
    deployment.failing = {"bad"}
    deployment.enqueue(FLOODER, "bad")
    deployment.enqueue(FLOODER, "good", 12)
    deployment.work(5)
    deployment.failing = set()
    deployment.enqueue(FLOODER, "new", 3)
    deployment.work(200)

    keys = [key.split(".")[-1][:3] for key in deployment.keys(FLOODER)]
    assert keys == ["bad", *["goo"] * 12, "bad", *["new"] * 3]


@pytest.mark.parametrize("paused", [True, False])
def test_a_held_run_that_is_resumed_still_waits_for_its_time(paused: bool, deployment: Deployment) -> None:
    deployment.failing = {"bad"}
    deployment.enqueue(FLOODER, "bad")
    deployment.work(3)
    backend = Backend(clock=deployment.clock, kick=Kicks(), runs=deployment.memory)
    (watch,) = deployment.memory.watches.values()
    assert watch.held_until is not None
    held_until = watch.held_until
    if paused:
        watch = pausing.release(pausing.hold(watch, backend=backend), backend=backend)
    before = len(deployment.launches)
    deployment.work(60)

    assert len(deployment.launches) > before
    assert all((deployment.start + at) * 1000 >= held_until for at, _ in deployment.launches[before:])


def test_runs_that_were_queued_in_the_old_order_are_launched(deployment: Deployment) -> None:
    deployment.enqueue(FLOODER, "old", 3)
    for place, watch in deployment.memory.watches.items():
        deployment.memory._queue[place] = 2 * 10**14 + watch.created_at
    deployment.enqueue(NINE[0], "own", 3)
    deployment.work(WINDOW)

    assert len(deployment.launches) == 6


def single(deployment: Deployment, tenant: Tenant) -> bool:
    """Ask for the permit of a single run without waiting."""
    now = round(deployment.clock.now() * 1000)
    claim = Claim(id=f"{tenant}{now}", organization=str(tenant[0]), caller=tenant[1], since=now, until=now + 8000)
    return Buckets(deployment.memory, "deployment", deployment.clock).claim("create", claim)


def test_single_runs_weigh_more_than_queued_ones_and_leave_their_share_to_the_queue(deployment: Deployment) -> None:
    flood(deployment, 4)
    got = []
    deployment.work(WINDOW)
    before = len(deployment.launches)
    for _ in range(3 * WINDOW):
        got += [single(deployment, NINE[0])]
        deployment.work(0.5)

    windows = 3 * 2.5
    assert len(deployment.launches) < 80
    assert 3 * windows <= sum(got) <= 4 * (windows + 1)
    assert len(deployment.launches) - before >= 5 * windows
