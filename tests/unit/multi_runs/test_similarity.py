"""Which answers agree, by their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs.similarity import compared, shingles, similarity

TEXT = "The cache has a race because two workers read the clock before either of them has written the entry."
OTHER = "Deploy the second stack first, then change the parameter of the function and compare both templates."


def _score(one: str, other: str) -> float:
    return similarity(shingles(one), shingles(other))


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        (TEXT, TEXT.upper().replace(".", "!") + "\n\n", 1.0),
        (TEXT, OTHER, 0.0),
        ("42", "42.", 1.0),
        ("42", "43", 0.0),
        ("", "", 0.0),
        ("...", TEXT, 0.0),
        ("Straße", "STRASSE", 1.0),
        ("修复缓存的竞争", "修复缓存的竞争。", 1.0),
    ],
)
def test_words_count_and_their_form_does_not(one: str, other: str, score: float) -> None:
    assert _score(one, other) == score


def test_texts_without_spaces_are_compared_by_character() -> None:
    assert 0.3 < _score("修复缓存的竞争条件", "修复缓存的错误条件") < 0.9


def test_a_long_answer_that_contains_a_short_one_agrees_with_it() -> None:
    short = f"{TEXT} It also loses the result of the slower worker."

    assert _score(short, f"{OTHER} {OTHER[::-1]} {short} {OTHER[::2]}") > 0.9


def test_a_very_short_answer_is_not_contained_in_everything() -> None:
    assert _score("the cache", TEXT) < 0.2


def test_clusters_have_members_that_all_agree() -> None:
    found = compared({0: TEXT, 1: OTHER, 2: TEXT + " Yes.", 3: f"Well. {TEXT}", 4: TEXT})

    assert found.clusters == [[0, 2, 3, 4], [1]]
    assert (found.summary, found.agreeing) == ("4 of 5 agree", 4)
    assert [(pair.candidates, pair.score) for pair in found.pairs if 1 in pair.candidates] == [
        ((0, 1), 0.0),
        ((1, 2), 0.0),
        ((1, 3), 0.0),
        ((1, 4), 0.0),
    ]


def test_two_that_agree_with_a_third_and_not_with_each_other_are_not_one_cluster() -> None:
    first, second, third = (" ".join(f"w{number}" for number in range(start, start + 10)) for start in (0, 3, 6))

    assert compared({0: first, 1: second, 2: third}).clusters == [[0, 1], [2]]


@pytest.mark.parametrize("answers", [{}, {3: TEXT}, {0: TEXT, 1: OTHER}])
def test_without_an_agreement_the_summary_says_so(answers: dict[int, str]) -> None:
    assert compared(answers).summary == "no two answers agree"


@given(st.dictionaries(st.integers(0, 20), st.text(max_size=60), max_size=5))
def test_each_candidate_is_in_one_cluster_and_scores_are_shares(answers: dict[int, str]) -> None:
    found = compared(answers)

    assert sorted(index for cluster in found.clusters for index in cluster) == sorted(answers)
    assert all(0 <= pair.score <= 1 for pair in found.pairs)
