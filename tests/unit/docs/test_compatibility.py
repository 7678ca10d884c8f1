"""docs/compatibility.md names code and tests that exist, and leaves out no example of the client."""

import re
from pathlib import Path

import codegen_api
from tests.support.sources import ROOT

TEXT = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
CLIENT = TEXT.partition("## Client\n")[2].partition("\n## ")[0]


def test_a_link_to_code_shows_the_end_of_its_path() -> None:
    links = re.findall(r"\[`([^`]+)`\]\(\.\./([^)#\s]+)\)", TEXT)

    assert links
    assert {shown: path for shown, path in links if not f"/{path}".endswith(f"/{shown}")} == {}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"\(\.\./(tests/[^)]+\.py)\)`::(\w+)`", TEXT)

    assert named
    missing = {name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text("utf-8")}
    assert missing == set()


def test_every_row_has_all_of_its_columns() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    cells = {row: re.split(r"(?<!\\)\|", row)[1:-1] for row in rows}

    assert rows
    assert {row for row, found in cells.items() if len(found) != 4 or not all(cell.strip() for cell in found)} == set()


def test_every_example_of_the_client_has_a_row() -> None:
    examples = Path(ROOT, "tests", "e2e", "client_examples.md").read_text("utf-8")

    titles = re.findall(r"(?m)^## ([^\n]+)", examples)

    assert titles
    assert {title for title in titles if f'| example "{title}" |' not in CLIENT} == set()


def test_every_value_of_the_clients_enumerations_is_described() -> None:
    for value in (*codegen_api.TaskStatus, *codegen_api.AgentType):
        assert f"`{value.name}`" in CLIENT
