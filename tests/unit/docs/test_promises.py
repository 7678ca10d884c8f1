"""docs/security.md and docs/operations.md: each promise names a test that exists."""

import re

import pytest

from tests.support.sources import ROOT

TEXT = "\n".join((ROOT / "docs" / name).read_text("utf-8") for name in ("security.md", "operations.md"))
PROMISES = [line for line in TEXT.splitlines() if line.startswith("|") and "](../tests/" in line]
_NAMED = re.compile(r"\(\.\./(?P<file>tests/[^)]+)\)|`::(?P<test>\w+)`")


def named_in(promise: str) -> list[tuple[str, str]]:
    """Return the tests that a line names: each with its file, which stands before it."""
    found, file = [], ""
    for match in _NAMED.finditer(promise):
        file = match["file"] or file
        found.append((file, match["test"] or ""))
    return found


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[2:60])
def test_the_named_in_a_promise_exist(promise: str) -> None:
    for file, test in named_in(promise):
        assert not test or f"def {test}(" in (ROOT / file).read_text("utf-8"), (file, test)


def test_each_line_of_a_table_of_promises_names_a_test() -> None:
    tables = re.findall(r"^\| promise \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)

    assert tables
    assert [line for table in tables for line in table.splitlines() if line not in PROMISES] == []
