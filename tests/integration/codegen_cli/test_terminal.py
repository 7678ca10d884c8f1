"""The command line in a real terminal, at the fake Codegen API."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from codegen_cli.display import cell_len
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, Script, serve
from tests.support.sources import LAYER

pytestmark = pytest.mark.full

HOSTILE = (
    "x \x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x07ALL TESTS PASSED\x1b]8;;\x07 \u202egnp.exe main.py:100:"
)


@pytest.fixture
def codegen() -> Iterator[tuple[FakeCodegen, str]]:
    fake = FakeCodegen(pace=0)
    with serve(fake) as url:
        yield fake, url


def session(url: str, *line: str, columns: int = 80, term: str = "xterm-256color") -> str:
    """Run a command in a terminal of this size, and return all that it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CODEGEN", "COLUMNS"))}
    environment |= {"CODEGEN_API_TOKEN": DEMO_TOKEN, "CODEGEN_ORG_ID": str(DEMO_ORG_ID), "CODEGEN_BASE_URL": url}
    environment |= {"PYTHONPATH": str(LAYER), "TERM": term, "LANG": "C.UTF-8", "PYTHONUTF8": "1"}
    command = subprocess.Popen(
        [sys.executable, "-m", "codegen_cli", *line], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not part:
            break
        written += part
    os.close(master)
    assert command.wait(timeout=120) == 0, written
    return written.decode()


def shown(written: str) -> list[str]:
    """Return the lines as they stay on the screen: without colours, and without what was erased."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]", "", re.sub(r"\x1b\[[0-9;]*m", "", written))
    return [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]


@pytest.mark.parametrize(("columns", "term"), [(80, "xterm-256color"), (200, "xterm-256color"), (80, "dumb")])
def test_text_of_agents_is_shown_and_not_obeyed(codegen: tuple[FakeCodegen, str], columns: int, term: str) -> None:
    fake, url = codegen
    fake.script(Script(result=HOSTILE, seconds=1))
    written = session(url, "run", HOSTILE, columns=columns, term=term)

    assert "\x1b]" not in written
    assert "\x1b[2J" not in written
    assert "\u202e" not in written
    assert "\x07" not in written
    assert "\\x1b]0;owned\\x07" in written.replace("\r\n", "")
    assert "main.py:100:" in "".join(shown(written))


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_lists_fit_the_terminal(codegen: tuple[FakeCodegen, str], columns: int) -> None:
    _, url = codegen
    lines = shown(session(url, "run", "list", columns=columns))

    assert lines[0].split() == ["ID", "STATUS", "CREATED", "FROM", "WHAT"]
    assert lines[1].startswith("100004  completed  ")
    assert max(map(cell_len, lines)) <= columns


def test_a_dumb_terminal_gets_no_control_sequences(codegen: tuple[FakeCodegen, str]) -> None:
    _, url = codegen

    assert "\x1b" not in session(url, "run", "Explain it.", term="dumb") + session(url, "run", "list", term="dumb")
