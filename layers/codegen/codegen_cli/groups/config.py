"""`codegen-runs config`: which settings are used, and where they come from."""

from __future__ import annotations

import click

from ..options import Group, json_option
from ..output import Fields, Record, show, table
from ..session import Session


@click.group(cls=Group)
def config() -> None:
    """Show the settings."""


@config.command("show")
@json_option
@click.pass_obj
def show_(session: Session, fields: Fields) -> None:
    """Show each setting and where it comes from. The token is masked.

    An option takes precedence over a variable of the environment, and a variable over ~/.codegen/config.json.
    """
    from codegen_api._origins import read_origins

    found = read_origins(session.org_id, session.base_url)
    record = {setting.name: {"value": setting.value, "from": setting.origin} for setting in found}
    show(record, fields, _lines)


def _lines(record: Record) -> None:
    table(("SETTING", "VALUE", "FROM"), [(name, each["value"], each["from"]) for name, each in record.items()])
