"""Each operation has a command, or a reason why it has none. tests/e2e/test_commands.py runs the commands."""

import json
from typing import Any

import click
import pytest

from codegen_cli.root import commands
from tests.support.commands import COMMANDS, FIELDS, WITHOUT
from tests.support.sources import ROOT

DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
OPERATIONS = {
    operation["operationId"]: operation
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
    if isinstance(operation, dict) and "operationId" in operation
}


def fields(schema: Any) -> set[str]:
    """Return the names of the fields of a body; if it can be one of several models, those of all."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(schema.get("properties", ())).union(*map(fields, schema.get("anyOf", ())))


BODIES = {
    operation_id: fields(operation["requestBody"]["content"]["application/json"]["schema"])
    for operation_id, operation in OPERATIONS.items()
    if "application/json" in operation.get("requestBody", {}).get("content", ())
}
"""The fields of the JSON body of each operation that has one."""


def test_each_operation_has_a_command_or_a_reason() -> None:
    assert not COMMANDS.keys() & WITHOUT.keys()
    assert COMMANDS.keys() | WITHOUT.keys() == OPERATIONS.keys(), "tests/support/commands.py lists every operation"


def test_each_command_exists() -> None:
    for line in COMMANDS.values():
        assert not isinstance(found(line), click.Group), line


@pytest.mark.parametrize("operation_id", sorted(COMMANDS.keys() & BODIES.keys()))
def test_each_field_of_a_body_can_be_set_by_its_command(operation_id: str) -> None:
    line = COMMANDS[operation_id]
    parameters = {parameter.name for parameter in found(line).params}
    other = FIELDS.get(line, {})

    assert BODIES[operation_id] - parameters == other.keys(), "tests/support/commands.py lists the others"
    assert {name for name in other.values() if name.isidentifier()} <= parameters


def found(line: str) -> click.Command:
    command: click.Command = commands
    for name in line.split():
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command
