"""The limits and the launch queue, as callers see them."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from codegen_runs.backend import Backend
from codegen_runs.limits.buckets import Buckets
from codegen_runs.runs import following
from codegen_runs.storage.runs import Launch, RunsTable
from local.fake_codegen import DEMO_ORG_ID
from tests.support import handlers
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, call, current, rest, working_with


@pytest.fixture(autouse=True)
def _own_time(clock: TestClock) -> Iterator[None]:
    with working_with(Backend(clock=clock, kick=Kicks())):
        yield


def read(org_id: int = DEMO_ORG_ID) -> Answer:
    return call(handlers.handler("rate_limits/get"), rest("GET", f"/v1/organizations/{org_id}/rate-limits"))


def enqueue(clock: TestClock, org_id: int, number: int, pause: float = 0.001) -> None:
    following.enqueue(
        org_id=org_id,
        key=f"mr-1-{number}",
        prompt="Say hello.",
        launch=Launch(),
        task_token=f"token-{number}",
        multi_run_id="mr-1",
        priority=2,
        deadline=clock.now() + 3600,
        backend=current(),
    )
    clock.sleep(pause)


def test_an_idle_deployment_has_all_its_calls_left(runs: RunsTable) -> None:
    answer = read().json

    assert {limit["name"]: limit["remaining"] for limit in answer["background"]} == {
        "create": 10, "logs": 60, "pull_requests": 30, "setup": 5, "standard": 60, "webhook_test": 10
    }  # fmt: skip
    assert answer["queue"] == {"length": 0, "runs": []}


def test_the_queue_is_shown_in_order_with_the_expected_time_of_each_launch(runs: RunsTable, clock: TestClock) -> None:
    for number in range(12):
        enqueue(clock, DEMO_ORG_ID, number)
    queue = read().json["queue"]

    assert [run["run"] for run in queue["runs"]] == [f"mr-1-{number}" for number in range(12)]
    assert [run["position"] for run in queue["runs"]] == list(range(12))
    times = [run["expected_at"] for run in queue["runs"]]
    assert len(set(times[:8])) == 1
    assert times[8] > times[7]


def test_the_queue_of_an_organization_is_the_same_however_many_runs_another_has_queued(
    runs: RunsTable, clock: TestClock
) -> None:
    for number in range(4):
        enqueue(clock, DEMO_ORG_ID, number)
    enqueue(clock, 124, 0)
    seen = []
    for number in range(1, 12):
        Buckets(runs, "deployment", clock).next_launches(runs.heads(8), 8)
        seen.append(read().json["queue"])
        enqueue(clock, 124, number, pause=0)

    shown = [(run["run"], run["position"]) for run in seen[0]["runs"]]
    assert shown == [(f"mr-1-{number}", number) for number in range(4)]
    assert seen == [{"length": 4, "runs": seen[0]["runs"]}] * 11


def test_the_number_of_waiting_organizations_is_shown_only_roughly(runs: RunsTable, clock: TestClock) -> None:
    for number in range(8):
        enqueue(clock, DEMO_ORG_ID, number)
    for org_id in range(124, 132):
        enqueue(clock, org_id, 0)
    seen = []
    for number in range(1, 10):
        heads = [head for head in runs.heads(8) if head.org_id < 123 + number]
        Buckets(runs, "deployment", clock).next_launches(heads, 8)
        seen.append([run["expected_at"] for run in read().json["queue"]["runs"]])

    assert [shown == before for before, shown in pairwise(seen)] == [False, False, True, False, True, True, True, False]


def test_a_refusal_by_codegen_is_shown_with_its_message(runs: RunsTable, clock: TestClock) -> None:
    runs.note_deployment_quota("a-token")
    Buckets(runs, "a-token", clock).block("create", 300, "Upgrade your plan.")
    (create,) = [limit for limit in read().json["background"] if limit["name"] == "create"]

    assert create["remaining"] == 0
    assert create["blocked_reason"] == "Upgrade your plan."
    assert create["opens_at"]


def test_a_refusal_for_one_organization_is_shown_to_that_one_alone(runs: RunsTable, clock: TestClock) -> None:
    runs.note_deployment_quota("a-token")
    Buckets(runs, "a-token", clock).close("create", DEMO_ORG_ID, 300, "Upgrade your plan.")
    shown = [[limit for limit in read(org_id).json["background"] if limit["name"] == "create"] for org_id in (123, 124)]

    assert [(create["remaining"], create["blocked_reason"]) for (create,) in shown] == [
        (0, "Upgrade your plan."),
        (10, None),
    ]


def test_an_organization_the_caller_is_not_in_is_forbidden(runs: RunsTable) -> None:
    assert read(125).status == 403
