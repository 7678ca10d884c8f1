"""Which text looks like a secret, at the edges of each form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.redaction import MASK, redact

# The shortest secret of each form: with one character less it is text.
SHORTEST = [
    "sk-" + "a" * 16,
    "sk-ant-_" + "a1B2-a1B2-a",
    "cgr_" + "0aZ" * 6 + "01",
    "ghp_" + "a" * 20,
    "gho_" + "a" * 20,
    "ghu_" + "a" * 20,
    "ghs_" + "a" * 20,
    "ghr_" + "a" * 20,
    "github_pat_" + "a_" * 10,
    "xoxa-" + "0123456789",
    "xoxb-" + "0-23456789",
    "xoxp-" + "0123456789",
    "xoxr-" + "0123456789",
    "xoxs-" + "0123456789",
    "AKIA" + "ABCD0123" * 2,
    "ASIA" + "ABCD0123" * 2,
    "eyJ" + "a-_1567890" + "." + "b-_1567890" + "." + "c-_1567890",
]


@pytest.mark.parametrize("secret", SHORTEST)
@pytest.mark.parametrize("around", ["{}", "TOKEN={}", "'{}'", "https://x:{}@github.com/", "[{}]", "a\n{}\nb"])
def test_a_secret_is_masked_and_the_text_around_it_is_kept(secret: str, around: str) -> None:
    assert redact(around.format(secret)) == around.format(MASK)


@pytest.mark.parametrize("secret", SHORTEST)
def test_a_shorter_text_and_one_inside_a_word_are_kept(secret: str) -> None:
    assert redact(secret[:-1]) == secret[:-1]
    assert redact("a" + secret) == "a" + secret


@pytest.mark.parametrize("part", [1, 2])
def test_a_json_web_token_has_three_long_parts(part: int) -> None:
    parts = ["eyJ" + "a" * 10, "b" * 10, "c" * 10]
    parts[part] = parts[part][1:]

    assert redact(".".join(parts)) == ".".join(parts)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "Bearer\t"])
def test_a_bearer_token_is_masked_by_its_scheme(scheme: str) -> None:
    assert redact(f"{scheme}{'a.b~c/d+e=f-_' * 2}, then") == f"{scheme}{MASK}, then"
    assert redact(f"{scheme}{'a' * 15}") == f"{scheme}{'a' * 15}"
    assert redact(f"{scheme}{'a' * 16}") == f"{scheme}{MASK}"


def test_every_secret_of_a_text_is_masked() -> None:
    assert redact(" and ".join(SHORTEST)) == " and ".join([MASK] * len(SHORTEST))


def test_secrets_are_found_in_lists_values_and_names() -> None:
    secret = SHORTEST[0]

    assert redact({"env": [{"TOKEN": secret, secret: ["x", [secret]]}]}) == {
        "env": [{"TOKEN": MASK, MASK: ["x", [MASK]]}]
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(json_values)
def test_json_without_secrets_stays_as_it_is(value: object) -> None:
    assert redact(value) == value
