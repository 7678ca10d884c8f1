"""CONTRIBUTING.md names what exists: paths, tests, names in the walk-through, and every room."""

import re

import pytest

from tests.infrastructure.test_imports import ROOMS
from tests.support import backend
from tests.support.sources import LAYER, ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATHS = sorted(
    span
    for span in set(re.findall(r"`([^`\s]+)`", TEXT))
    if re.fullmatch(r"\.?\w[\w./-]*(/|\.(py|md|yaml|json))|\.ci/run", span) and "/" in span
)
WALK = TEXT.partition("## Add an endpoint")[2].partition("\n## ")[0]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_the_map_has_every_room_from_the_top_down() -> None:
    named = re.findall(r"(?m)^\| `layers/codegen/codegen_runs/(\w+)(?:/|\.py)` \|", TEXT.partition("### Where")[0])

    assert [{room} for room in reversed(named)] == list(ROOMS[1:])


def test_the_map_has_every_module_of_the_foundation() -> None:
    assert set(re.findall(r"`(\w+)\.py`", TEXT)) == ROOMS[0]


def test_ten_questions_or_more_are_answered_by_a_path() -> None:
    table = TEXT.partition("### Where is it decided?")[2].partition("\n## ")[0]
    answers = re.findall(r"(?m)^\| .+\? \| `(.+)` \|$", table)

    assert len(answers) >= 10
    assert set(answers) <= {*PATHS, "template.yaml"}


def test_the_example_of_an_endpoint_exists() -> None:
    starred = (LAYER / "codegen_runs" / "run_cards" / "starred.py").read_text("utf-8")

    assert {"class StarRun(", "class StarredRun(", "def star("} <= set(re.findall(r"(?:class|def) \w+\(", starred))
    assert "def star(" in (LAYER / "codegen_api" / "resources" / "starred_runs.py").read_text("utf-8")
    assert "StarRun" in backend.template().functions
    for name in ("`StarRun`", "`StarredRun`", "`star`"):
        assert name in WALK


def test_the_command_for_one_test_names_one() -> None:
    (command,) = re.findall(r"pytest (\S+)::(\w+)", TEXT)

    assert f"\ndef {command[1]}(" in (ROOT / command[0]).read_text("utf-8")
