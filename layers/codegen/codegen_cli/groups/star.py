"""`codegen-runs star`: bookmarks of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..cards import show_stars
from ..options import Group, Id, json_option, limit_option
from ..output import Fields
from ..session import with_api
from ..terminal import visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.group(cls=Group, default="add")
def star() -> None:
    """Star runs, and list your stars.

    `codegen-runs star RUN_ID` is short for `codegen-runs star add RUN_ID`.
    """


@star.command()
@click.argument("run_id", type=Id())
@click.option("--note", help="Note to keep with the star.")
@click.option("--remove", "is_removed", is_flag=True, hidden=True)
@with_api
def add(api: CodegenAPI, run_id: int, note: str | None, is_removed: bool) -> None:
    """Star a run, so that `codegen-runs star list` shows it."""
    if is_removed:
        _remove(api, run_id)
    else:
        api.starred_runs.star(run_id, note=note)
        click.echo(f"{run_id} is starred.")


@star.command()
@click.argument("run_id", type=Id())
@with_api
def remove(api: CodegenAPI, run_id: int) -> None:
    """Remove the star of a run."""
    _remove(api, run_id)


@star.command("list")
@limit_option("stars", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List the runs that you starred, latest star first."""
    show_stars(api, limit, fields)


def _remove(api: CodegenAPI, run_id: int) -> None:
    api.starred_runs.unstar(run_id)
    click.echo(visible(f"{run_id} is not starred."))
