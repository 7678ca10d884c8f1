"""Ranking candidates by evidence and by votes."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs import ranking
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.judging import judge
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Variant
from tests.unit.multi_runs.records import multi_run, watch_of

PASSED = Evidence(tests_outcome="passed", changed_after_tests=False)
FAILED = Evidence(tests_outcome="failed", changed_after_tests=False)


def order(answers: list[str], evidence: dict[int, Evidence] | None = None) -> list[int]:
    record = multi_run(candidates=[Variant()] * len(answers))
    watches = [watch_of(record.candidate_key(index), Status.COMPLETED, text) for index, text in enumerate(answers)]
    usable = judge(record, {watch.key: watch for watch in watches}).usable
    return ranking.by_evidence(usable, evidence or {})


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (PASSED, "passed"),
        (FAILED, "failed"),
        (None, None),
        (Evidence(), None),
        (Evidence(tests_outcome="no_tests", changed_after_tests=False), None),
        (PASSED.model_copy(update={"changed_after_tests": True}), None),
        (FAILED.model_copy(update={"changed_after_tests": True}), None),
    ],
)
def test_the_outcome_of_tests_is_known_only_if_no_file_was_changed_after_them(
    evidence: Evidence | None, outcome: str | None
) -> None:
    assert ranking.tested(evidence) == outcome


def test_failed_tests_count_only_against_passed_ones() -> None:
    assert ranking.failed_against_passed([0, 1, 2], {0: FAILED, 1: PASSED}) == [0]
    assert ranking.failed_against_passed([0, 1, 2], {0: FAILED}) == []


def test_passed_tests_come_first_and_failed_ones_last() -> None:
    assert order(["Use a lock.", "Use a queue.", "Use a clock."], {0: FAILED, 2: PASSED}) == [2, 1, 0]


def test_an_answer_with_which_others_agree_comes_before_one_of_median_length() -> None:
    assert order(["a b c d e f", "x " * 50, "a b c d e f g", "y " * 30]) == [2, 0, 3, 1]


def test_without_evidence_the_answer_of_median_length_is_the_best() -> None:
    assert order(["abc " * 100, "def " * 15, "ghi " * 16, "jkl " * 20, "mno " * 2]) == [2, 1, 3, 4, 0]
    assert order([]) == []


def test_the_borda_count_adds_the_votes_of_both_orders() -> None:
    count = ranking.count([0, 1, 2], [[0, 1, 2], [0, 2, 1]])

    assert count.points == {0: 8, 1: 2, 2: 2}
    assert count.contradictions == {(1, 2): False}
    assert count.compared == 3


def test_candidates_that_a_vote_leaves_out_are_equal_and_last() -> None:
    count = ranking.count([0, 1, 2], [[1], [1, 2, 0]])

    assert count.points == {0: 1, 1: 8, 2: 3}
    assert count.compared == 2  # the first vote says nothing about 0 and 2


@pytest.mark.parametrize(
    ("again", "points", "settled"),
    [
        ([[0, 1], [0, 1]], {0: 4, 1: 0}, True),
        ([[1, 0], [1, 0]], {0: 0, 1: 4}, True),
        ([[0, 1], [1, 0]], {0: 2, 1: 2}, False),
        ([[0, 1]], {0: 2, 1: 2}, False),
        ([[], []], {0: 2, 1: 2}, False),
    ],
)
def test_a_contradicted_pair_is_settled_if_both_later_votes_agree(
    again: list[list[int]], points: dict[int, int], settled: bool
) -> None:
    count = ranking.count([0, 1], [[0, 1], [1, 0]], again)

    assert count.points == points
    assert count.contradictions == {(0, 1): settled}


def test_later_votes_count_only_for_contradicted_pairs() -> None:
    count = ranking.count([0, 1, 2], [[0, 1, 2], [1, 0, 2]], [[2, 0, 1], [2, 0, 1]])

    assert count.points == {0: 8, 1: 4, 2: 0}


def test_only_pairs_that_can_decide_the_first_place_are_compared_again_for_it() -> None:
    clear = ranking.count([0, 1, 2], [[0, 1, 2], [0, 2, 1]])
    assert clear.open_pairs(for_first_place=True) == []
    assert clear.open_pairs(for_first_place=False) == [(1, 2)]

    opposite = ranking.count([0, 1, 2], [[0, 1, 2], [2, 1, 0]])
    assert opposite.open_pairs(for_first_place=True) == [(0, 1), (0, 2), (1, 2)]

    # Candidate 2 can come to share the first place.
    shared = ranking.count([0, 1, 2], [[0, 1, 2], [1, 2, 0]])
    assert shared.open_pairs(for_first_place=True) == [(0, 1), (0, 2)]


votes = st.permutations(range(5)).flatmap(lambda each: st.integers(0, 5).map(lambda length: each[:length]))


@given(votes=st.lists(votes, min_size=1, max_size=2), again=st.lists(votes, max_size=2))
def test_every_vote_gives_out_the_same_number_of_points(votes: list[list[int]], again: list[list[int]]) -> None:
    count = ranking.count(range(5), votes, again)

    assert sum(count.points.values()) == len(votes) * 2 * len(list(combinations(range(5), 2)))
    assert count.contradictions.keys() >= set(count.open_pairs(for_first_place=True))
    assert len(count.contradictions) <= count.compared


@given(vote=st.permutations(range(6)))
def test_a_vote_and_its_reverse_decide_nothing(vote: list[int]) -> None:
    count = ranking.count(range(6), [vote, vote[::-1]])

    assert set(count.points.values()) == {2 * 5}
    assert len(count.contradictions) == count.compared == 15


@given(vote=st.permutations(range(6)))
def test_two_votes_that_agree_are_the_ranking(vote: list[int]) -> None:
    points = ranking.count(range(6), [vote, vote]).points

    assert sorted(points, key=lambda index: -points[index]) == list(vote)
