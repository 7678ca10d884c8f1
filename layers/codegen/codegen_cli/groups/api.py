"""`codegen-runs api`: any operation, for those that have no command."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from ..options import Command, Text
from ..output import as_json
from ..session import with_api
from ..terminal import is_terminal, visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.command(cls=Command)
@click.argument("path")
@click.option("-X", "--method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"]), help="Default: GET.")
@click.option(
    "--body", type=Text(), help="The JSON to send, or - to read it from standard input. Default method: POST."
)
@with_api
def api(client: CodegenAPI, path: str, method: str | None, body: str | None) -> None:
    """Call an operation and print its answer.

    PATH is a path of the API, such as /v1/users/me. {org_id} in it is the organization.
    """
    if body is not None:
        try:
            json.loads(body)
        except ValueError as error:
            raise click.UsageError(f"The body is not JSON: {error}") from None
    from codegen_api._text import decode

    path, _, query = path.partition("?")
    if "{org_id}" in path:
        path = path.replace("{org_id}", str(client._driver.core.org(None)))
    answer = client.request(
        method or ("GET" if body is None else "POST"),
        path,
        params=_parameters(query),
        content=None if body is None else body.encode(),
        content_type=None if body is None else "application/json",
    )
    if not answer.content:
        return
    try:
        click.echo(as_json(json.loads(answer.content), indent=2))
    except ValueError:
        text = visible(decode(answer.content, "latin-1")) if is_terminal(sys.stdout) else answer.content
        click.echo(text, nl=False)


def _parameters(query: str) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    return parse_qs(query, keep_blank_values=True)
