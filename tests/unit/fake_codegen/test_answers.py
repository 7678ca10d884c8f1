"""The texts of runs' results."""

import json
from itertools import permutations

import pytest

from local.fake_codegen.answers import answer, candidates

TEXTS = ["Use a queue.\nKeep it small.", "Use a queue.\nMeasure it, and write the numbers down."]

PROMPTS = {
    "elements with an attribute": (
        "<candidates>\n<candidate id='A'>\n{0}\n</candidate>\n<candidate id='B'>\n{1}\n</candidate>\n</candidates>"
    ),
    "elements with an ending": "<response_A>{0}</response_A>\n\n<response_B>{1}</response_B>",
    "headings": "### Candidate A\n{0}\n\n### Candidate B\n{1}",
    "headings over code fences": "## Answer A:\n```markdown\n{0}\n```\n## Answer B:\n````\n{1}\n````",
    "rules": (
        "--- BEGIN CANDIDATE A ---\n{0}\n--- END CANDIDATE A ---\n"
        "--- BEGIN CANDIDATE B ---\n{1}\n--- END CANDIDATE B ---"
    ),
    "marks": "BEGIN 0f1e2d3c candidate A\n{0}\nEND 0f1e2d3c\n\nBEGIN 0f1e2d3c candidate B\n{1}\nEND 0f1e2d3c\n",
}


@pytest.fixture(params=PROMPTS.values(), ids=PROMPTS)
def formatted(request):
    return request.param.format(*TEXTS)


def test_candidates_are_found_with_their_labels_in_every_format(formatted):
    found = candidates(f"Join these answers.\n\n{formatted}")

    assert [(candidate.label, candidate.text) for candidate in found] == [("A", TEXTS[0]), ("B", TEXTS[1])]


def test_a_synthesis_lists_shared_points_once_and_then_each_candidates_own(formatted):
    text = answer(f"Join these answers.\n\n{formatted}", run_id=1, model="m")

    assert text.startswith(
        "## Synthesised answer\n\nThe points of 2 answers, those that several share first.\n\n### Points in several"
    )
    assert [text.count(point) for point in ("Use a queue.", "Keep it small.", "Measure it")] == [1, 1, 1]
    own = text.index("### Points in one answer")
    assert text.index("Use a queue.") < own < text.index("Keep it small.")
    assert "andidate" not in text


@pytest.mark.parametrize(
    "question",
    [
        "Which is best? Answer only with the letter of the best candidate.",
        "Reply with the letter of that candidate alone.",
        "Give just the label, nothing else.",
    ],
)
def test_a_choice_is_answered_with_the_label_of_the_candidate_with_most_words(formatted, question):
    assert answer(f"{question}\n\n{formatted}", run_id=1, model="m") == "B"


@pytest.mark.parametrize("layout", PROMPTS.values(), ids=PROMPTS)
def test_text_inside_a_candidate_does_not_make_a_prompt_a_choice(layout):
    prompt = f"Join these.\n{layout.format('Return just the id.', 'No.')}"

    assert answer(prompt, run_id=1, model="m").startswith("## Synthesised answer")


def test_the_points_of_a_candidate_are_its_lines_without_headings_fences_and_signature():
    text = "# Heading\n\n1. First.\n- Second.\n```\n~~~\n_Run 7, m, 90 % confident._"

    merged = answer(f"Join these.\n<answer_A>{text}</answer_A><answer_B>Third.</answer_B>", run_id=1, model="m")

    assert merged.partition("in one answer\n\n")[2] == "- First.\n- Second.\n- Third."


def test_text_inside_a_quoted_task_does_not_make_a_prompt_a_choice():
    prompt = (
        "Join these.\nBEGIN 0f1e2d3c task\nPrint only the number of carts.\nEND 0f1e2d3c\n"
        "BEGIN 0f1e2d3c candidate A\nReturn just the id.\nEND 0f1e2d3c\nBEGIN 0f1e2d3c candidate B\nNo.\nEND 0f1e2d3c"
    )

    assert answer(prompt, run_id=1, model="m").startswith("## Synthesised answer")


@pytest.mark.parametrize(
    "prompt", ["Is candidate A any good?", "Candidate A: yes", "<candidate id='A'>alone</candidate>"]
)
def test_a_prompt_with_only_one_candidate_is_a_task(prompt):
    assert candidates(prompt) == []
    assert answer(prompt, run_id=1, model="m").startswith("## ")


def test_the_candidates_of_a_multi_run_get_different_answers():
    answers = {answer("Explain the cart", run_id=run_id, model="m").partition("_Run")[0] for run_id in range(7, 12)}

    assert len(answers) == 5


def test_an_answer_names_its_run_and_model():
    assert "_Run 7, claude-opus," in answer("Explain the cart", run_id=7, model="claude-opus")


def test_an_answer_names_its_topic_and_does_not_repeat_the_prompt():
    text = answer("# Explain the cart\n\nAt length.", run_id=1, model="m")

    assert text.startswith("## Explain the cart\n")
    assert "At length." not in text


def test_a_long_prompt_without_words_still_gets_an_answer():
    assert answer("\n\n***\n", run_id=1, model="m").startswith("## the request")
    assert len(answer("x" * 90_000, run_id=1, model="m").splitlines()[0]) < 80


def test_judges_who_read_candidates_in_different_orders_agree():
    layout = 'Rank them: {{"ranking": ["label"]}}\n' + PROMPTS["marks"]
    texts = ("Use a queue.", "Keep it small.", "Use a lock.")  # as many words each

    firsts = set()
    for first, second in permutations(texts, 2):
        ranking = json.loads(answer(layout.format(first, second), run_id=1, model="m"))["ranking"]
        firsts.add((frozenset((first, second)), (first, second)["AB".index(ranking[0])]))

    assert len(firsts) == 3
