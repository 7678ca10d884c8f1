"""`codegen-runs token`: API tokens of a deployment."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from ..options import Group, Id, json_option, limit_option
from ..output import Fields, show, show_list
from ..session import with_api
from ..terminal import visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("ID", lambda token: token.get("id")),
    ("NAME", lambda token: token.get("name")),
    ("ROLE", lambda token: token.get("role")),
    ("EXPIRES", lambda token: "expired" if token.get("expired") else time(token.get("expires_at")) or "never"),
    ("LAST USED", lambda token: time(token.get("last_used_at")) or "never"),
)


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command("list")
@limit_option("tokens")
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List your API tokens, newest first, without their secrets."""
    found = (each.model_dump() for each in api.users.api_tokens())
    show_list(islice(found, limit), fields, COLUMNS, "You have no API tokens.")


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "member", "admin"]), help="What the token may do at most.")
@click.option("--expires", "expires_at", help="When it expires: a date or time, such as 2027-01-31. Default: never.")
@click.option(
    "--organization", "organizations", type=Id(), multiple=True, help="Only in this organization; repeatable."
)
@json_option
@with_api
def create(
    api: CodegenAPI,
    name: str,
    role: str | None,
    expires_at: str | None,
    organizations: tuple[int, ...],
    fields: Fields,
) -> None:
    """Create an API token and print its secret, which cannot be read again.

    NAME says what the token is for.
    """
    made = api.users.create_api_token(name, expires_at, role=role, organizations=organizations or None)
    if fields is None:
        click.echo(visible(f"{made.id} was created. This is the only time that its secret is shown:"), err=True)
    show(made.model_dump(), fields, lambda record: click.echo(visible(str(record.get("token")))))


@token.command()
@click.argument("token_id")
@with_api
def revoke(api: CodegenAPI, token_id: str) -> None:
    """Revoke an API token. The next request with it is refused."""
    api.users.revoke_api_token(token_id)
    click.echo(visible(f"{token_id} is revoked."))
