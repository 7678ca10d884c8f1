"""`codegen-runs usage`: what an organization ran in a period."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..options import Command, json_option
from ..output import Fields, Record, details, show, table
from ..session import with_api
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.command(cls=Command)
@click.option("--since", help="Start of the period: a date or time, such as 2026-01-31. Default: 30 days ago.")
@click.option("--until", help="End of the period. Default: now.")
@json_option
@with_api
def usage(api: CodegenAPI, since: str | None, until: str | None, fields: Fields) -> None:
    """Count the runs of the organization."""
    show(api.usage.get(since, until).model_dump(), fields, _lines)


def _lines(found: Record) -> None:
    details([("From", time(found["start_date"])), ("Until", time(found["end_date"]))])
    click.echo()
    table(("RUNS", "", "NUMBER"), list(_counts(found.get("runs") or {})))
    if found.get("complete") is False:
        click.echo("Some runs are not counted. `codegen-runs usage --json` says which.", err=True)


def _counts(runs: Record) -> Iterator[tuple[Any, ...]]:
    for name, value in runs.items():
        if isinstance(value, dict):
            yield from ((name.replace("_", " "), each, count) for each, count in value.items())
        elif not isinstance(value, list):
            yield name.replace("_", " "), "", value
