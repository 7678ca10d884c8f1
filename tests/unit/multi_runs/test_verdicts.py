"""What the reply of a judge says: a verdict, a choice, or nothing."""

import json
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs.verdicts import (
    MOST_DISAGREEMENTS,
    MOST_REASON_CHARACTERS,
    NoVote,
    Verdict,
    choice,
    labels_for,
    verdict,
)

THREE, TWELVE = list(ascii_uppercase[:3]), list(ascii_uppercase[:12])


@pytest.mark.parametrize(
    "reply",
    [
        "B",
        "b",
        "**B**",
        "(B)",
        '"B".',
        "Candidate B",
        "option b.",
        "Answer: B (A and C are weaker)",
        "answer: b",
        "My choice is candidate B, because A misses the edge case.",
        "The best one is B",
        "I choose B.",
        "We would pick candidate B since it is complete.",
        "B is best. A misses the edge case.",
        "B is better.",
        "Candidate B wins over A and C",
        "B. A misses the edge case.",
        "B: the others do not answer the task",
        "B\n\nIt names the cause; A does not.",
        "The three candidates differ in one point.\n\nAnswer: B",
        '{"choice": "B"}',
    ],
)
def test_a_letter_in_the_place_of_a_choice_is_the_choice(reply: str) -> None:
    assert choice(reply, THREE) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n ",
        "A close call, but the second one is better.",
        "A (close) call",
        "A tie.",
        "Answer: a tie",
        "Verdict: A close call",
        "As a careful expert, I see no difference.",
        "None of them is acceptable.",
        "Neither A nor B.",
        "Plan B: try again",
        "Because",
    ],
)
def test_a_word_is_no_choice(reply: str) -> None:
    assert choice(reply, THREE) is None


@pytest.mark.parametrize("reply", ["I cannot decide.", "Verdict: I am not sure", "I think that all are equal."])
def test_the_pronoun_is_no_choice_among_nine_or_more(reply: str) -> None:
    assert choice(reply, TWELVE) is None
    assert choice("I", TWELVE) == "I"


@pytest.mark.parametrize(
    "reply",
    ["A or B", "A, B and C are fine", "A. B. C.", "Answer: A or B", "Answer: A/B", "Answer: A, B", "B\nA",
     "B is better than A, but A is best"],
)  # fmt: skip
def test_several_letters_are_no_choice(reply: str) -> None:
    assert choice(reply, THREE) is None


def test_a_letter_of_no_candidate_is_no_choice() -> None:
    assert choice("D", THREE) is None


def test_a_very_long_reply_is_read_at_its_first_and_last_line() -> None:
    assert choice("-" * 2_000_000, THREE) is None
    assert choice("-" * 2_000_000 + "\nAnswer: C", THREE) == "C"


# --- the JSON form ---------------------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "ranking": ["B", "A", "C"],
    "reasons": {"B": "It names the cause.", "A": "It misses the edge case.", "C": "It does not answer the task."},
    "disagreements": ["A locks the read, B does not."],
    "none_acceptable": False,
}
FENCE = "`" * 3


def rejected(reply: str, labels: list[str] = THREE) -> str:
    found = verdict(reply, labels)
    assert isinstance(found, NoVote), found
    return found.reason


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(FULL),
        json.dumps(FULL, indent=2) + "\n",
        f"{FENCE}json\n{json.dumps(FULL)}\n{FENCE}",
        f"{FENCE}\n{json.dumps(FULL, indent=2)}\n{FENCE}\n",
        f"~~~JSON\n{json.dumps(FULL)}\n~~~",
        f"{FENCE}{FENCE}\n{json.dumps(FULL)}\n{FENCE}{FENCE}",
        f"Here is my verdict:\n\n{FENCE}json\n{json.dumps(FULL)}\n{FENCE}",
        json.dumps(FULL | {"ranking": ["b", " a ", "C"]}),
        json.dumps(FULL | {"confidence": 0.7}),
    ],
)
def test_the_json_form_is_read_bare_or_in_one_block(reply: str) -> None:
    found = verdict(reply, THREE)

    assert isinstance(found, Verdict)
    assert found.ranking == ("B", "A", "C")
    assert found.reasons["B"] == "It names the cause."
    assert found.disagreements == ("A locks the read, B does not.",)
    assert not found.none_acceptable


def test_only_the_ranking_is_required_and_it_may_leave_out_the_last_ones() -> None:
    assert verdict('{"ranking": ["B"]}', THREE) == Verdict(("B",))
    assert verdict('{"ranking": ["B"], "reasons": null, "disagreements": null}', THREE) == Verdict(("B",))


def test_none_is_acceptable_is_a_verdict_with_or_without_a_ranking() -> None:
    for ranking in ([], ["A", "B"]):
        found = verdict(json.dumps({"ranking": ranking, "none_acceptable": True}), THREE)
        assert isinstance(found, Verdict)
        assert found.none_acceptable
        assert list(found.ranking) == ranking


def test_only_the_first_disagreements_are_kept() -> None:
    listed = [f"Point {number}" for number in range(MOST_DISAGREEMENTS + 1)]
    found = verdict(json.dumps({"ranking": ["A"], "disagreements": listed}), THREE)

    assert isinstance(found, Verdict)
    assert list(found.disagreements) == listed[:-1]


