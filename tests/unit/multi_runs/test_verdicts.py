"""Which candidate a reply chooses."""

from string import ascii_uppercase

import pytest

from codegen_runs.multi_runs.verdicts import choice

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
