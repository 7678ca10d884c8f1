"""The estimate of a multi-run that is not started."""

import re
from typing import Any

import pytest

from codegen_api import parse_timestamp
from codegen_runs.limits.buckets import LIMITS, RESERVED_CREATES, Buckets
from codegen_runs.storage.buckets import MARGIN
from codegen_runs.storage.runs import RunsTable
from local import exchanges
from tests.support import backend, handlers
from tests.support.events import Answer, call, current, rest
from tests.support.sources import ROOT
from tests.unit.multi_runs.flow import ORG, PATH, create, get, task

pytestmark = pytest.mark.usefixtures("state_machine")

AT_ONCE = LIMITS["create"].calls - RESERVED_CREATES
WINDOW = LIMITS["create"].seconds + MARGIN


def estimate(**body: Any) -> Answer:
    event = rest("POST", f"{PATH}/estimate", body={"prompt": "Say hello.", **body})
    return call(handlers.handler("multi_runs/estimate"), event)


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        ({}, (3, 0, 1), (3, 2, 2)),
        ({"strategy": "none"}, (3, 0, 0), (3, 0, 0)),
        ({"strategy": "none", "judge": "always"}, (3, 0, 0), (3, 0, 0)),
        ({"strategy": "select", "concurrency": 5}, (5, 0, 0), (5, 6, 0)),
        ({"strategy": "rank", "judge": "always"}, (3, 2, 0), (3, 6, 0)),
        ({"strategy": "rank", "judge": "always", "judges": 1}, (3, 1, 0), (3, 2, 0)),
        ({"strategy": "select", "judge": "never"}, (3, 0, 0), (3, 0, 0)),
        ({"strategy": "select", "concurrency": 20, "judge": "always"}, (20, 6, 0), (20, 14, 0)),
        ({"concurrency": 1}, (1, 0, 0), (1, 0, 0)),
        ({"variants": [{}, {"model": "a"}], "concurrency": 3}, (6, 0, 1), (6, 2, 2)),
    ],
)
def test_the_estimate_counts_all_runs_and_the_multi_run_says_the_same(
    body: Any, least: tuple[int, int, int], most: tuple[int, int, int]
) -> None:
    estimated = estimate(**body).json
    runs = {"runs": sum(most), "runs_at_least": sum(least)}

    assert {name: estimated[name] for name in runs} == runs
    kinds = [estimated[kind] for kind in ("candidates", "judges", "syntheses")]
    assert tuple(kind["at_least"] for kind in kinds) == least
    assert tuple(kind["at_most"] for kind in kinds) == most
    assert create({"prompt": "Say hello.", **body}).json["estimate"] == runs


@pytest.mark.parametrize("strategy", ["synthesize", "select", "rank", "none"])
def test_the_documentation_has_the_costs_of_its_example_with_each_strategy(strategy: str) -> None:
    page = ROOT / "docs" / "multi-runs.md"
    shown = re.findall(rf"^\| `{strategy}` \| (\d+) \| (\d+) \|", page.read_text("utf-8"), re.MULTILINE)
    example = next(exchanges.read(page))

    found = estimate(**example.body | {"strategy": strategy}).json

    assert example.path == f"{PATH}/estimate"
    assert [(found["runs_at_least"], found["runs"])] == [(int(least), int(most)) for least, most in shown]


def test_an_estimate_stores_nothing_and_launches_nothing() -> None:
    assert estimate().status == 200

    assert current().multi_runs.newest(ORG, 1) == ([], None)
    assert current().runs.get_backlog(ORG).multi_runs == {}


def test_the_last_launch_comes_after_the_queue_and_the_quota_of_the_limit(clock: backend.TestClock) -> None:
    def seconds(**body: Any) -> float:
        answer = estimate(**body).json
        at = parse_timestamp(answer["last_launch_at"]).timestamp() - clock.now()
        assert answer["minutes_until_last_launch"] == pytest.approx(at / 60, abs=0.06)
        return at

    assert seconds(concurrency=AT_ONCE) == pytest.approx(0, abs=0.1)
    assert seconds(concurrency=AT_ONCE + 1) == pytest.approx(WINDOW, abs=0.1)
    waiting = create({"prompt": "Go.", "concurrency": AT_ONCE}).json["id"]
    for index in task("plan", waiting)["candidates"]:
        task("launch", waiting, index=index, task_token="token")
    assert seconds(concurrency=1) == pytest.approx(WINDOW, abs=0.1)
    assert seconds(concurrency=AT_ONCE + 1) == pytest.approx(2 * WINDOW, abs=0.1)


def test_the_expected_launch_is_that_of_the_multi_run_once_it_waits(clock: backend.TestClock) -> None:
    estimated = estimate(concurrency=20).json["last_launch_at"]
    multi_run_id = create({"prompt": "Go.", "concurrency": 20}).json["id"]
    for index in task("plan", multi_run_id)["candidates"]:
        task("launch", multi_run_id, index=index, task_token="token")

    assert max(each["queue"]["expected_at"] for each in get(multi_run_id).json["candidates"]) == estimated


def test_a_launch_after_the_deadline_is_pointed_out() -> None:
    assert [each["code"] for each in estimate(concurrency=20, deadline_s=60).json["warnings"]] == [
        "launch_after_deadline"
    ]
    assert estimate(concurrency=20).json["warnings"] == []


def test_too_many_queued_runs_are_refused_in_the_estimate_as_in_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "6")
    assert estimate(concurrency=5).json["refusals"] == []
    create({"prompt": "Go.", "concurrency": 2})
    (refusal,) = estimate(concurrency=5).json["refusals"]
    refused = create({"prompt": "Go.", "concurrency": 5}).json

    assert refusal == {name: refused[name] for name in ("code", "detail", "remedy", "retryable")}
    assert refusal["code"] == "too_many_queued_runs"


def test_an_unknown_agent_is_a_refusal_beside_the_costs() -> None:
    answer = estimate(variants=[{}, {"agent_id": "nobody"}])

    assert answer.status == 200
    assert [each["code"] for each in answer.json["refusals"]] == ["agent_not_found"]
    assert answer.json["runs_at_least"] == 3


def test_launches_that_codegen_refuses_now_are_a_refusal_until_they_are_accepted(
    runs: RunsTable, clock: backend.TestClock
) -> None:
    buckets = Buckets(runs, runs.deployment_quota(), clock)
    buckets.close("create", ORG, 300, "The plan is used up.")
    answer = estimate().json

    assert [each["code"] for each in answer["refusals"]] == ["launches_refused"]
    assert "The plan is used up." in answer["refusals"][0]["detail"]
    assert answer["minutes_until_last_launch"] == 5
    clock.sleep(301)
    assert estimate().json["refusals"] == []


def test_identical_variants_are_pointed_out_with_their_defaults() -> None:
    variants = [{}, {"model": "a"}, {"model": "b"}, {"prompt": "Other."}, {"model": "a"}]

    assert estimate(model="a", variants=variants).json["identical_variants"] == [[0, 1, 4]]
    assert estimate(concurrency=5).json["identical_variants"] == []


def test_a_request_that_cannot_be_valid_is_refused_as_it_would_be() -> None:
    assert estimate(concurrency=21).status == 422
