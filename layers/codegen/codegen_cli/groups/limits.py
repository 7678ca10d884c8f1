"""`codegen-runs limits`: what is left of the rate limits, and the launch queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options import Command, json_option
from ..output import Fields, Record, show, table
from ..session import with_api
from ..terminal import visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.command(cls=Command)
@json_option
@with_api
def limits(api: CodegenAPI, fields: Fields) -> None:
    """Show rate limits and the launch queue."""
    show(api.rate_limits.get().model_dump(), fields, _lines)


def _lines(found: Record) -> None:
    rows = [
        (limit["name"], whose, f"{limit['calls']} in {limit['window_seconds']:g} s", limit["remaining"], _opens(limit))
        for whose, limits in (("your token", found["caller"]), ("the deployment's token", found["background"]))
        for limit in limits
    ]
    table(("LIMIT", "OF", "CALLS", "LEFT", "NEXT CALL"), rows)
    queue = found["queue"]
    click.echo()
    click.echo(f"Launch queue: {queue['length']} runs of the organization")
    if queue["runs"]:
        places = [
            (run["position"] + 1, run["run"], run.get("multi_run_id"), time(run["expected_at"]))
            for run in queue["runs"]
        ]
        table(("PLACE", "RUN", "MULTI-RUN", "EXPECTED AT (UTC)"), places)


def _opens(limit: Record) -> str:
    return visible(limit.get("blocked_reason") or time(limit.get("opens_at")) or "now")
