"""The usage of an organization: what is counted, with how many calls, and what is reported as not counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codegen_runs import usage
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.storage.multi_runs import (
    Answer,
    AnswerSource,
    JudgeRun,
    MultiRun,
    MultiRunsTable,
    MultiRunStatus,
    Pick,
    RankedCandidate,
    Ranking,
    Strategy,
    SynthesisOptions,
    Variant,
)
from local.fake_codegen import FakeCodegen, FakeTransport, Script
from local.fake_codegen.runs import Run
from local.fake_codegen.schemas import ApiAgentRunSourceType
from local.template import Template
from tests.support.backend import TestClock, codegen
from tests.unit.access.service import ADA, ELSEWHERE, HOME, MARY, ORG, Service
from tests.unit.multi_runs.flow import MergedPullRequests

DAY = 86_400


def count(service: Service, **query: str) -> Any:
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    answer = service.send("GET", f"{HOME}/usage?{parameters}", MARY)
    assert answer.status == 200, answer.text
    return answer.json


def moment(clock: TestClock, ago: float) -> str:
    return (datetime.fromtimestamp(clock.now(), UTC) - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z")


def start(
    fake: FakeCodegen, *, ago: float, source: str = "API", ending: str = "COMPLETE", script: Script | None = None
) -> Run:
    return fake.start(
        fake.organizations[ORG],
        "x",
        user_id=792,
        source_type=ApiAgentRunSourceType(source),
        script=script or Script(ending=ending),
        ago=ago,
    )


@pytest.fixture
def nothing(service: Service, fake: FakeCodegen) -> None:
    """Remove the demo's runs from the fake Codegen."""
    fake.runs.clear()


def test_runs_are_counted_by_status_source_and_user(
    service: Service, fake: FakeCodegen, clock: TestClock, nothing: None
) -> None:
    start(fake, ago=3600, source="SLACK", ending="ERROR")
    start(fake, ago=7200, source="LINEAR")
    for token in (ADA, MARY, MARY):
        service.send("POST", f"{HOME}/agent/run", token, {"prompt": "x"})
    clock.sleep(60)

    answer = count(service)

    assert answer["runs"] == {
        "total": 5,
        "by_status": {"completed": 4, "failed": 1},
        "by_source": {"API": 3, "LINEAR": 1, "SLACK": 1},
        "by_user": {"unknown": 2, "user:789": 1, "user:792": 2},
    }
    assert answer["upstream_creations"] == {"total": 5, "through_this_deployment": 3, "of_multi_runs": 0}
    assert (answer["organization_id"], answer["complete"], answer["counted_from"]) == (ORG, True, answer["start_date"])
    assert [each["code"] for each in answer["not_known"]] == ["cost", "users", "merged_pull_requests", "follow_ups"]


def test_the_span_includes_its_start_and_excludes_its_end(
    service: Service, fake: FakeCodegen, clock: TestClock, nothing: None
) -> None:
    for ago in (3 * DAY, 2 * DAY, DAY):
        start(fake, ago=ago)

    assert count(service, start_date=moment(clock, 3 * DAY), end_date=moment(clock, DAY))["runs"]["total"] == 2
    assert count(service, start_date=moment(clock, 3 * DAY - 1), end_date=moment(clock, DAY - 1))["runs"]["total"] == 2


def test_a_date_means_the_whole_day_and_the_default_is_30_days(
    service: Service, fake: FakeCodegen, clock: TestClock, nothing: None
) -> None:
    for ago in (1, 29 * DAY, 31 * DAY):
        start(fake, ago=ago)
    today = datetime.fromtimestamp(clock.now(), UTC).date().isoformat()

    assert count(service)["runs"]["total"] == 2
    answer = count(service, start_date=today, end_date=today)
    assert answer["runs"]["total"] == 1
    assert (answer["start_date"][:10], answer["start_date"][11:]) == (today, "00:00:00.000Z")
    assert answer["end_date"] > answer["start_date"]


def test_a_time_without_a_zone_is_in_utc(service: Service) -> None:
    answer = count(service, start_date="2024-01-01T00:00:00", end_date="2024-01-31T02:00:00%2B02:00")

    assert (answer["start_date"], answer["end_date"]) == ("2024-01-01T00:00:00.000Z", "2024-01-31T00:00:00.000Z")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("start_date=yesterday", "/query/start_date"),
        ("end_date=2024-13-01", "/query/end_date"),
        ("end_date=9999-12-31", "/query/end_date"),
        ("start_date=1700000000", "/query/start_date"),
        ("start_date=2024-02-01&end_date=2024-01-01", "/query/start_date"),
        ("start_date=2024-01-01T00:00:00Z&end_date=2024-01-01T00:00:00Z", "/query/start_date"),
        ("start_date=2020-01-01&end_date=2024-01-01", "/query/start_date"),
        ("start_date=0001-01-01&end_date=0001-01-02T00:00:00%2B14:00", "/query/end_date"),
        ("end_date=0001-01-02", "/query/end_date"),
    ],
)
def test_invalid_dates_are_refused_with_a_pointer(service: Service, query: str, pointer: str) -> None:
    answer = service.send("GET", f"{HOME}/usage?{query}", MARY)

    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_span_long_ago_needs_few_calls(service: Service, fake: FakeCodegen, clock: TestClock, nothing: None) -> None:
    for number in range(1_500):
        start(fake, ago=number * 3600 + 1)
    fake.calls.clear()

    answer = count(service, start_date=moment(clock, 60 * DAY), end_date=moment(clock, 58 * DAY))

    assert (answer["runs"]["total"], answer["complete"]) == (48, True)
    assert fake.calls["list_agent_runs"] <= 15


