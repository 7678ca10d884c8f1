"""`codegen-runs doorbell`: have a deployment read a run as soon as Codegen says that it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options import Group, json_option
from ..output import Fields, Record, details, show
from ..session import with_api
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

STATES = {
    "off": "off",
    "on": "on",
    "forwarding": "on, and its calls are forwarded",
    "changed": "not called: the webhook at Codegen was changed since",
}


@click.group(cls=Group)
def doorbell() -> None:
    """Have a run read as soon as Codegen says that it has ended."""


@doorbell.command()
@json_option
@with_api
def view(api: CodegenAPI, fields: Fields) -> None:
    """Show whether the doorbell is on, and which other webhook Codegen has."""
    show(api.doorbell.get().model_dump(), fields, _lines)


@doorbell.command()
@click.option("--forward", is_flag=True, help="Replace another webhook at Codegen, and forward its calls to it.")
@click.option("--with-secret", is_flag=True, help="Ask for the secret of that webhook.")
@json_option
@with_api
def on(api: CodegenAPI, forward: bool, with_secret: bool, fields: Fields) -> None:
    """Turn the doorbell on. Another webhook at Codegen is not replaced without --forward."""
    secret = click.prompt("Secret", hide_input=True, err=True) if with_secret else None
    show(api.doorbell.turn_on(forward=forward, secret=secret).model_dump(), fields, _lines)


@doorbell.command()
@json_option
@with_api
def off(api: CodegenAPI, fields: Fields) -> None:
    """Turn the doorbell off, and restore the webhook that it replaced."""
    show(api.doorbell.turn_off().model_dump(), fields, _lines)


def _lines(found: Record) -> None:
    details(
        [
            ("Doorbell", STATES.get(found.get("state") or "", found.get("state"))),
            ("Since", time(found.get("since"))),
            ("Replaced webhook", _webhook(found.get("replaced"))),
            ("Webhook at Codegen", _webhook(found.get("webhook"))),
        ]
    )


def _webhook(webhook: Record | None) -> str | None:
    if not webhook:
        return None
    notes = ["disabled"] * (not webhook.get("enabled")) + ["with a secret"] * bool(webhook.get("has_secret"))
    return f"{webhook.get('url')} ({', '.join(notes)})" if notes else str(webhook.get("url"))
