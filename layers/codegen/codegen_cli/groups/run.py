"""`codegen-runs run`: start, follow and control single runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..cards import COLUMNS, show_details, show_stars
from ..following import announce_run, follow, follow_multi_run, print_events
from ..options import (
    Group,
    Id,
    RunOrMultiRun,
    Text,
    image_option,
    json_option,
    limit_option,
    metadata_option,
    web_option,
)
from ..output import Fields, Record, show, show_list
from ..records import card_of, run_record
from ..session import Unusable, starting, with_api
from ..terminal import open_page
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


@click.group(cls=Group, default="start")
def run() -> None:
    """Start, follow and control runs.

    `codegen-runs run PROMPT` is short for `codegen-runs run start PROMPT`.
    """


@run.command()
@click.argument("prompt", type=Text())
@click.option("--repo-id", type=Id(), help="Id of the repository to work in.")
@click.option("--model", help="Language model. Default: the organization's.")
@click.option("--agent-type", type=click.Choice(["codegen", "claude_code"]), help="Program that drives the model.")
@click.option("--agent", "agent_id", help="Id of an agent of the deployment.")
@image_option
@metadata_option
@click.option("--detach", is_flag=True, help="Print the id of the run and exit without waiting.")
@json_option
@web_option
@with_api
def start(api: CodegenAPI, /, prompt: str, detach: bool, web: bool, fields: Fields, **options: Any) -> None:
    """Start a run, show its progress and print its answer.

    Use - as PROMPT to read the prompt from standard input.
    """
    task = starting(api, lambda: api.run_task(prompt, **options))
    announce_run(task)
    if web:
        open_page(task.web_url)
    if not detach:
        follow(api, task, None, fields)
    elif fields is None:
        click.echo(task.id)
    else:
        show(run_record(api, task.id), fields, show_details)


@run.command("list")
@limit_option("runs", 1000)
@click.option("--status", help="Only with this status; several with commas, such as queued,running.")
@click.option("--repo", help="Only in this repository: its id, name or owner/name.")
@click.option("--source", "source_type", help="Only started from here: API, SLACK, GITHUB, ...")
@click.option("--search", "query", help="Only with these words in the prompts, the result or the pull requests.")
@click.option("--tag", help="Only with this tag.")
@click.option("--created-after", help="Only created after this time, such as 2026-01-31.")
@click.option("--created-before", help="Only created before this time.")
@click.option("--starred", is_flag=True, help="Only the runs that you starred, with their notes.")
@click.option("--children", is_flag=True, help="List the runs of multi-runs instead of the multi-runs.")
@json_option
@with_api
def list_(
    api: CodegenAPI, /, limit: int, source_type: str | None, starred: bool, fields: Fields, **filters: Any
) -> None:
    """List runs, newest first.

    The Codegen API itself filters only by source. The other filters need a deployment.
    """
    filters = {name: value for name, value in filters.items() if value}
    if starred:
        show_stars(api, limit, fields)
        return
    show_list(islice(_records(api, source_type, filters), limit), fields, COLUMNS, "There are no such runs.")


@run.command()
@click.argument("run_id", type=Id())
@json_option
@web_option
@with_api
def view(api: CodegenAPI, run_id: int, fields: Fields, web: bool) -> None:
    """Show a run: its status, repository, pull requests and answer."""
    card = run_record(api, run_id)
    if web:
        open_page(card.get("web_url"))
    else:
        show(card, fields, show_details)


@run.command()
@click.argument("run_id", type=RunOrMultiRun())
@click.option("--after", help="Show only the events after the one with this id.")
@json_option
@with_api
def watch(api: CodegenAPI, run_id: int | str, after: str | None, fields: Fields) -> None:
    """Show all events of the run or the multi-run with this id until it ends, then print its answer.

    With --json, standard output has the events of a run instead, one in each line.
    """
    if isinstance(run_id, str):
        follow_multi_run(api, api.multi_runs.get(run_id), 2.0, fields)
        return
    task = api.get_task(run_id)
    if fields is None:
        follow(api, task, after, None)
    else:
        print_events(task, after, fields)


@run.command()
@click.argument("run_id", type=Id())
@limit_option("entries", 100_000)
@click.option("--skip", type=click.IntRange(0), default=0, show_default=True, help="Number of entries to leave out.")
@json_option
@with_api
def logs(api: CodegenAPI, run_id: int, limit: int, skip: int, fields: Fields) -> None:
    """Show the log of a run, oldest entry first."""
    entries = (entry.model_dump() for entry in islice(api.runs.iter_logs(run_id, skip=skip), limit))
    columns = (
        ("TIME", lambda entry: time(entry.get("created_at"))[:19]),
        ("TYPE", lambda entry: entry.get("message_type")),
        ("TOOL", lambda entry: entry.get("tool_name")),
        ("WHAT", _content),
    )
    show_list(entries, fields, columns, "The log has no such entries.")


@run.command()
@click.argument("run_id", type=RunOrMultiRun())
@click.option(
    "--allow-pr-ban",
    is_flag=True,
    help="Allow a ban of the pull request, which stops all its agents and mutes its checks.",
)
@click.option("--reason", help="Reason to keep with the run.")
@with_api
def cancel(api: CodegenAPI, run_id: int | str, allow_pr_ban: bool, reason: str | None) -> None:
    """Cancel the run or the multi-run with this id.

    --allow-pr-ban is required to stop an agent that is already working.
    """
    if isinstance(run_id, int):
        status: str = api.get_task(run_id).cancel(allow_pr_ban=allow_pr_ban, reason=reason).raw_status or "unknown"
    else:
        status = api.multi_runs.cancel(run_id, allow_pr_ban=allow_pr_ban).status
    click.echo(f"{run_id} is {status.lower()}.")


@run.command()
@click.argument("run_id", type=Id())
@with_api
def pause(api: CodegenAPI, run_id: int) -> None:
    """Hold the launch of a run that waits, and the follow-ups of a run at work.

    An agent that is at work continues.
    """
    _show_control(api.runs.pause(run_id).model_dump())


@run.command()
@click.argument("run_id", type=Id())
@with_api
def resume(api: CodegenAPI, run_id: int) -> None:
    """End the pause of a run."""
    _show_control(api.runs.resume(run_id).model_dump())


@run.command("follow-up")
@click.argument("run_id", type=Id())
@click.argument("prompt", type=Text())
@click.option("--model", help="Language model from now on. Default: the same.")
@image_option
@click.option("--detach", is_flag=True, help="Exit without waiting for the answer.")
@json_option
@with_api
def follow_up(api: CodegenAPI, /, run_id: int, prompt: str, detach: bool, fields: Fields, **options: Any) -> None:
    """Send a further prompt to a run, show its progress and print the answer.

    Use - as PROMPT to read the prompt from standard input.
    """
    task = api.get_task(run_id)
    after = last_event_id(api, run_id)
    starting(api, lambda: task.follow_up(prompt, **options))
    task.refresh()
    announce_run(task)
    if not detach:
        follow(api, task, after, fields)
    elif fields is None:
        click.echo(task.id)
    else:
        show(run_record(api, task.id), fields, show_details)


@run.command("open")
@click.argument("run_id", type=Id())
@with_api
def open_(api: CodegenAPI, run_id: int) -> None:
    """Open the page of a run in a browser."""
    open_page(api.get_task(run_id).web_url)


def last_event_id(api: CodegenAPI, run_id: int) -> str | None:
    """Return the id of the newest event of a run; None if it has none."""
    from codegen_api import NotSupportedError

    last = None
    try:
        for event in api.runs.events(run_id):
            last = event.id
    except NotSupportedError:
        # The ids that the client gives to the entries of a log are their numbers.
        last = f"0-{api.runs.logs(run_id, limit=1).total_logs or 0}"
    return last


def _records(api: CodegenAPI, source_type: str | None, filters: dict[str, Any]) -> Iterator[Record]:
    """Read runs as records: the cards of a deployment, or the runs of the Codegen API."""
    from codegen_api import NotSupportedError

    try:
        return (card.model_dump() for card in api.run_cards.list(source_type=source_type, **filters))
    except NotSupportedError:
        if filters:
            name = "search" if "query" in filters else next(iter(filters)).replace("_", "-")
            raise Unusable(f"--{name} needs a deployment of Codegen Runs. Name one with --base-url.") from None
        return map(card_of, api.runs.list(source_type=source_type))


def _content(entry: Record) -> str:
    from codegen_api._text import one_line  # the client takes longer to import than the whole help

    return one_line(entry.get("thought") or entry.get("observation") or entry.get("tool_input"))


def _show_control(run: Record) -> None:
    scope = " Its agent continues; what would be sent next is held." if run.get("paused_scope") else ""
    click.echo(f"{run.get('agent_run_id') or run.get('key')} is {run.get('status')}.{scope}")