def test_a_report_says_if_it_does_not_count_all_runs(
    service: Service, fake: FakeCodegen, clock: TestClock, nothing: None
) -> None:
    for number in range(1_050):
        start(fake, ago=number + 1)
    fake.calls.clear()

    answer = count(service)

    assert (answer["runs"]["total"], answer["complete"]) == (1_000, False)
    assert answer["counted_from"] == moment(clock, 1_000)[:23] + "Z"
    assert "older_runs" in [each["code"] for each in answer["not_known"]]
    assert fake.calls["list_agent_runs"] == usage.MOST_PAGES


def test_an_organization_without_runs_has_no_usage(service: Service, nothing: None) -> None:
    answer = count(service)

    assert answer["runs"] == {"total": 0, "by_status": {}, "by_source": {}, "by_user": {}}
    assert not any(answer["multi_runs"].pop("picks").values())
    assert answer["multi_runs"] == {"total": 0, "by_status": {}, "selections": 0, "winners": []}
    assert answer["complete"] is True


def test_multi_runs_are_counted_in_the_span(
    service: Service, fake: FakeCodegen, clock: TestClock, deployed: Template, nothing: None
) -> None:
    table, now = MultiRunsTable(deployed.tables["MultiRunsTable"].name), round(clock.now() * 1000)
    for org_id, ago, status in (
        (ORG, 1, MultiRunStatus.COMPLETED),
        (ORG, 2, MultiRunStatus.COMPLETED),
        (ORG, 3, MultiRunStatus.FAILED),
        (ORG, 40, MultiRunStatus.COMPLETED),
        (ELSEWHERE, 1, MultiRunStatus.COMPLETED),
    ):
        table.add(multi_run(org_id, now - ago * DAY * 1000, status))

    counted = count(service)["multi_runs"]
    assert (counted["total"], counted["by_status"]) == (3, {"completed": 2, "failed": 1})
    earlier = count(service, start_date=moment(clock, 2.5 * DAY), end_date=moment(clock, 1.5 * DAY))["multi_runs"]
    assert (earlier["total"], earlier["by_status"]) == (1, {"completed": 1})


def test_selected_candidates_are_counted_by_model_and_agent_type(
    service: Service, clock: TestClock, deployed: Template, nothing: None
) -> None:
    table, now = MultiRunsTable(deployed.tables["MultiRunsTable"].name), round(clock.now() * 1000)
    small, large, coder = Variant(model="small"), Variant(model="large"), Variant(agent_type="claude_code")
    for ago, candidates, source, winner in (
        (1, [small, small, large], AnswerSource.SELECTED, 2),
        (2, [small, large], AnswerSource.SELECTED, 1),
        (3, [small, coder], AnswerSource.SELECTED, 1),
        # These selected none.
        (4, [small, large], AnswerSource.FALLBACK, 0),
        (5, [small, large], AnswerSource.ONLY_CANDIDATE, 0),
        (6, [small, large], AnswerSource.SYNTHESIS, None),
    ):
        made = multi_run(ORG, now - ago * 3_600_000, MultiRunStatus.COMPLETED)
        answer = Answer(text="x", source=source, candidate=winner)
        table.add(made.model_copy(update={"candidates": candidates, "answer": answer}))

    counted = count(service)["multi_runs"]

    assert (counted["total"], counted["selections"]) == (6, 3)
    fields = ("model", "agent_type", "candidates", "selected", "picked")
    assert [tuple(each[name] for name in fields) for each in counted["winners"]] == [
        ("large", None, 2, 2, 0),
        (None, "claude_code", 1, 1, 0),
        ("small", None, 4, 0, 0),
    ]


