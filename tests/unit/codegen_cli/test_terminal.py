"""What reaches the terminal, and what comes from it."""

import io
import re
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color_triplet import ColorTriplet
from rich.style import Style

from codegen_cli import display
from codegen_cli.cards import COLUMNS
from codegen_cli.output import details, show_list, table
from codegen_cli.terminal import lose_nothing, visible
from local.fake_codegen import FakeCodegen, Script
from tests.unit.codegen_cli.conftest import Run

HOSTILE = {
    "clear screen": "\x1b[2J",
    "title": "\x1b]0;owned\a",
    "hyperlink": "\x1b]8;;http://evil.example\aALL TESTS PASSED\x1b]8;;\a",
    "device control": "\x1bPq#0\x1b\\",
    "C1": "\x9b2J",
    "carriage return": "100% failed\rpassed     ",
    "backspace": "fail\b\b\b\bpass",
    "bell": "\a",
    "delete": "\x7f",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "mark": "\u200f",
    "no width": "pass\u200bword",
    "byte order mark": "\ufeff",
    "line separator": "a\u2028b",
    "tag": "\U000e0041",
    "half a surrogate": "\ud800",
}


# --- text that others wrote -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_characters_that_a_terminal_obeys_are_written_out(text: str) -> None:
    shown = visible(text)

    assert "\\" in shown
    assert all(character.isprintable() for character in shown)


@pytest.mark.parametrize(
    "text",
    [
        "main.py:100: [red]error[/]",
        "a\tb\nc",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d💻 🇩🇪 é",
        "中文",
        "a\\x1b",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert visible(text) == text


def test_line_ends_of_windows_are_line_ends() -> None:
    assert visible("a\r\nb") == "a\nb"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    kinds = {character: unicodedata.category(character) for character in visible(text)}

    assert not [character for character, kind in kinds.items() if kind in ("Cc", "Cs") and character not in "\t\n"]


def test_a_terminal_gets_progress_and_answer_as_text(run: Run, world: FakeCodegen, on_a_terminal: None) -> None:
    world.script(Script(result="x \x1b]0;owned\a [red]no markup[/] :100: [safe](http://evil.example)", seconds=1))
    done = run("run", "Do it.")

    assert done.exit_code == 0, done.output
    assert "\x1b]" not in done.output
    assert "\\x1b]0;owned\\x07" in done.stdout
    assert "[red]no markup[/] :100:" in done.stdout
    assert "http://evil.example" in done.stdout


def test_a_table_on_a_terminal_has_no_markup_and_no_emoji(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    show_list([{"id": 7, "status": "failed", "prompt": "\x1b[2J[bold]x[/] main.py:100:"}], None, COLUMNS, "None.")

    assert "\\x1b[2J[bold]x[/] main.py:100:" in capsys.readouterr().out


def test_a_reason_and_an_error_are_text(run: Run, world: FakeCodegen) -> None:
    refused = run("--base-url", "http://codegen.test", "watch", "1")

    assert refused.exit_code == 1
    assert "\x1b" not in refused.output


# --- output that a program reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FORCE_COLOR", "1"), ("FORCE_COLOR", "0"), ("TTY_COMPATIBLE", "1"), ("NO_COLOR", "1"), ("TERM", "dumb")],
)
def test_an_answer_in_a_file_is_the_markdown(
    run: Run, world: FakeCodegen, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    world.script(Script(result="# Title **bold**", seconds=1))
    done = run("run", "Do it.")

    assert done.stdout == "# Title **bold**\n"
    assert "\x1b" not in done.stderr


def test_a_dumb_terminal_gets_plain_text(
    run: Run, world: FakeCodegen, on_a_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    world.script(Script(result="# Title **bold** \x1b[2J", seconds=1))
    done = run("run", "Do it.")
    rows = run("list", "--limit", "2")

    assert done.stdout == "# Title **bold** \\x1b[2J\n"
    assert "\x1b" not in done.output + rows.output
    assert "\t" not in rows.stdout, "people read it, so its columns are aligned"


def test_columns_keep_their_width_and_the_last_one_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    card = {"id": 100001, "status": "completed", "created_at": "2026-11-27T04:17:16Z", "prompt": "word " * 40}
    show_list([card], None, COLUMNS, "None.")
    line = capsys.readouterr().out.splitlines()[1]

    assert "100001  " in line
    assert "2026-11-27 04:17:16" in line
    assert line.rstrip().endswith("…\x1b[0m") or line.rstrip().endswith("…")


ADDRESS = "https://github.com/example-works/a-long-name/pull/12345"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(40, ["CANDIDATE  PULL REQUESTS", "1", ADDRESS]), (80, ["CANDIDATE  PULL REQUESTS", f"1          {ADDRESS}"])],
)
def test_an_address_in_a_table_stays_in_one_piece(
    columns: int, expected: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    table(("CANDIDATE", "PULL REQUESTS"), [(1, ADDRESS)])

    assert [line.rstrip() for line in without_styles(capsys.readouterr().out).splitlines()] == expected


@pytest.mark.parametrize(
    ("is_terminal", "expected"), [(True, f"Page:\n{ADDRESS}\n"), (False, f"Page:      {ADDRESS}\n")]
)
def test_an_address_that_a_terminal_would_break_has_a_line_of_its_own(
    is_terminal: bool, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", str(len(ADDRESS) + 5))
    details([("Page", ADDRESS), ("Multi-run", "x" * 200)])

    assert capsys.readouterr().out.startswith(expected)


def contrast(style: str, background: int) -> float:
    """Return the contrast of a style's colour to black (0) or white (255), as WCAG defines it."""
    color = Style.parse(style).color
    assert color
    assert color.number is not None
    assert color.number >= 16, "a terminal chooses its first 16 colours itself"
    lights = sorted((luminance(color.get_truecolor()), luminance(ColorTriplet(*[background] * 3))))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(color: ColorTriplet) -> float:
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("word", display.STYLES)
def test_a_status_is_readable_on_black_and_on_white(word: str, background: int) -> None:
    assert contrast(display.STYLES[word], background) >= 4.5


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("xterm-256color", "\x1b[1;38;5;131mfailed\x1b[0m  \x1b[38;5;29mcompleted\x1b[0m"),
        ("xterm", "\x1b[1mfailed\x1b[0m  completed"),
    ],
)
def test_a_terminal_with_16_colours_shows_a_status_without_a_colour(
    term: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("COLORTERM", raising=False)
    table(("STATUS", "WAS"), [("failed", "completed")])

    assert capsys.readouterr().out.splitlines()[1] == expected


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_each_run_of_a_list_in_a_pipe_is_one_line(run: Run) -> None:
    prompt = "a prompt with a\ttab that names the ticket ABC-123 after a good many words " * 3
    run("run", "--detach", f"{prompt}\nand a second line")
    lines = run("list", "--limit", "1").stdout.splitlines()

    assert [len(line.split("\t")) for line in lines] == [5, 5]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "latin-1"])
def test_an_encoding_that_lacks_a_character_loses_no_answer(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    lose_nothing()
    display.answer("done 🚀")
    show_list([{"id": 7, "status": "complete", "prompt": "🚀 é"}], None, COLUMNS, "None.")
    sys.stdout.flush()

    assert written.getvalue().startswith(b"done ?\n")
    assert b"7\tcomplete" in written.getvalue()


# --- standard input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"hello", "hello"),
        (b"\xef\xbb\xbfhello", "hello"),
        ("hello é".encode("utf-16"), "hello é"),
        ("hello é".encode("utf-32"), "hello é"),
        ("hello é".encode(), "hello é"),
    ],
    ids=["plain", "UTF-8 with a mark", "UTF-16", "UTF-32", "UTF-8"],
)
def test_a_prompt_is_read_in_every_encoding_that_names_itself(
    run: Run, world: FakeCodegen, content: bytes, prompt: str
) -> None:
    assert run("run", "--detach", "-", input=content).exit_code == 0
    assert world.creates[-1].body["prompt"] == prompt


