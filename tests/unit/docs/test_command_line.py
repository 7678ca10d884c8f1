"""docs/command-line.md is what the commands say of themselves."""

import click
import pytest

from codegen_cli.root import commands
from local.command_page import PAGE, main, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: make openapi"


def test_a_change_of_a_help_text_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = commands.commands["run"]
    assert isinstance(run, click.Group)
    monkeypatch.setattr(run.commands["view"], "help", "Something else.")
    monkeypatch.setattr("sys.argv", ["command_page", "--check"])

    assert main() == 1
    assert "make openapi" in capsys.readouterr().err
