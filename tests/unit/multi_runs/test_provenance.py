"""Where the words of an answer come from."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs.provenance import MOST_BLOCKS, MOST_LEFT_OUT, OVERLAPS, blocks, measured

RACE = "Two workers read the clock before either of them has written the entry."
FIX = "Take the clock as a parameter and write the entry under a condition."
TEST = "A test that moves the clock shows the race within a second."


def test_each_block_names_the_candidates_that_it_overlaps_with() -> None:
    answer = f"# Cause\n\n{RACE}\n\n- {FIX}\n- Nobody wrote these particular words in any answer.\n"
    found = measured(answer, {2: f"{FIX}\n\n{TEST}", 0: f"{RACE} {TEST}", 5: f"{RACE}\n{FIX}"})

    assert [(block.kind, [source.candidate for source in block.sources], block.novel) for block in found.blocks] == [
        ("heading", [], True),
        ("paragraph", [0, 5], False),
        ("list_item", [2, 5], False),
        ("list_item", [], True),
    ]
    assert found.novel == 2
    assert {source.score for block in found.blocks for source in block.sources} == {1.0}


def test_each_candidate_shows_what_was_left_out() -> None:
    found = measured(RACE, {0: f"{RACE}\n\n{TEST}", 1: FIX})

    assert [(each.candidate, each.blocks, each.taken, each.texts) for each in found.left_out] == [
        (0, 2, 1, [TEST]),
        (1, 1, 0, [FIX]),
    ]


def test_sources_come_with_the_highest_score_first() -> None:
    half = " ".join(FIX.split()[:7])
    found = measured(FIX, {0: half, 1: FIX})

    assert [(source.candidate, source.score) for source in found.blocks[0].sources] == [(1, 1.0), (0, 0.455)]


def test_a_block_of_code_is_one_block() -> None:
    text = "Run:\n```python\nfirst = 1\n\n- not a list\n# no heading\n```\nThen stop.\n~~~~\nopen until the end\n"

    assert [(block.kind, block.text.split("\n")[0]) for block in blocks(text)] == [
        ("paragraph", "Run:"),
        ("code", "```python"),
        ("paragraph", "Then stop."),
        ("code", "~~~~"),
    ]


def test_only_a_fence_like_the_first_one_and_as_long_ends_a_block_of_code() -> None:
    text = "````\nfirst\n```\n~~~~\n```` no end\nlast\n`````\nThen stop.\n"

    assert [block.text for block in blocks(text)] == [text.removesuffix("\nThen stop.\n"), "Then stop."]


def test_list_items_and_paragraphs_are_blocks_of_their_own() -> None:
    text = "Intro\ncontinues.\n1. One\n   goes on\n2) Two\n* Three\n\n---\n\nEnd."

    assert [block.text for block in blocks(text)] == [
        "Intro\ncontinues.",
        "1. One\n   goes on",
        "2) Two",
        "* Three",
        "End.",
    ]


def test_a_candidate_with_a_quarter_of_the_shingles_of_a_block_is_a_source() -> None:
    found = measured("one two three four five six", {0: "one two three and more", 1: "one two and more"})

    assert [(source.candidate, source.score) for source in found.blocks[0].sources] == [(0, OVERLAPS)]
    assert measured("one two three and more", {0: "one two three four five six"}).left_out[0].taken == 1


def test_short_blocks_are_compared_as_a_whole() -> None:
    found = measured("## Root cause\n\nYes", {0: "the root cause is here", 1: "Yes."})

    assert [[source.candidate for source in block.sources] for block in found.blocks] == [[0], [1]]


def test_the_result_is_bounded() -> None:
    answer = "\n\n".join(f"paragraph number {number} of many" for number in range(MOST_BLOCKS + 10))
    found = measured(answer, {0: "\n\n".join(f"x{number} y z w" for number in range(MOST_LEFT_OUT + 10))})

    assert (len(found.blocks), found.truncated) == (MOST_BLOCKS, True)
    assert (len(found.left_out[0].texts), found.left_out[0].blocks) == (MOST_LEFT_OUT, MOST_LEFT_OUT + 10)
    assert all(len(block.text) <= 200 for block in measured("word " * 900, {}).blocks)


@given(st.text(max_size=200), st.dictionaries(st.integers(0, 5), st.text(max_size=200), max_size=3))
def test_any_texts_are_measured_and_always_in_the_same_way(answer: str, candidates: dict[int, str]) -> None:
    found = measured(answer, candidates)

    assert found == measured(answer, dict(reversed(candidates.items())))
    assert found.novel == sum(block.novel for block in found.blocks)
    found.model_dump_json()


@given(st.text(min_size=1, max_size=200))
def test_an_answer_that_is_a_candidates_has_nothing_novel(text: str) -> None:
    found = measured(text, {0: text})

    assert all(block.sources[0].score == 1.0 for block in found.blocks)
    assert found.left_out[0].texts == []


def _lines_run(paragraphs: int) -> int:
    text = "\n\n".join(f"{RACE} {number}" for number in range(paragraphs))
    count = 0

    def trace(frame: Any, kind: str, _: Any) -> Any:
        nonlocal count
        count += kind == "line"
        return trace if "multi_runs" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        measured(text, {0: text, 1: text})
    finally:
        sys.settrace(before)
    return count


def test_the_work_grows_with_the_text_and_not_faster() -> None:
    assert _lines_run(200) < 4.5 * _lines_run(50)