def test_a_prompt_is_read_in_the_encoding_of_the_terminal(
    run: Run, world: FakeCodegen, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("run", "--detach", "-", charset="cp1252", input=b"caf\xe9").exit_code == 0
    assert world.creates[-1].body["prompt"] == "café"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9", "Standard input is not UTF-8."),
        ("hello".encode("utf-16-le"), "Standard input has zero bytes."),
        (b"", "The prompt is empty"),
        (b"\xef\xbb\xbf \n", "The prompt is empty"),
    ],
)
def test_standard_input_without_a_prompt_starts_no_run(
    run: Run, world: FakeCodegen, content: bytes, reason: str
) -> None:
    done = run("run", "--detach", "-", input=content)

    assert done.exit_code == 2
    assert reason in done.stderr
    assert not world.creates


@pytest.mark.parametrize("closed", [None, io.StringIO()], ids=["absent", "closed"])
def test_a_closed_standard_input_is_a_usage_error(closed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click import UsageError

    from codegen_cli.terminal import standard_input

    if closed:
        closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    with pytest.raises(UsageError, match="Standard input is closed"):
        standard_input()


@pytest.mark.parametrize("line", [["run", "--detach", " "], ["run", ""], ["run", "\u200b\n"]])
def test_a_blank_prompt_starts_no_run(run: Run, world: FakeCodegen, line: list[str]) -> None:
    done = run(*line)

    assert done.exit_code == 2
    assert "The prompt is empty" in done.stderr
    assert not world.creates


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["cancel", "watch", "star"])
@pytest.mark.parametrize("id_", ["#5", " 5", "٣", "5_0", "+5", "5.0", "", "-"])
def test_what_is_no_id_is_a_usage_error(run: Run, command: str, id_: str) -> None:
    done = run(command, "--", id_)

    assert done.exit_code == 2
    assert "is not an id" in done.stderr


MARKDOWN = """# One
## Two
### Three
**bold** *slanted* `code` [link](http://a.example/l) ![shot](http://a.example/shot.png)
1. first
- second
> quoted

---

| head |
|---|
| cell |

```python
x = 1
```
"""


def test_a_drawn_answer_is_readable_on_every_background_and_has_all_addresses(
    run: Run, world: FakeCodegen, on_a_terminal: None
) -> None:
    world.script(Script(result=MARKDOWN, seconds=1))

    drawn = run("run", "Draw it.").stdout

    codes = {int(code) for found in re.findall(r"\x1b\[([0-9;]+)m", drawn) for code in found.split(";")}
    assert 1 in codes, "it is drawn"
    assert codes <= {0, 1, 2, 3, 4, 9, 39}, "no colour of the text or of its background"
    plain = " ".join(re.sub(r"\x1b\[[0-9;]+m", "", drawn).split())
    assert "link (http://a.example/l) shot (http://a.example/shot.png)" in plain
