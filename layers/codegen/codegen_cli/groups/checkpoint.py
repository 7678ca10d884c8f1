"""`codegen-runs checkpoint`: points of a run that you can return to."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..following import announce_run, follow
from ..options import Group, Id, Text, json_option, limit_option
from ..output import Fields, Record, details, show, show_list, table
from ..session import starting, with_api
from ..terminal import visible
from ..texts import first_line, time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, RestoredRun

COLUMNS = (
    ("ID", lambda found: found.get("id")),
    ("TURN", lambda found: found.get("turn")),
    ("REASON", lambda found: found.get("reason")),
    ("STATUS", lambda found: found.get("status")),
    ("CREATED", lambda found: time(found.get("created_at"))[:19]),
    ("WHAT", lambda found: first_line(found.get("summary"))),
)


def modification_options(command: Any) -> Any:
    """Add the options for what the continuing run gets."""
    for option in (
        json_option,
        click.option("--detach", is_flag=True, help="Print the id of the run and exit without waiting."),
        click.option("--model", help="Language model of the run."),
        click.option("--system-prompt", type=Text(), help="Instructions of the run, or - for standard input."),
        click.option("--prompt", type=Text(), help="Prompt to continue with, or - for standard input."),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def checkpoint() -> None:
    """List, restore and fork points of a run."""


@checkpoint.command("list")
@click.argument("run_id", type=Id())
@limit_option("checkpoints", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, run_id: int, limit: int, fields: Fields) -> None:
    """List the checkpoints of a run, newest first."""
    found = (checkpoint.model_dump() for checkpoint in api.checkpoints.list(run_id))
    show_list(islice(found, limit), fields, COLUMNS, "The run has no checkpoints.")


@checkpoint.command()
@click.argument("checkpoint_id")
@json_option
@with_api
def view(api: CodegenAPI, checkpoint_id: str, fields: Fields) -> None:
    """Show a checkpoint with the conversation until then."""
    show(api.checkpoints.get(checkpoint_id).model_dump(), fields, _lines)


@checkpoint.command()
@click.argument("run_id", type=Id())
@click.option("--description", help="What it is for.")
@click.option("--tag", "tags", multiple=True, help="Tag to keep with it; repeatable.")
@json_option
@with_api
def create(api: CodegenAPI, run_id: int, description: str | None, tags: tuple[str, ...], fields: Fields) -> None:
    """Make a checkpoint of a run as it is now, and print its id."""
    made = api.checkpoints.create(run_id, description=description, tags=tags)
    show(made.model_dump(), fields, lambda record: click.echo(visible(str(record["id"]))))


@checkpoint.command()
@click.argument("checkpoint_id")
@click.option("--same-run", is_flag=True, help="Tell the same run to go back, instead of starting a new one.")
@modification_options
@with_api
def restore(
    api: CodegenAPI, /, checkpoint_id: str, same_run: bool, detach: bool, fields: Fields, **modifications: Any
) -> None:
    """Continue from a checkpoint in a new run, and print its answer.

    The run gets the conversation until then again. The files of its sandbox are not rewound.
    """
    options = {**modifications, "create_new_run": not same_run}
    _follow(api, starting(api, lambda: api.checkpoints.restore(checkpoint_id, **options)), detach, fields)


@checkpoint.command()
@click.argument("checkpoint_id")
@modification_options
@with_api
def fork(api: CodegenAPI, /, checkpoint_id: str, detach: bool, fields: Fields, **modifications: Any) -> None:
    """Start another run from a checkpoint, usually with another prompt, and print its answer.

    The run of the checkpoint does not change.
    """
    _follow(api, starting(api, lambda: api.checkpoints.fork(checkpoint_id, **modifications)), detach, fields)


@checkpoint.command()
@click.argument("checkpoint_id")
@json_option
@with_api
def lineage(api: CodegenAPI, checkpoint_id: str, fields: Fields) -> None:
    """Show which runs a checkpoint came from, and which runs came from it."""
    show(api.checkpoints.lineage(checkpoint_id).model_dump(), fields, _lineage)


def _follow(api: CodegenAPI, started: RestoredRun, detach: bool, fields: Fields) -> None:
    """Follow the run that continues from a checkpoint, unless it waits for its launch."""
    click.echo(visible(started.detail), err=True)
    if detach or started.agent_run_id is None:
        show(started.model_dump(), fields, lambda _record: click.echo(started.agent_run_id or started.key))
        return
    task = api.get_task(started.agent_run_id)
    announce_run(task)
    follow(api, task, None, fields)


def _lines(found: Record) -> None:
    details(
        [
            ("Checkpoint", found.get("id")),
            ("Run", found.get("run")),
            ("Turn", found.get("turn")),
            ("Reason", found.get("reason")),
            ("Status", found.get("status")),
            ("Summary", first_line(found.get("summary"))),
            ("Created", time(found.get("created_at"))),
            ("Tags", found.get("tags")),
            ("Branch", found.get("branch_name")),
            *(("Pull request", link.get("url")) for link in found.get("pull_requests") or []),
        ]
    )
    for message in found.get("chain") or []:
        click.echo(visible(f"\n{message.get('role')} (turn {message.get('turn')}):\n{message.get('text')}"))


def _lineage(found: Record) -> None:
    rows = [
        (where, entry.get("action"), entry.get("checkpoint_id"), entry.get("child"), time(entry.get("created_at"))[:19])
        for where, entries in (("came from", found.get("ancestors")), ("led to", found.get("descendants")))
        for entry in entries or []
    ]
    if rows:
        table(("", "ACTION", "CHECKPOINT", "RUN", "CREATED"), rows)
    else:
        click.echo("No restore or fork led to this checkpoint or came from it.", err=True)