def test_picks_are_compared_with_selections_and_with_merged_pull_requests(
    fake: FakeCodegen, clock: TestClock, deployed: Template, nothing: None
) -> None:
    table, now = MultiRunsTable(deployed.tables["MultiRunsTable"].name), round(clock.now() * 1000)
    small, large = Variant(model="small"), Variant(model="large")
    merged = start(fake, ago=60, script=Script(seconds=1, pull_request=True))
    without = start(fake, ago=60, script=Script(seconds=1, pull_request=False))
    for ago, source, selected, picked, run in (
        (1, AnswerSource.SELECTED, 1, 1, merged),
        (2, AnswerSource.SELECTED, 1, 0, without),
        (3, AnswerSource.SYNTHESIS, None, 1, None),
        (4, AnswerSource.SELECTED, 0, None, None),
    ):
        made = multi_run(ORG, now - ago * 3_600_000, MultiRunStatus.COMPLETED)
        answer = Answer(text="x", source=source, candidate=selected)
        fields: dict[str, Any] = {"candidates": [small, large], "answer": answer}
        if picked is not None:
            of_pick = Answer(text="y", source=AnswerSource.PICKED, candidate=picked)
            fields["pick"] = Pick(
                candidate=picked, agent_run_id=run and run.id, picked_by="user:7", picked_at=now, answer=of_pick
            )
        table.add(made.model_copy(update=fields))

    for transport, known in ((MergedPullRequests(fake), {"merged": 1}), (FakeTransport(fake), {})):
        backend = Backend(clock=clock, codegen=codegen(transport), multi_runs=table)
        caller = Caller("user:7", 7, frozenset({ORG}), "token")
        counted = usage.report(ORG, usage.span(None, None, clock), caller=caller, backend=backend).multi_runs
        expected = {"total": 3, "same": 1, "other": 1, "merged": 0, "not_merged": 0} | known
        expected |= {"as_judged": 0, "not_as_judged": 0, "merge_unknown": 3 - sum(known.values())}
        assert counted.picks.model_dump() == expected
        assert sum(each.merged for each in counted.winners) == sum(known.values())
        assert {(each.model, each.selected, each.picked) for each in counted.winners} == {
            ("large", 2, 2), ("small", 1, 1)
        }  # fmt: skip


def test_picks_are_compared_with_what_judges_ranked_first_by_model_and_by_agent(
    service: Service, clock: TestClock, deployed: Template, nothing: None
) -> None:
    table, now = MultiRunsTable(deployed.tables["MultiRunsTable"].name), round(clock.now() * 1000)
    small, large, finder = Variant(model="small"), Variant(model="large"), Variant(model="small", agent_id="finder")
    candidates = [small, large, finder, Variant(model="failed")]
    for ago, order, by_judges, picked in (
        (1, [1, 0, 2], True, 1),
        (2, [1, 0, 2], True, 2),
        (3, [2, 1, 0], True, None),
        (4, [0, 1, 2], False, 1),  # The evidence decided.
        (5, None, False, 0),
    ):
        made = multi_run(ORG, now - ago * 3_600_000, MultiRunStatus.COMPLETED)
        fields: dict[str, Any] = {"candidates": candidates, "strategy": Strategy.RANK}
        if order:
            places = [RankedCandidate(candidate=index, rank=rank) for rank, index in enumerate(order, start=1)]
            fields["ranking"] = Ranking(candidates=places, by_judges=by_judges)
            fields["judge_runs"] = [JudgeRun(number=n, order=order, ranking=order) for n in (1, 2)]
        if picked is not None:
            answer = Answer(text="y", source=AnswerSource.PICKED, candidate=picked)
            fields["pick"] = Pick(candidate=picked, picked_by="user:7", picked_at=now, answer=answer)
        table.add(made.model_copy(update=fields))

    counted = count(service)["multi_runs"]

    picks = counted["picks"]
    assert (picks["total"], picks["as_judged"], picks["not_as_judged"]) == (4, 1, 1)
    assert (picks["same"], picks["other"], counted["selections"]) == (0, 0, 0)
    names = ("model", "agent_id", "judged", "judged_first", "picked", "picked_as_judged")
    assert [tuple(each[name] for name in names) for each in counted["winners"]] == [
        ("large", None, 3, 2, 2, 1),
        ("small", "finder", 3, 1, 1, 0),
        ("small", None, 3, 0, 1, 0),
    ]


def multi_run(org_id: int, created_at: int, status: MultiRunStatus) -> MultiRun:
    return MultiRun(
        org_id=org_id,
        id=f"mr-{created_at:012x}-0123456789",
        status=status,
        prompt="x",
        candidates=[Variant()],
        strategy=Strategy.NONE,
        quorum=1,
        synthesis=SynthesisOptions(),
        candidate_timeout_s=60,
        deadline_at=created_at + 60_000,
        created_by="user:789",
        created_at=created_at,
    )


def test_the_usage_of_another_organization_is_refused(service: Service) -> None:
    answer = service.send("GET", f"/v1/organizations/{ELSEWHERE}/usage", ADA)

    assert (answer.status, answer.json["code"]) == (403, "not_a_member")
