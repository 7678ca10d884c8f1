"""`codegen-runs auth`: log in to a server, and see as whom."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from ..options import Group, json_option
from ..output import Fields, Record, details, show
from ..session import Session, with_api
from ..terminal import is_terminal, standard_input, visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, Organization

# What `make run` accepts.
LOCAL = {"base_url": "http://127.0.0.1:3000", "org_id": "123", "token": "YOUR_TOKEN"}

_VARIABLES = {
    "base_url": ("CODEGEN_BASE_URL",),
    "org_id": ("CODEGEN_ORG_ID",),
    "token": ("CODEGEN_API_TOKEN", "CODEGEN_TOKEN"),
}


@click.group(cls=Group)
def auth() -> None:
    """Log in, see as whom, and log out."""


@auth.command()
@click.option("--local", is_flag=True, help="Log in to `make run` on this machine, without questions.")
@click.option("--with-token", is_flag=True, help="Read the token from standard input.")
@click.pass_obj
def login(session: Session, local: bool, with_token: bool) -> None:
    """Ask for server, token and organization, verify them, and write ~/.codegen/config.json.

    The token is a Codegen token or an API token of a deployment. Only you can read the file.
    """
    if not (local or with_token or is_terminal(sys.stdin)):
        raise click.UsageError("There is no terminal to ask. Give the token on standard input with --with-token.")
    is_asked = not local and not with_token
    base_url = _server(session, local=local, is_asked=is_asked)
    token = LOCAL["token"] if local else _token(with_token=with_token)
    with session.client(base_url=base_url, token=token) as api:
        user = api.users.me()
        org_id = _organization(session, list(api.organizations.list()), local=local, is_asked=is_asked)
        kind = "a deployment of Codegen Runs" if _is_deployment(api) else "the Codegen API"
    from ..configuration import change

    file = change({"base_url": base_url, "org_id": org_id, "token": token})
    click.echo(visible(f"Logged in to {base_url} ({kind}), organization {org_id}, as {user.name}."), err=True)
    click.echo(f"Written to {file}", err=True)
    _warn_of_variables("base_url", "org_id", "token")


@auth.command()
@json_option
@with_api
def status(api: CodegenAPI, fields: Fields) -> None:
    """Verify the token, and show the server, the organization and the user."""
    from codegen_api._origins import read_origins

    session = Session.current()
    user = api.users.me()
    settings = {setting.name: setting for setting in read_origins(session.org_id, session.base_url)}
    found = {
        "base_url": settings["base_url"].value,
        "deployment": _is_deployment(api),
        "org_id": settings["org_id"].value,
        "user": user.model_dump(),
        "token": settings["token"].value,
        "token_from": settings["token"].origin,
    }
    show(found, fields, _lines)


@auth.command()
def logout() -> None:
    """Remove the token from ~/.codegen/config.json. The token itself stays valid."""
    from ..configuration import change

    file = change({"token": None})
    click.echo(f"The token was removed from {file}.", err=True)
    _warn_of_variables("token")


def _server(session: Session, *, local: bool, is_asked: bool) -> str:
    from codegen_api._settings import DEFAULT_BASE_URL, normalize_base_url

    given = session.base_url or (LOCAL["base_url"] if local else None)
    if given is None and is_asked:
        given = click.prompt("Server", default=DEFAULT_BASE_URL, err=True)
    return normalize_base_url(given or os.environ.get("CODEGEN_BASE_URL") or DEFAULT_BASE_URL)


def _token(*, with_token: bool) -> str:
    text = standard_input() if with_token else click.prompt("Token", hide_input=True, err=True)
    return str(text).strip()


def _organization(session: Session, found: list[Organization], *, local: bool, is_asked: bool) -> int:
    ids = [str(organization.id) for organization in found]
    given = session.org_id or (LOCAL["org_id"] if local else None)
    if given is None and len(ids) == 1:
        given = ids[0]
    if given is None and is_asked and ids:
        for organization in found:
            click.echo(visible(f"  {organization.id}  {organization.name}"), err=True)
        given = click.prompt("Organization", type=click.Choice(ids), default=ids[0], show_choices=False, err=True)
    if given is None:
        names = ", ".join(ids)
        raise click.UsageError(f"Name the organization with --org-id. The token has access to: {names or 'none'}")
    if given not in ids:
        raise click.ClickException(f"The token has no access to the organization {given}.")
    return int(given)


def _is_deployment(api: CodegenAPI) -> bool:
    from codegen_api import NotSupportedError

    try:
        api.service.health()
    except NotSupportedError:
        return False
    return True


def _warn_of_variables(*settings: str) -> None:
    for variable in (variable for setting in settings for variable in _VARIABLES[setting]):
        if os.environ.get(variable):
            click.echo(f"Warning: {variable} is set, and takes precedence over the file.", err=True)


def _lines(found: Record) -> None:
    user: dict[str, Any] = found["user"]
    details(
        [
            ("Server", found["base_url"]),
            ("Kind", "deployment of Codegen Runs" if found["deployment"] else "Codegen API"),
            ("Organization", found["org_id"]),
            ("User", user.get("full_name") or user.get("github_username") or user.get("id")),
            ("Email", user.get("email")),
            ("Token", f"{found['token']} (from {found['token_from']})"),
        ]
    )
