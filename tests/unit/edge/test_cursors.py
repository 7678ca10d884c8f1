"""The cursors of lists."""

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codegen_runs.cursors import InvalidCursor, Listing
from tests.support.events import CALLER

positions = st.text(st.characters(codec="utf-8"), min_size=1)
parts = st.tuples(st.sampled_from(["members", "agents"]), st.integers(1, 999), st.none() | st.text(max_size=5))
callers = st.integers(1, 99).map(lambda number: replace(CALLER, id=f"user:{number}"))
listings = st.builds(lambda caller, each: Listing.of(caller, *each), callers, parts)

MEMBERS = Listing.of(CALLER, "members", 123)


@pytest.fixture(autouse=True, scope="module")
def key() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURSOR_KEY", "a key of this test")
        yield


@given(positions, listings)
def test_a_cursor_gives_its_position_back(position: str, listing: Listing) -> None:
    assert listing.position(listing.cursor(position), str) == position


@given(positions, listings)
def test_a_cursor_needs_no_encoding_in_a_query(position: str, listing: Listing) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", listing.cursor(position))


def test_cursors_use_the_alphabet_for_urls() -> None:
    # 128 positions: among them are some whose base64 has the letters that differ between the alphabets.
    made = [MEMBERS.cursor(f"{number}?>") for number in range(128)]

    assert {"-", "_"} <= set("".join(made))
    assert [MEMBERS.position(cursor, str) for cursor in made] == [f"{number}?>" for number in range(128)]


@given(positions, listings, listings)
def test_a_cursor_of_another_list_or_caller_is_refused(position: str, listing: Listing, other: Listing) -> None:
    assume(listing != other)
    with pytest.raises(InvalidCursor) as refused:
        other.position(listing.cursor(position), str)
    assert refused.value.detail == "The cursor was made for another list or another caller, or has expired."


def test_a_cursor_is_valid_for_each_token_of_its_caller() -> None:
    cursor = MEMBERS.cursor("2")

    assert Listing.of(replace(CALLER, token="", token_id="tok-1"), "members", 123).position(cursor, str) == "2"


@pytest.mark.parametrize("place", range(16 + len("four")))
def test_every_byte_of_a_cursor_is_authenticated(place: int) -> None:
    content = bytearray(base64.urlsafe_b64decode(MEMBERS.cursor("four") + "=="))
    content[place] ^= 1
    with pytest.raises(InvalidCursor):
        MEMBERS.position(base64.urlsafe_b64encode(content).decode(), str)


@pytest.mark.parametrize("digest", [b"", hashlib.sha256(repr(("members", 123)).encode()).digest()[:8], bytes(16)])
def test_a_cursor_without_the_key_cannot_be_made(digest: bytes) -> None:
    """Cursors once had a hash of their list in the place of the MAC, which anyone could compute."""
    with pytest.raises(InvalidCursor):
        MEMBERS.position(base64.urlsafe_b64encode(digest + b"12").decode(), str)


def test_a_cursor_ends_with_the_key_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = MEMBERS.cursor("12")
    monkeypatch.setenv("CURSOR_KEY", "the next key")

    with pytest.raises(InvalidCursor):
        MEMBERS.position(cursor, str)
    assert MEMBERS.position(MEMBERS.cursor("12"), int) == 12


def test_a_position_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        MEMBERS.position(MEMBERS.cursor("a form of an earlier version"), int)


@pytest.mark.parametrize(
    "nonsense", ["", "x", "nonsense", "na\u00efve", "====", "a b c d", "%%%%", "*" * 40, "A" * 10_000, "\x00", "\ud800"]
)
def test_nonsense_is_refused(nonsense: str) -> None:
    with pytest.raises(InvalidCursor):
        MEMBERS.position(nonsense, str)


def test_a_cursor_with_other_characters_is_refused() -> None:
    cursor = MEMBERS.cursor("12")
    for changed in (f"{cursor[:4]}****{cursor[4:]}", cursor[:-1] + "*"):
        with pytest.raises(InvalidCursor):
            MEMBERS.position(changed, str)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor) as refused:
        MEMBERS.position(text, str)
    assert (refused.value.status, refused.value.code) == (400, "invalid_cursor")


def test_a_page_says_whether_there_are_more() -> None:
    page = MEMBERS.page([1, 2], "2")

    assert (page.items, page.has_more) == ([1, 2], True)
    assert page.next_cursor
    assert MEMBERS.position(page.next_cursor, str) == "2"


def test_the_last_page_has_no_cursor() -> None:
    page = MEMBERS.page([3], None)

    assert (page.items, page.has_more, page.next_cursor) == ([3], False, None)
