"""`codegen-runs model`: the language models that runs can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..options import Group, json_option
from ..output import Fields, show_list
from ..session import with_api

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("MODEL", lambda model: model.get("value")),
    ("PROVIDER", lambda model: model.get("provider")),
    ("NAME", lambda model: model.get("label")),
)


@click.group(cls=Group)
def model() -> None:
    """List language models, for --model."""


@model.command("list")
@json_option
@with_api
def list_(api: CodegenAPI, fields: Fields) -> None:
    """List the language models that the organization may use."""
    found = [
        {**model.model_dump(), "provider": provider.name}
        for provider in api.models.list().providers
        for model in provider.models
    ]
    show_list(found, fields, COLUMNS, "The organization may use no models.")
