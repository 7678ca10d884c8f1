"""Results on standard output: JSON for programs, tables and details for people.

The names of fields are those of the API, and a run has those of a run card, whichever server it comes from.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any, TextIO

import click

from .terminal import is_terminal, obeyed, visible

Record = Mapping[str, Any]
Column = tuple[str, Callable[[Record], Any]]
"""The head of a column, and what a record has in it."""

Fields = tuple[str, ...] | None
"""The value of `--json`: None without it, and empty for all fields."""


def show(record: Record, fields: Fields, lines: Callable[[Record], None]) -> None:
    """Print one record: as JSON, or with a function."""
    if fields is None:
        lines(record)
    else:
        _check(fields, [record])
        click.echo(as_json(_selected(record, fields), indent=2))


def show_list(records: Iterable[Record], fields: Fields, columns: Sequence[Column], none: str) -> None:
    """Print records: as JSON in one line each, or as a table. A table without rows is the sentence `none`."""
    records = list(records)
    if fields is not None:
        _check(fields, records)
        for record in records:
            click.echo(as_json(_selected(record, fields)))
    elif records:
        table([head for head, _ in columns], [[read(record) for _, read in columns] for record in records])
    else:
        click.echo(none, err=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows: on a terminal as a table, elsewhere one line for each row with tabs between its cells."""
    cells = [[_cell(value) for value in row] for row in rows]
    if is_terminal(sys.stdout):
        from . import display

        display.table(heads, cells)
    else:
        for line in (heads, *cells):
            click.echo("\t".join(line))


def details(facts: Iterable[tuple[str, Any]]) -> None:
    """Print facts, one in each line, without those that are None or empty."""
    known = [(name, value) for name, value in facts if value not in (None, "", [])]
    width = max((len(name) for name, _ in known), default=0) + 2
    for name, value in known:
        click.echo(labelled(f"{name + ':':<{width}}", _cell(value), sys.stdout))


def labelled(label: str, value: str, stream: TextIO) -> str:
    """Return a label with its value. An address that a terminal would break gets a line of its own, to be copied."""
    if "://" in value and is_terminal(stream) and len(label) + len(value) > get_terminal_size().columns:
        return f"{label.rstrip()}\n{value}"
    return f"{label}{value}"


def as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that loses nothing on the way: characters that a terminal obeys, or that it lacks, are escaped."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not is_unicode, default=str)
    return obeyed(text, _escaped)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return re.sub(r"\s", " ", visible(str(value)))


def _selected(record: Record, fields: tuple[str, ...]) -> Record:
    return {name: record.get(name) for name in fields} if fields else record


def _check(fields: tuple[str, ...], records: Sequence[Record]) -> None:
    """Refuse a field that no record has. A list without records has every field."""
    names = {name for record in records for name in record}
    if records and (unknown := [name for name in fields if name not in names]):
        known = ", ".join(sorted(names))
        raise click.UsageError(visible(f"Unknown field {unknown[0]!r}. There are: {known}"))


def _escaped(match: re.Match[str]) -> str:
    # A line feed is in JSON only between its values, so all that matches is in a text.
    return json.dumps(match[0], ensure_ascii=True)[1:-1] if match[0] != "\x7f" else "\\u007f"
