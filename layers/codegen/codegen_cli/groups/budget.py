"""`codegen-runs budget`: how many runs and follow-ups the organization and each caller may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options import Group, json_option
from ..output import Fields, Record, show, table
from ..session import with_api
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

NAMES = ("runs_per_day", "runs_per_month", "follow_ups_per_day", "concurrent_runs", "candidates_per_multi_run")


class Limit(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A limit as it is written in the command line: `runs_per_day=100`."""

    name = "name=number"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> tuple[str, int]:
        """Return the name and the number."""
        name, _, number = value.replace("-", "_").partition("=")
        if name not in NAMES or not number.isdecimal():
            self.fail(f"Use one of {', '.join(NAMES)}, as in runs_per_day=100.", param, context)
        return name, int(number)


@click.group(cls=Group)
def budget() -> None:
    """Show and set the budgets of the organization."""


@budget.command()
@json_option
@with_api
def view(api: CodegenAPI, fields: Fields) -> None:
    """Show the budgets and what is used of them."""
    show(api.budgets.get().model_dump(), fields, _lines)


@budget.command("set")
@click.option("--organization", multiple=True, type=Limit(), help="Limit for all callers together. Repeatable.")
@click.option("--caller", multiple=True, type=Limit(), help="Limit for each caller. Repeatable.")
@json_option
@with_api
def set_(
    api: CodegenAPI, organization: tuple[tuple[str, int], ...], caller: tuple[tuple[str, int], ...], fields: Fields
) -> None:
    """Replace all budgets. Without options, there is no limit."""
    show(api.budgets.set(dict(organization), dict(caller)).model_dump(), fields, _lines)


def _lines(found: Record) -> None:
    if not found["used"]:
        click.echo("The organization has no budgets.")
        return
    rows = [
        (use["budget"].replace("_", " "), use["scope"], use["limit"], use["used"], time(use.get("resets_at")))
        for use in found["used"]
    ]
    table(("BUDGET", "OF", "LIMIT", "USED", "RESETS AT (UTC)"), rows)
