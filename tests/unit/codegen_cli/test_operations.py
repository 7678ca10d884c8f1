"""Each operation has a command, or a reason why it has none. tests/e2e/test_commands.py runs the commands."""

import json

import click

from codegen_cli.root import commands
from tests.support.commands import COMMANDS, WITHOUT
from tests.support.sources import ROOT

DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
OPERATIONS = {
    operation["operationId"]
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
    if isinstance(operation, dict) and "operationId" in operation
}


def test_each_operation_has_a_command_or_a_reason() -> None:
    assert not COMMANDS.keys() & WITHOUT.keys()
    assert COMMANDS.keys() | WITHOUT.keys() == OPERATIONS, "tests/support/commands.py lists every operation"


def test_each_command_exists() -> None:
    for line in COMMANDS.values():
        command: click.Command = commands
        for name in line.split():
            assert isinstance(command, click.Group)
            command = command.commands[name]
        assert not isinstance(command, click.Group), line
