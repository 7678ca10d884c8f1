"""Search for words as people see them."""

from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_runs.searching import folded, words
from tests.support.profiles import examples

FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("r\u00e9sum\u00e9", "re\u0301sume\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("STRA\u1e9eE", "stra\u00dfe"),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"),  # The final sigma.
        ("\u0130stanbul", "istanbul"),
        ("ISPARTA", "\u0131sparta"),
        ("DI\u015e", "d\u0131\u015f"),
        ("\ufb01le", "file"),
        ("\uff26\uff29\uff38", "fix"),
        ("\uac00", "\u1100\u1161"),  # A syllable of Hangul.
        ("\u30ac", "\uff76\uff9e"),  # Katakana, in half width.
        ("micro\u00adscope", "microscope"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
        ("\u2764\ufe0f", "\u2764"),
        ("\u1fb3", "\u03b1\u03b9"),
    ],
)
def test_texts_that_look_the_same_are_the_same(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"), [("r\u00e9sum\u00e9", "resume"), ("o", "\u00f6"), ("-", "\u2014"), ("\u0438", "\u0439")]
)
def test_texts_that_look_different_are_different(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text(max_size=12), st.sampled_from(FORMS))
@settings(max_examples=examples(500), deadline=None)
def test_the_normal_form_of_a_text_makes_no_difference(text: str, form: str) -> None:
    assert folded(normalize(form, text)) == folded(text)


@given(st.text(max_size=12))
@settings(max_examples=examples(500), deadline=None)
def test_the_case_of_a_text_makes_no_difference(text: str) -> None:
    assert folded(text.lower()) == folded(text) == folded(text.upper())


@given(st.text(max_size=12))
@settings(max_examples=examples(500), deadline=None)
def test_a_folded_text_stays_the_same(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_words_are_separated_by_any_space() -> None:
    assert words(" Fix\u00a0the\u3000LOGIN\n") == ("fix", "the", "login")


def test_a_lone_surrogate_is_compared_as_it_is() -> None:
    assert folded("A\ud800") == "a\ud800"
