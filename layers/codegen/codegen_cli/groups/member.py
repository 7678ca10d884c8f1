"""`codegen-runs member`: the members of the organization and their roles."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from ..options import Group, Id, json_option, limit_option
from ..output import Fields, show_list
from ..session import with_api
from ..terminal import visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("ID", lambda member: member.get("id")),
    ("ROLE", lambda member: member.get("role")),
    ("EMAIL", lambda member: member.get("email")),
    ("NAME", lambda member: member.get("name")),
)


@click.group(cls=Group)
def member() -> None:
    """List members, and set their roles."""


@member.command("list")
@limit_option("members", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List the members of the organization with their roles."""
    found = (each.model_dump() for each in api.members.list())
    show_list(islice(found, limit), fields, COLUMNS, "The organization has no members.")


@member.command("set-role")
@click.argument("user_id", type=Id())
@click.argument("role", type=click.Choice(["viewer", "member", "admin"]))
@click.option(
    "--permission",
    "permissions",
    type=click.Choice(["read", "write", "admin"]),
    multiple=True,
    help="Only this part of the role; repeatable. Default: all of it.",
)
@with_api
def set_role(api: CodegenAPI, user_id: int, role: str, permissions: tuple[str, ...]) -> None:
    """Set what a member may do on the deployment."""
    changed = api.members.update(user_id, role=role, permissions=permissions or None)
    click.echo(visible(f"{changed.name or changed.id} has the role {changed.role}."))
