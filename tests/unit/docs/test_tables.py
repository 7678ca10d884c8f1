"""The tables of docs/api.md lead somewhere, and leave no example of the client out."""

import re
from pathlib import Path

import codegen_api
from tests.support.sources import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text("utf-8")
CLIENT = TEXT.partition("## Python client (003)")[2].partition("\n## ")[0]


def test_every_link_leads_to_a_file_or_a_folder() -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", TEXT) if "://" not in link]

    assert links
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()


def test_every_row_has_all_of_its_columns() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    cells = {row: re.split(r"(?<!\\)\|", row)[1:-1] for row in rows}

    assert {row for row, found in cells.items() if len(found) != 4 or not all(cell.strip() for cell in found)} == set()


def test_every_example_of_the_client_has_a_row() -> None:
    examples = Path(ROOT, "tests", "e2e", "client_examples.md").read_text("utf-8")

    for title in re.findall(r"(?m)^## ([^\n]+)", examples):
        assert f'| example "{title}" |' in CLIENT


def test_every_value_of_the_clients_enumerations_has_its_place() -> None:
    for value in (*codegen_api.TaskStatus, *codegen_api.AgentType):
        assert f"`{value.name}`" in CLIENT
