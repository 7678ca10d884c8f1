"""The cursors of lists."""

import base64
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codegen_runs import cursors
from codegen_runs.cursors import InvalidCursor

positions = st.text(st.characters(codec="utf-8"), min_size=1)
scopes = st.tuples(st.sampled_from(["members", "agents"]), st.integers(1, 999), st.none() | st.text(max_size=5))


@given(positions, scopes)
def test_a_cursor_gives_its_position_back(position: str, scope: tuple[object, ...]) -> None:
    assert cursors.decode(cursors.encode(position, *scope), *scope) == position


@given(positions, scopes)
def test_a_cursor_needs_no_encoding_in_a_query(position: str, scope: tuple[object, ...]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursors.encode(position, *scope))


def test_cursors_use_the_alphabet_for_urls() -> None:
    # 128 positions: among them are some whose base64 has the letters that differ between the alphabets.
    made = [cursors.encode(f"{number}?>", "members", number) for number in range(128)]

    assert {"-", "_"} <= set("".join(made))
    assert [cursors.decode(cursor, "members", number) for number, cursor in enumerate(made)] == [
        f"{number}?>" for number in range(128)
    ]


@given(positions, scopes, scopes)
def test_a_cursor_of_another_list_is_refused(
    position: str, scope: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assume(scope != other)
    with pytest.raises(InvalidCursor) as refused:
        cursors.decode(cursors.encode(position, *scope), *other)
    assert refused.value.detail == "The cursor was made for another list."


@pytest.mark.parametrize("place", range(8))
def test_every_byte_of_the_hash_of_the_scope_is_compared(place: int) -> None:
    content = bytearray(base64.urlsafe_b64decode(cursors.encode("four", "members", 123)))
    content[place] ^= 1
    forged = base64.urlsafe_b64encode(content).decode()
    with pytest.raises(InvalidCursor):
        cursors.decode(forged, "members", 123)


@pytest.mark.parametrize(
    "nonsense",
    ["", "x", "nonsense", "na\u00efve", "====", "a b c d", "%%%%", cursors.encode("12", "members")[:-1] + "*"],
)
def test_nonsense_is_refused(nonsense: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode(nonsense, "members")


def test_a_cursor_with_other_characters_is_refused() -> None:
    cursor = cursors.encode("12", "members")
    with pytest.raises(InvalidCursor):
        cursors.decode(f"{cursor[:4]}****{cursor[4:]}", "members")


def test_a_position_that_is_not_text_is_refused() -> None:
    scope = base64.urlsafe_b64decode(cursors.encode("", "members") + "=")
    with pytest.raises(InvalidCursor):
        cursors.decode(base64.urlsafe_b64encode(scope + b"\xff").decode(), "members")


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor) as refused:
        cursors.decode(text, "members")
    assert (refused.value.status, refused.value.code) == (400, "invalid_cursor")


def test_a_page_says_whether_there_are_more() -> None:
    page = cursors.page([1, 2], "2", "members", 123)

    assert (page.items, page.has_more) == ([1, 2], True)
    assert page.next_cursor
    assert cursors.decode(page.next_cursor, "members", 123) == "2"


def test_the_last_page_has_no_cursor() -> None:
    page = cursors.page([3], None, "members", 123)

    assert (page.items, page.has_more, page.next_cursor) == ([3], False, None)
