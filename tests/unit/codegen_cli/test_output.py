"""What commands print: JSON for programs, tables and details for people."""

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_cli.output import as_json, details, show_list, table
from codegen_cli.terminal import visible
from tests.unit.codegen_cli.conftest import Run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 2]))
def test_json_loses_nothing_and_no_terminal_obeys_it(value: Any, indent: int | None) -> None:
    text = as_json(value, indent)

    assert json.loads(text) == value
    assert visible(text) == text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_loses_nothing_in_a_narrow_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="replace"))
    show_list([{"result": "done 🚀 é"}], (), (), "None.")
    sys.stdout.flush()

    assert json.loads(written.getvalue().decode(encoding)) == {"result": "done 🚀 é"}


def test_fields_are_selected_in_the_order_that_is_named(run: Run) -> None:
    done = run("run", "list", "--limit", "1", "--json", "status,id")

    assert list(json.loads(done.stdout)) == ["status", "id"]


def test_an_unknown_field_is_a_usage_error_that_names_the_fields(run: Run) -> None:
    done = run("run", "view", "100001", "--json", "id,stauts")

    assert done.exit_code == 2
    assert "Unknown field 'stauts'. There are: " in done.stderr
    assert "upstream_status" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        ["run", "view", "100001", "--json"],
        ["run", "view", "--json", "100001"],
        ["run", "view", "--json=", "100001"],
    ],
)
def test_an_id_after_json_is_no_field(run: Run, line: list[str]) -> None:
    assert json.loads(run(*line).stdout)["id"] == 100001


def test_what_follows_two_dashes_is_no_option(run: Run) -> None:
    done = run("run", "view", "--", "--json")

    assert done.exit_code == 2
    assert "'--json' is not an id" in done.stderr


def test_a_list_without_items_says_so_on_standard_error(run: Run) -> None:
    table_ = run("run", "list", "--source", "JIRA")
    lines = run("run", "list", "--source", "JIRA", "--json")

    assert (table_.stdout, lines.stdout) == ("", "")
    assert table_.stderr == "There are no such runs.\n"


@given(st.lists(st.tuples(st.text(), st.integers() | st.none() | st.booleans()), min_size=1, max_size=3))
def test_each_row_in_a_pipe_is_one_line(rows: list[tuple[Any, ...]]) -> None:
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", written)
        table(("NAME", "NUMBER"), rows)

    lines = written.getvalue().split("\n")
    assert lines.pop() == ""
    assert [line.count("\t") for line in lines] == [1] * (len(rows) + 1)


def test_details_leave_out_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    details([("Run", 7), ("Reason", None), ("Tags", []), ("Starred", False), ("Note", "a\x1b[2J\nb")])

    assert capsys.readouterr().out == "Run:     7\nStarred: no\nNote:    a\\x1b[2J b\n"
