"""The prompts of a run, as they are stored."""

from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.prompts import MAX_KEPT, MAX_SHORTENED, MOST_KEPT, Prompt, following, kept


def prompts(*texts: str) -> tuple[Prompt, ...]:
    record: tuple[Prompt, ...] = ()
    for text in texts:
        record = following(record, Prompt(text=text, at=0))
    return record


def test_prompts_are_numbered_in_the_order_they_were_sent() -> None:
    assert [(prompt.number, prompt.text) for prompt in prompts("Do it.", "Test it.")] == [
        (1, "Do it."),
        (2, "Test it."),
    ]


def test_the_first_and_the_newest_prompt_are_shortened_last() -> None:
    first, second, third, newest = prompts("a" * 8_000, "b" * 20_000, "c" * 20_000, "d" * 20_000)

    assert (len(first.text), first.truncated) == (8_000, False)
    assert (len(newest.text), newest.truncated) == (20_000, False)
    assert (len(second.text), second.truncated) == (MAX_SHORTENED, True)
    assert MAX_SHORTENED < len(third.text) < 20_000
    assert third.truncated


def test_a_long_conversation_keeps_its_beginning_and_its_end_and_shows_the_gap() -> None:
    record = prompts(*(f"Prompt {number}." for number in range(1, 201)))

    assert [prompt.number for prompt in record] == [1, *range(200 - MOST_KEPT + 2, 201)]


@given(st.lists(st.integers(0, 2 * MAX_KEPT), max_size=MOST_KEPT + 5))
def test_prompts_stay_within_their_limit_and_none_is_shortened_without_need(lengths: list[int]) -> None:
    given_ = [Prompt(number=number, text="x" * length, at=0) for number, length in enumerate(lengths, 1)]
    record = kept(given_)

    assert sum(len(prompt.text) for prompt in record) <= MAX_KEPT
    assert all(prompt.truncated == (len(prompt.text) < lengths[prompt.number - 1]) for prompt in record)
    if sum(lengths) <= MAX_KEPT and len(lengths) <= MOST_KEPT:
        assert list(record) == given_


def test_prompts_that_fit_exactly_are_not_shortened() -> None:
    fitting = [Prompt(number=number, text="x" * length, at=0) for number, length in enumerate((10_000, 100, 19_900), 1)]
    first, second, newest = kept([*fitting[:2], Prompt(number=3, text="x" * 19_901, at=0)])

    assert list(kept(fitting)) == fitting
    assert (len(first.text), len(second.text), len(newest.text)) == (9_999, 100, 19_901)


def test_fifty_prompts_are_stored() -> None:
    record = kept([Prompt(number=number, text="x", at=0) for number in range(1, 53)])

    assert [prompt.number for prompt in record] == [1, *range(4, 53)]
    assert len(record) == 50
