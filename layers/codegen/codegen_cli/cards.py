"""Run cards for people: as rows of a list, and in full."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from .output import Column, Fields, Record, details, show_list
from .texts import first_line, time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

_STATE: tuple[Column, ...] = (
    ("ID", lambda card: card.get("id") or card.get("key") or "unknown"),
    ("STATUS", lambda card: card.get("status")),
    ("CREATED", lambda card: time(card.get("created_at"))[:19]),
)
_WHAT: Column = ("WHAT", lambda card: what(card))

COLUMNS: tuple[Column, ...] = (*_STATE, ("FROM", lambda card: card.get("source_type")), _WHAT)
STAR_COLUMNS: tuple[Column, ...] = (*_STATE, ("NOTE", lambda card: first_line(card.get("note"))), _WHAT)


def what(card: Record) -> str:
    """Return what a run is about, in one line."""
    return first_line(card.get("prompt") or card.get("summary") or card.get("result_preview"))


def show_details(card: Record) -> None:
    """Print a run in full."""
    from . import display

    details(
        [
            ("Run", card.get("id") or card.get("key")),
            ("Status", card.get("status")),
            ("Reason", card.get("status_reason")),
            ("Health", card.get("health_detail") or card.get("health")),
            ("Prompt", first_line(card.get("prompt"))),
            ("Repository", card.get("repo_name") or card.get("repo_id")),
            ("Branch", card.get("branch_name")),
            ("Created", time(card.get("created_at"))),
            ("Seconds", card.get("duration_seconds")),
            ("Starred", card.get("starred") or None),
            ("Page", card.get("web_url")),
            *(("Pull request", link.get("url")) for link in card.get("pull_requests") or []),
        ]
    )
    if answer := card.get("result") or card.get("summary"):
        click.echo()
        display.answer(str(answer))


def show_stars(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """Print the caller's stars: the card of each run, with the note."""
    found = (star.model_dump() for star in api.starred_runs.list())
    show_list(map(_starred, islice(found, limit)), fields, STAR_COLUMNS, "You have starred no run.")


def _starred(star: Record) -> Record:
    card = star.get("run") or {}
    own = {"id": star["agent_run_id"], "starred": True, "starred_at": star.get("starred_at"), "note": star.get("note")}
    return {**card, **own}
