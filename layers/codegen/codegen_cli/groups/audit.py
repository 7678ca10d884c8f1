"""`codegen-runs audit`: who did what in the organization, and whether the record of it is intact."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from ..options import Group, json_option, limit_option
from ..output import Fields, Record, as_json, details, show, show_list
from ..session import with_api
from ..terminal import visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("NUMBER", lambda entry: entry.get("sequence")),
    ("TIME (UTC)", lambda entry: time(entry.get("at"))),
    ("ACTOR", lambda entry: entry.get("actor")),
    ("ACT", lambda entry: entry.get("act")),
    ("TARGET", lambda entry: entry.get("target")),
    ("OUTCOME", lambda entry: entry.get("outcome")),
    ("DETAILS", lambda entry: as_json(entry["details"]) if entry.get("details") else None),
)


@click.group(cls=Group)
def audit() -> None:
    """Show who did what in the organization. For admins."""


@audit.command("list")
@click.option("--actor", help="Only what this caller did, such as user:42.")
@click.option("--act", help="Only this act, such as run.cancel.")
@click.option("--target", help="Only what was done to the thing with this id.")
@click.option("--since", help="Entries of this date or time and later, such as 2027-01-31.")
@click.option("--until", help="Entries before this date or time.")
@limit_option("entries", 1000)
@json_option
@with_api
def list_(
    api: CodegenAPI,
    actor: str | None,
    act: str | None,
    target: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    fields: Fields,
) -> None:
    """List the entries of the audit trail, newest first. Each act has two: one before it, and its outcome."""
    found = api.audit.list(actor=actor, act=act, target=target, since=since, until=until)
    show_list((entry.model_dump() for entry in islice(found, limit)), fields, COLUMNS, "There are no such entries.")


@audit.command()
@click.option("--known", metavar="SEQUENCE:HASH", help="The head that an earlier check printed.")
@json_option
@with_api
def verify(api: CodegenAPI, known: str | None, fields: Fields) -> None:
    """Check that no entry was changed, taken out or put in. The exit code is 1 if the chain is broken.

    Keep the head that this prints somewhere else, and pass it to the next check with --known: whoever can write the
    whole table again could otherwise make a chain that is intact.
    """
    check = api.audit.verify(known=known)
    show({"intact": check.is_intact, **asdict(check)}, fields, _lines)
    if not check.is_intact:
        raise click.ClickException(visible(f"The chain is broken at entry {check.broken_at}. {check.reason}"))


def _lines(check: Record) -> None:
    details(
        [
            ("Intact", check["intact"]),
            ("Entries", check["entries"]),
            ("Head", check["head"]),
            ("Attempts without an outcome", list(check["unfinished"])),
        ]
    )
