"""Which judges are asked, and the ranking from their verdicts: simulated judges reply to the judge runs."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs import costs, judges
from codegen_runs.multi_runs.judging import Candidate, judge
from codegen_runs.multi_runs.verdicts import labels_for
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    JudgePolicy,
    JudgeRun,
    MultiRun,
    Ranking,
    Standing,
    Strategy,
    SynthesisOptions,
    Variant,
)
from tests.unit.multi_runs.records import multi_run, watch_of

Judge = Callable[[JudgeRun], str]
"""Returns the reply to a judge run."""


def verdict(order: Sequence[int], ranking: Sequence[int], **more: Any) -> str:
    """Write the reply of a judge about candidates in this order."""
    labels = dict(zip(order, labels_for(len(order)), strict=True))
    return json.dumps({"ranking": [labels[index] for index in ranking], **more})


def prefers_low(run: JudgeRun) -> str:
    return verdict(run.order, sorted(run.order))


def prefers_the_first_place(run: JudgeRun) -> str:
    return verdict(run.order, run.order)


def record_of(count: int, **changes: Any) -> MultiRun:
    return multi_run(**{"candidates": [Variant()] * count, "strategy": Strategy.SELECT} | changes)


def usable(record: MultiRun, same: bool = False) -> list[Candidate]:
    watches = [
        watch_of(key, Status.COMPLETED, "The same." if same else f"Answer {key}.") for key in record.candidate_keys
    ]
    return judge(record, {watch.key: watch for watch in watches}).usable


def decide(
    record: MultiRun, reply: Judge, standing: Standing | None = None, *, is_code: bool = False, same: bool = False
) -> tuple[Ranking, list[list[JudgeRun]]]:
    """Have judges reply until the candidates are ranked; return the ranking and the rounds of judge runs."""
    standing = standing or Standing(order=list(range(len(record.candidates))))
    rounds: list[list[JudgeRun]] = []
    while len(rounds) < 20:
        following = judges.following(record, usable(record, same), standing, is_code=is_code)
        if isinstance(following, Ranking):
            return following, rounds
        assert following
        rounds.append(following)
        ended = [
            judges.read(
                run, watch_of(record.judge_key(run.number), Status.COMPLETED, reply(run)), len(record.candidates)
            )
            for run in following
        ]
        record = record.model_copy(update={"judge_runs": [*record.judge_runs, *ended]})
    pytest.fail("The judges never come to an end.")


def test_two_judges_get_opposite_orders_at_the_same_time() -> None:
    _, ((first, second),) = decide(record_of(4), prefers_low)

    assert sorted(first.order) == [0, 1, 2, 3]
    assert second.order == first.order[::-1]
    assert (first.number, second.number) == (1, 2)


def test_orders_differ_between_multi_runs_and_not_between_calls() -> None:
    records = [record_of(4, id=f"mr-{n}") for n in range(10)]
    orders = [tuple(decide(record, prefers_low)[1][0][0].order) for record in records]

    assert len(set(orders)) > 3
    assert orders == [tuple(decide(record, prefers_low)[1][0][0].order) for record in records]


def test_judges_that_agree_decide() -> None:
    def reply(run: JudgeRun) -> str:
        labels = labels_for(len(run.order))
        return verdict(
            run.order, sorted(run.order), reasons={labels[0]: f"Reason {run.number}."}, disagreements=["Why"]
        )

    ranking, rounds = decide(record_of(3), reply)

    assert (ranking.order, ranking.by_judges, ranking.reason) == ([0, 1, 2], True, None)
    assert [each.rank for each in ranking.candidates] == [1, 2, 3]
    assert [each.points for each in ranking.candidates] == [8, 4, 0]
    assert sorted(reason for each in ranking.candidates for reason in each.reasons) == ["Reason 1.", "Reason 2."]
    assert (ranking.compared, ranking.contradictions, ranking.disagreements) == (3, [], ["Why"])
    assert len(rounds) == 1


def test_a_judge_that_always_prefers_the_first_place_decides_nothing() -> None:
    standing = Standing(order=[2, 0, 1])
    ranking, rounds = decide(record_of(3), prefers_the_first_place, standing)

    assert (ranking.order, ranking.by_judges) == ([2, 0, 1], False)
    assert {each.rank for each in ranking.candidates} == {1}
    assert ranking.reason is not None
    assert ranking.reason.startswith("The judges contradict each other about the candidates")
    assert "so the evidence decides between them" in ranking.reason
    assert (ranking.compared, len(ranking.contradictions)) == (3, 3)
    assert [len(runs) for runs in rounds] == [2, 2]
    assert all(run.again for run in rounds[1])


@given(order=st.permutations(range(6)), count=st.integers(2, 6), name=st.text(max_size=5))
def test_no_place_in_the_prompt_decides(order: list[int], count: int, name: str) -> None:
    """Whichever places a judge prefers, if it only looks at places, the evidence decides."""
    standing = Standing(order=[index for index in order if index < count])
    ranking, _ = decide(record_of(count, id=f"mr-{name}"), prefers_the_first_place, standing)

    assert ranking.order == standing.order
    assert not ranking.by_judges


def test_contradicted_pairs_are_compared_again_once_and_settle() -> None:
    def reply(run: JudgeRun) -> str:
        best = sorted(run.order)
        if run.swapped and not run.again:
            best[:2] = best[1::-1]
        return verdict(run.order, best)

    ranking, rounds = decide(record_of(4), reply)

    assert [len(runs) for runs in rounds] == [2, 2]
    assert sorted(rounds[1][0].order) == [0, 1]
    assert rounds[1][0].order == rounds[1][1].order[::-1]
    assert (ranking.order, ranking.by_judges, ranking.reason) == ([0, 1, 2, 3], True, None)
    assert [(each.candidates, each.settled) for each in ranking.contradictions] == [((0, 1), True)]


def test_a_selection_compares_again_only_what_can_be_first() -> None:
    def reply(run: JudgeRun) -> str:
        return verdict(run.order, [0, 1, 2] if not run.swapped or run.again else [0, 2, 1])

    assert [len(runs) for runs in decide(record_of(3), reply)[1]] == [2]
    assert [len(runs) for runs in decide(record_of(3, strategy=Strategy.RANK), _only_known(reply))[1]] == [2, 2]


def _only_known(reply: Judge) -> Judge:
    def known(run: JudgeRun) -> str:
        return reply(run) if len(run.order) == 3 else verdict(run.order, sorted(run.order))

    return known


def test_one_judge_is_asked_in_one_order() -> None:
    ranking, rounds = decide(record_of(3, judges=1), prefers_low)

    assert [len(runs) for runs in rounds] == [1]
    assert (ranking.order, ranking.by_judges, ranking.compared) == ([0, 1, 2], True, 0)


@pytest.mark.parametrize(
    "reply",
    [
        "I like all of them.",
        '{"ranking": ["A", "B"',
        '{"ranking": ["A", "Z"]}',
        '{"ranking": ["A"]} {"ranking": ["B"]}',
        "",
    ],
)
def test_a_judge_without_a_verdict_is_asked_a_second_time_and_then_the_evidence_decides(reply: str) -> None:
    ranking, rounds = decide(record_of(3), lambda _: reply, Standing(order=[1, 2, 0]))

    assert [len(runs) for runs in rounds] == [2, 2]
    assert [run.number for runs in rounds for run in runs] == [1, 2, 3, 4]
    assert (ranking.order, ranking.by_judges, ranking.judges_failed) == ([1, 2, 0], False, True)
    assert (ranking.reason or "").startswith("The judges gave no usable verdict, so the evidence decides")
    assert [each.points for each in ranking.candidates] == [None] * 3


def test_a_second_try_that_succeeds_counts() -> None:
    ranking, rounds = decide(record_of(3), lambda run: "No." if run.number == 2 else prefers_low(run))

    assert [[run.number for run in runs] for runs in rounds] == [[1, 2], [3]]
    assert rounds[1][0].order == rounds[0][1].order
    assert ranking.by_judges


@pytest.mark.parametrize(
    ("status", "result", "problem"),
    [
        (Status.RUNNING, None, "No reply in time."),
        (Status.FAILED, "A", "The run ended with status failed."),
        (Status.COMPLETED, None, "The reply is empty."),
        (Status.COMPLETED, "Both are fine.", "The reply is neither the JSON object nor one label."),
    ],
)
def test_the_problem_of_a_judge_run_is_kept(status: Status, result: str | None, problem: str) -> None:
    run = JudgeRun(number=1, order=[1, 0])

    assert judges.read(run, watch_of("mr-1-judge.1", status, result)).problem == problem
    assert judges.read(run, None).problem == "No reply in time."


def test_one_label_is_a_verdict_for_the_first_place() -> None:
    read = judges.read(JudgeRun(number=1, order=[2, 0, 1]), watch_of("mr-1-judge.1", Status.COMPLETED, "**B**"))

    assert (read.ranking, read.problem) == ([0], None)


def test_none_is_acceptable_is_reported_and_does_not_decide_usability() -> None:
    def reply(run: JudgeRun) -> str:
        return verdict(run.order, [], none_acceptable=True)

    ranking, _ = decide(record_of(3), reply)

    assert ranking.none_acceptable
    assert "The judges found no candidate acceptable." in (ranking.reason or "")
    assert ranking.order == [0, 1, 2]
    only_one, _ = decide(record_of(3), lambda run: prefers_low(run) if run.swapped else reply(run))
    assert not only_one.none_acceptable


# --- when no judge is asked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "standing", "reason"),
    [
        ({"judge": JudgePolicy.NEVER}, Standing(order=[1, 0, 2]), "No judge was asked, because `judge` is `never`."),
        (
            {},
            Standing(order=[1, 0, 2], failed=[0, 2]),
            "No judge was asked: the tests of candidate 2 passed, those of all others failed.",
        ),
        (
            {"strategy": Strategy.SYNTHESIZE},
            Standing(order=[1, 0, 2]),
            "No judge was asked, because the synthesis has all usable answers.",
        ),
    ],
)
def test_where_the_evidence_decides_no_judge_is_asked(changes: Any, standing: Standing, reason: str) -> None:
    ranking, rounds = decide(record_of(3, **changes), prefers_low, standing)

    assert rounds == []
    assert (ranking.order, ranking.by_judges, ranking.judges_failed, ranking.reason) == (
        [1, 0, 2],
        False,
        False,
        reason,
    )


def test_the_same_answers_need_no_judge() -> None:
    ranking, rounds = decide(record_of(3), prefers_low, same=True)

    assert rounds == []
    assert ranking.reason == "No judge was asked, because the answers are the same."


def test_always_asks_judges_and_failed_tests_still_rank_last() -> None:
    standing = Standing(order=[2, 1, 0], failed=[0, 1])
    ranking, rounds = decide(record_of(3, judge=JudgePolicy.ALWAYS), prefers_low, standing)

    assert len(rounds) == 1
    assert sorted(rounds[0][0].order) == [0, 1, 2]
    assert ranking.order == [2, 0, 1]
    assert ranking.candidates[1].reasons[0] == "Its tests failed, and those of another candidate passed."


def test_candidates_whose_tests_failed_are_not_shown_to_a_judge() -> None:
    ranking, rounds = decide(record_of(4), prefers_low, Standing(order=[3, 2, 1, 0], failed=[0]))

    assert sorted(rounds[0][0].order) == [1, 2, 3]
    assert ranking.order == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("changes", "is_code", "asked"),
    [
        ({}, False, 0),
        ({}, True, 1),
        ({"synthesis": SynthesisOptions(top_k=2)}, False, 1),
        ({"judge": JudgePolicy.ALWAYS}, False, 1),
        ({"judge": JudgePolicy.NEVER}, True, 0),
    ],
)
def test_a_synthesis_needs_judges_only_to_leave_out_answers_or_to_choose_a_base(
    changes: Any, is_code: bool, asked: int
) -> None:
    record = record_of(3, strategy=Strategy.SYNTHESIZE, judges=1, **changes)

    assert sum(len(runs) for runs in decide(record, prefers_low, is_code=is_code)[1]) == asked


# --- groups ----------------------------------------------------------------------------------------------------------


def test_more_than_ten_candidates_are_judged_in_groups_whose_best_go_on() -> None:
    ranking, (groups, last) = decide(record_of(20), prefers_low)

    assert [len(run.order) for run in groups] == [10] * 4
    assert {run.group for run in groups} == {0, 1}
    assert [len(run.order) for run in last] == [10, 10]
    assert ranking.order[0] == 0
    assert sorted(ranking.order) == list(range(20))
    best_of_each = {index for run in groups[::2] for index in sorted(run.order)[:5]}
    assert set(last[0].order) == set(ranking.order[:10]) == best_of_each


def test_groups_have_about_the_same_size() -> None:
    _, (groups, last) = decide(record_of(11), prefers_low)

    assert [len(run.order) for run in groups] == [6, 6, 5, 5]
    assert len(last[0].order) == 10


def test_a_group_without_a_verdict_is_ranked_by_the_evidence_and_the_ranking_says_so() -> None:
    def reply(run: JudgeRun) -> str:
        return "?" if run.stage == 0 and run.group == 0 else prefers_low(run)

    ranking, _ = decide(record_of(12), reply)

    assert ranking.by_judges
    assert ranking.reason == "The judges of a group gave no usable verdict, so the evidence decides in that group."


@given(count=st.integers(2, 45), both=st.booleans())
def test_the_best_candidate_wins_and_the_cost_is_known_before(count: int, both: bool) -> None:
    record = record_of(count, judges=2 if both else 1)
    ranking, rounds = decide(record, prefers_low)

    assert ranking.order[0] == 0
    assert sorted(ranking.order) == list(range(count))
    assert sum(len(runs) for runs in rounds) == judges.asked(count, record.judges)
    assert len(costs.keys(record)) == count + judges.asked(count, record.judges)
    assert max(len(run.order) for runs in rounds for run in runs) <= judges.GROUP


def test_the_stored_reasons_of_many_candidates_are_short_enough_for_one_item() -> None:
    def reply(run: JudgeRun) -> str:
        reasons = dict.fromkeys(labels_for(len(run.order)), "r" * 600)
        return verdict(run.order, run.order, reasons=reasons, disagreements=["d" * 600] * 20)

    record = record_of(200)
    ranking, rounds = decide(record, reply)
    stored = record.model_copy(update={"ranking": ranking, "judge_runs": [run for runs in rounds for run in runs]})

    assert len(stored.model_dump_json(exclude_none=True)) < 120_000


def test_a_ranking_that_begins_anew_continues_the_numbers() -> None:
    record = record_of(3)
    _, (runs,) = decide(record, prefers_low)
    record = record.model_copy(update={"judge_runs": runs})
    again = record.model_copy(update=judges.restarted(record))
    _, (second,) = decide(again, prefers_low)

    assert [run.number for run in second] == [3, 4]
    assert again.internal_keys == ["mr-1-judge.1", "mr-1-judge.2", "mr-1-synthesis"]
