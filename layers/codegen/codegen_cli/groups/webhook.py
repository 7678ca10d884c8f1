"""`codegen-runs webhook`: the URL that Codegen calls when a run of the organization ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options import Group, json_option
from ..output import Fields, Record, details, show
from ..session import with_api
from ..terminal import visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.group(cls=Group)
def webhook() -> None:
    """Set, test and delete the organization's webhook."""


@webhook.command()
@json_option
@with_api
def view(api: CodegenAPI, fields: Fields) -> None:
    """Show the webhook. Its secret is never shown."""
    show(api.webhooks.get().model_dump(), fields, _lines)


@webhook.command("set")
@click.argument("url")
@click.option("--with-secret", is_flag=True, help="Ask for the secret that Codegen signs its requests with.")
@click.option("--disabled", is_flag=True, help="Keep the URL, and do not call it.")
@with_api
def set_(api: CodegenAPI, url: str, with_secret: bool, disabled: bool) -> None:
    """Set the URL that Codegen calls when a run of the organization ends."""
    secret = click.prompt("Secret", hide_input=True, err=True) if with_secret else None
    api.webhooks.set(url, secret=secret, enabled=not disabled)
    click.echo(visible(f"The webhook is {url}."))


@webhook.command()
@click.argument("url", required=False)
@with_api
def test(api: CodegenAPI, url: str | None) -> None:
    """Let Codegen send a test to a URL. Default: the webhook of the organization."""
    url = url or api.webhooks.get().url
    if not url:
        raise click.UsageError("The organization has no webhook. Name a URL.")
    api.webhooks.test(url)
    click.echo(visible(f"Codegen sends a test to {url}."))


@webhook.command()
@with_api
def delete(api: CodegenAPI) -> None:
    """Delete the webhook, with its secret."""
    api.webhooks.delete()
    click.echo("The webhook is deleted.")


def _lines(found: Record) -> None:
    if found.get("url"):
        known = {name: value for name, value in found.items() if name not in ("url", "enabled")}
        details([("URL", found["url"]), ("Enabled", found.get("enabled")), *known.items()])
    else:
        click.echo("The organization has no webhook. Set one with: codegen-runs webhook set", err=True)
