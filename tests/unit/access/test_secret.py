"""The format of an API token."""

import re

from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.access import secret
from codegen_runs.redaction import redact
from codegen_runs.secret_forms import MASK


def test_a_token_has_a_prefix_and_is_unique() -> None:
    tokens = {secret.mint() for _ in range(100)}

    assert len(tokens) == 100
    assert all(re.fullmatch(r"cgr_[0-9A-Za-z]{46}", token) for token in tokens)
    assert all(secret.claims_to_be_one(token) and secret.is_well_formed(token) for token in tokens)


@given(place=st.integers(4, 49), letter=st.sampled_from("0123456789ABCxyz"))
def test_a_mistyped_token_fails_the_checksum(place: int, letter: str) -> None:
    token = secret.mint()
    mistyped = token[:place] + letter + token[place + 1 :]

    assert secret.is_well_formed(mistyped) == (mistyped == token)


def test_the_stored_hash_is_sha_256() -> None:
    assert secret.digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_token_that_an_agent_prints_is_masked() -> None:
    assert redact(f"export TOKEN={secret.mint()}") == f"export TOKEN={MASK}"