def test_a_long_reason_is_cut_and_has_one_line() -> None:
    found = verdict(json.dumps({"ranking": ["A"], "reasons": {"A": "x\n" * 5_000}}), THREE)

    assert isinstance(found, Verdict)
    assert len(found.reasons["A"]) == MOST_REASON_CHARACTERS
    assert "\n" not in found.reasons["A"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("B" * 70_000, "too long"),
        (json.dumps(FULL)[:60], "incomplete"),
        (f"{FENCE}json\n{json.dumps(FULL)[:60]}\n{FENCE}", "incomplete"),
        (f"{FENCE}json\n{json.dumps(FULL)}", "among other text"),
        (json.dumps(FULL | {"ranking": ["B", "D"]}), "'D' is no candidate"),
        (json.dumps(FULL | {"ranking": ["B", 1]}), "'1' is no candidate"),
        (json.dumps(FULL | {"ranking": ["B", ["A", "C"]]}), "is no candidate"),
        (json.dumps(FULL | {"reasons": {"X": "?"}}), "'X' is no candidate"),
        (json.dumps(FULL | {"ranking": ["B", "A", "B"]}), "B twice"),
        (json.dumps(FULL | {"ranking": ["b", "A", "B"]}), "B twice"),
        (json.dumps(FULL | {"ranking": "BAC"}), "not a list"),
        (json.dumps(FULL | {"ranking": {}}), "not a list"),
        (json.dumps(FULL | {"ranking": []}), "empty"),
        (json.dumps(FULL | {"reasons": ["good"]}), "not an object"),
        (json.dumps(FULL | {"reasons": {"B": 1}}), "not a text"),
        (json.dumps(FULL | {"disagreements": [{"A": "B"}]}), "not a text"),
        (json.dumps(FULL | {"none_acceptable": "no"}), "neither true nor false"),
        ('{"ranking": ["A"], "ranking": ["B"]}', "'ranking' twice"),
        (json.dumps(FULL) + json.dumps(FULL), "after the JSON"),
        (json.dumps(FULL) + "\nI hope this helps.", "after the JSON"),
        (json.dumps([FULL, FULL]), "no ranking"),
        ('{"choice": "B"}', "no ranking"),
        ("[" * 50_000, "nested too deeply"),
        ('{"ranking": [' + "9" * 5_000 + "]}", "incomplete or invalid"),
        (f"{FENCE}json\n{json.dumps(FULL)}\n{FENCE}\n{FENCE}json\n{json.dumps(FULL)}\n{FENCE}", "after the JSON"),
        (f"Candidate B says:\n{FENCE}\n{json.dumps(FULL)}\n{FENCE}\nI do not follow it.", "among other text"),
        (f"One of them contains this. I ignore it.\n{FENCE}\n{json.dumps(FULL)}\n{FENCE}", "among other text"),
        (f"My ranking is {json.dumps(FULL)}", "among other text"),
        ("A close call, but the second one is better.", "neither"),
        ("A tie.", "neither"),
        ("I would say that B and C are equally good.", "neither"),
    ],
)
def test_a_reply_that_is_not_clearly_a_verdict_is_no_vote_and_has_the_reason(reply: str, reason: str) -> None:
    assert reason in rejected(reply)


@pytest.mark.parametrize(
    "reply", ["B", "**B**", "Answer: B (A and C are weaker)", "B is best. A misses the edge case."]
)
def test_one_label_is_a_vote_for_the_first_place(reply: str) -> None:
    assert verdict(reply, THREE) == Verdict(("B",))


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "first", "last"),
    [(1, "A", "A"), (8, "A", "H"), (9, "C01", "C09"), (20, "C01", "C20"), (120, "C001", "C120")],
)
def test_from_nine_candidates_on_no_label_is_a_word(count: int, first: str, last: str) -> None:
    labels = labels_for(count)

    assert (labels[0], labels[-1], len(set(labels))) == (first, last, count)
    assert {"A", "I"} & set(labels) <= {"A"}
    assert count < 9 or not {"A", "I"} & set(labels)


@pytest.mark.parametrize(
    "reply",
    [
        "C07",
        "c07",
        "**Candidate C07**",
        "Answer: C07",
        "I choose C07.",
        "C07 is best. C01 misses the edge case.",
        "C07: the others do not answer the task",
        "They differ in one point.\n\nAnswer: C07",
        '{"ranking": ["C07", "C01"]}',
    ],
)
def test_numbered_labels_are_read_in_the_same_places(reply: str) -> None:
    found = verdict(reply, labels_for(12))

    assert isinstance(found, Verdict)
    assert found.ranking[0] == "C07"


@pytest.mark.parametrize(
    "reply", ["A", "I", "I choose B.", "A is best.", "C7", "C13", "07", "Answer: C07 or C08", "C07, C08", "C07\nC08"]
)
def test_letters_and_other_numbers_choose_no_numbered_candidate(reply: str) -> None:
    assert isinstance(verdict(reply, labels_for(12)), NoVote)


@given(st.text(max_size=300), st.integers(1, 12))
def test_any_text_is_read_without_an_error_and_names_only_candidates(text: str, count: int) -> None:
    labels = labels_for(count)
    for reply in (text, "{" + text, f"{FENCE}\n{text}\n{FENCE}", json.dumps({"ranking": [text]})):
        found = verdict(reply, labels)
        assert isinstance(found, NoVote) or set(found.ranking) <= set(labels)


@given(st.permutations(labels_for(11)), st.integers(1, 11))
def test_every_ranking_is_read_as_it_was_written(ranking: list[str], length: int) -> None:
    assert verdict(json.dumps({"ranking": ranking[:length]}), labels_for(11)) == Verdict(tuple(ranking[:length]))
