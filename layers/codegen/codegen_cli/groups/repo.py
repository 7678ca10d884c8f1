"""`codegen-runs repo`: the repositories that runs can work in."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from ..options import Group, json_option, limit_option
from ..output import Fields, show_list
from ..session import with_api

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("ID", lambda repo: repo.get("id")),
    ("NAME", lambda repo: repo.get("full_name") or repo.get("name")),
    ("LANGUAGE", lambda repo: repo.get("language")),
    ("SETUP", lambda repo: repo.get("setup_status")),
    ("WHAT", lambda repo: repo.get("description")),
)


@click.group(cls=Group)
def repo() -> None:
    """List repositories, for --repo-id."""


@repo.command("list")
@limit_option("repositories", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List the repositories of the organization."""
    found = (each.model_dump() for each in api.repos.list())
    show_list(islice(found, limit), fields, COLUMNS, "The organization has no repositories.")
