"""`codegen-runs webhook-endpoint`: the URLs to which a deployment sends signed messages about runs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from ..options import Group, json_option, limit_option
from ..output import Fields, Record, details, show, show_list
from ..session import with_api
from ..terminal import visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

FORMATS = click.Choice(["standard", "slack"])
COLUMNS = (
    ("ID", lambda endpoint: endpoint.get("id")),
    ("URL", lambda endpoint: endpoint.get("url")),
    ("STATE", lambda endpoint: _state(endpoint)),
    ("DESCRIPTION", lambda endpoint: endpoint.get("description")),
)
DELIVERIES = (
    ("MESSAGE", lambda delivery: delivery.get("message_id")),
    ("TYPE", lambda delivery: delivery.get("type")),
    ("STATUS", lambda delivery: delivery.get("status")),
    ("TRIES", lambda delivery: str(len(delivery.get("attempts") or ()))),
    ("CREATED", lambda delivery: time(delivery.get("created_at"))),
)


@click.group("webhook-endpoint", cls=Group)
def webhook_endpoint() -> None:
    """Have signed messages about runs sent to your own URLs."""


@webhook_endpoint.command("list")
@json_option
@with_api
def list_(api: CodegenAPI, fields: Fields) -> None:
    """List the endpoints, without their secrets."""
    found = (each.model_dump() for each in api.webhook_endpoints.list())
    show_list(found, fields, COLUMNS, "The organization has no webhook endpoints.")


@webhook_endpoint.command()
@click.argument("url")
@click.option("--description", help="A text for people.")
@click.option("--event", "events", multiple=True, help="A type of event, such as run.failed; repeatable.")
@click.option("--format", "form", type=FORMATS, help="The form of the messages. Default: standard.")
@json_option
@with_api
def create(
    api: CodegenAPI, url: str, description: str | None, events: tuple[str, ...], form: str | None, fields: Fields
) -> None:
    """Create an endpoint and print its secret, which cannot be read again."""
    made = api.webhook_endpoints.create(url, description=description, events=events or None, format=form)
    if fields is None:
        click.echo(visible(f"{made.id} was created. This is the only time that its secret is shown:"), err=True)
    show(made.model_dump(), fields, _secret)


@webhook_endpoint.command()
@click.argument("endpoint_id")
@json_option
@with_api
def view(api: CodegenAPI, endpoint_id: str, fields: Fields) -> None:
    """Show an endpoint."""
    show(api.webhook_endpoints.get(endpoint_id).model_dump(), fields, _lines)


@webhook_endpoint.command()
@click.argument("endpoint_id")
@click.option("--url", help="Where messages are sent.")
@click.option("--description", help="A text for people.")
@click.option("--event", "events", multiple=True, help="A type of event, such as run.failed; repeatable.")
@click.option("--format", "form", type=FORMATS, help="The form of the messages.")
@click.option("--enable/--disable", "enabled", default=None, help="Start or stop all messages.")
@json_option
@with_api
def edit(
    api: CodegenAPI,
    endpoint_id: str,
    url: str | None,
    description: str | None,
    events: tuple[str, ...],
    form: str | None,
    enabled: bool | None,
    fields: Fields,
) -> None:
    """Change an endpoint. Options that you leave out change nothing."""
    changed = api.webhook_endpoints.update(
        endpoint_id, url=url, description=description, events=events or None, format=form, enabled=enabled
    )
    show(changed.model_dump(), fields, _lines)


@webhook_endpoint.command("rotate-secret")
@click.argument("endpoint_id")
@json_option
@with_api
def rotate_secret(api: CodegenAPI, endpoint_id: str, fields: Fields) -> None:
    """Print a new secret, which cannot be read again. The earlier one also signs for a day."""
    show(api.webhook_endpoints.rotate_secret(endpoint_id).model_dump(), fields, _secret)


@webhook_endpoint.command()
@click.argument("endpoint_id")
@with_api
def delete(api: CodegenAPI, endpoint_id: str) -> None:
    """Delete an endpoint."""
    api.webhook_endpoints.delete(endpoint_id)
    click.echo(visible(f"{endpoint_id} is deleted."))


@webhook_endpoint.command()
@click.argument("endpoint_id")
@limit_option("messages")
@json_option
@with_api
def deliveries(api: CodegenAPI, endpoint_id: str, limit: int, fields: Fields) -> None:
    """List the messages to an endpoint, newest first."""
    found = (each.model_dump() for each in api.webhook_endpoints.deliveries(endpoint_id))
    show_list(islice(found, limit), fields, DELIVERIES, "No message was sent to the endpoint.")


@webhook_endpoint.command()
@click.argument("endpoint_id")
@click.option("--message", "message_id", help="Send this earlier message again.")
@click.option("--since", help="Send again what was created at this time or later, such as 2027-01-31.")
@with_api
def send(api: CodegenAPI, endpoint_id: str, message_id: str | None, since: str | None) -> None:
    """Send a test message, or earlier messages again."""
    sent = api.webhook_endpoints.send(endpoint_id, message_id=message_id, since=since)
    click.echo(visible(f"Messages in the queue: {', '.join(sent.message_ids) or 'none'}"))


def _state(endpoint: Record) -> str:
    if not endpoint.get("enabled"):
        return "disabled"
    return "failing" if endpoint.get("failing_since") else "enabled"


def _secret(endpoint: Record) -> None:
    click.echo(visible(str(endpoint.get("secret"))))


def _lines(endpoint: Record) -> None:
    details(
        [
            ("ID", endpoint.get("id")),
            ("URL", endpoint.get("url")),
            ("State", _state(endpoint)),
            ("Disabled", endpoint.get("disabled_reason")),
            ("Failing since", time(endpoint.get("failing_since"))),
            ("Description", endpoint.get("description")),
            ("Format", endpoint.get("format")),
            ("Events", ", ".join(endpoint.get("events") or ())),
        ]
    )
