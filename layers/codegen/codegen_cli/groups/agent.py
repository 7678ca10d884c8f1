"""`codegen-runs agent`: the agents of a deployment."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..options import Group, Id, JsonObject, Text, json_option, limit_option
from ..output import Fields, Record, details, show, show_list
from ..session import with_api
from ..terminal import visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI

COLUMNS = (
    ("ID", lambda agent: agent.get("id")),
    ("VERSION", lambda agent: agent.get("version")),
    ("TYPE", lambda agent: agent.get("type")),
    ("TAGS", lambda agent: agent.get("tags")),
    ("NAME", lambda agent: agent.get("name")),
)
TYPES = ("general", "code_review", "issue_resolver", "documentation", "testing")


def profile_options(command: Any) -> Any:
    """Add the options for what an agent consists of."""
    for option in (
        click.option("--tag", "tags", multiple=True, help="Tag to filter lists by; repeatable."),
        click.option("--repo-id", type=Id(), help="Id of the repository for runs that name none."),
        click.option("--model", help="Language model of its runs."),
        click.option("--configuration", type=JsonObject(), help="JSON object that is part of the instructions."),
        click.option("--system-prompt", type=Text(), help="Instructions, or - to read them from standard input."),
        click.option("--description", help="Purpose of the agent."),
        click.option("--type", "agent_type", type=click.Choice(TYPES), help="Type of work that it is made for."),
    ):
        command = option(command)
    return command


@click.group(cls=Group)
def agent() -> None:
    """Create, list, change and delete agents."""


@agent.command("list")
@limit_option("agents", 1000)
@click.option("--tag", help="Only with this tag.")
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, tag: str | None, fields: Fields) -> None:
    """List agents, newest first."""
    found = (profile.model_dump() for profile in api.agents.list(tag=tag))
    show_list(islice(found, limit), fields, COLUMNS, "There are no agents.")


@agent.command()
@click.argument("agent_id")
@click.option("--version", type=click.IntRange(1), help="An earlier version.")
@json_option
@with_api
def view(api: CodegenAPI, agent_id: str, version: int | None, fields: Fields) -> None:
    """Show an agent: its instructions, model and repository."""
    show(api.agents.get(agent_id, version=version).profile.model_dump(), fields, _lines)


@agent.command()
@click.argument("agent_id")
@limit_option("versions")
@json_option
@with_api
def versions(api: CodegenAPI, agent_id: str, limit: int, fields: Fields) -> None:
    """List the versions of an agent, newest first, also of a deleted one."""
    found = (profile.model_dump() for profile in api.agents.versions(agent_id))
    show_list(islice(found, limit), fields, COLUMNS, "There are no versions.")


@agent.command()
@click.argument("name")
@click.option("--id", "agent_id", help="Id to start runs with, such as reviewer. Default: the deployment makes one.")
@profile_options
@json_option
@with_api
def create(api: CodegenAPI, /, name: str, agent_id: str | None, fields: Fields, **options: Any) -> None:
    """Create an agent.

    NAME is the name that people see.
    """
    options["agent_type"] = options["agent_type"] or "general"
    made = api.agents.create(name, agent_id=agent_id, **_given(options))
    show(made.profile.model_dump(), fields, lambda record: click.echo(visible(str(record["id"]))))


@agent.command()
@click.argument("agent_id")
@click.option("--name", help="Name that people see.")
@profile_options
@click.option("--version", type=int, help="Change this version only. Fails if there is a newer one.")
@json_option
@with_api
def edit(api: CodegenAPI, /, agent_id: str, fields: Fields, **options: Any) -> None:
    """Change an agent, which makes its next version. What no option names stays."""
    changed = api.agents.update(agent_id, **_given(options))
    said = visible(f"{changed.id} has version {changed.version}.")
    show(changed.profile.model_dump(), fields, lambda _record: click.echo(said))


@agent.command()
@click.argument("agent_id")
@with_api
def delete(api: CodegenAPI, agent_id: str) -> None:
    """Delete an agent. Its versions stay readable."""
    api.agents.delete(agent_id)
    click.echo(visible(f"{agent_id} is deleted."))


def _given(options: Record) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _lines(found: Record) -> None:
    details(
        [
            ("Agent", found.get("id")),
            ("Name", found.get("name")),
            ("Type", found.get("type")),
            ("Version", found.get("version")),
            ("Description", found.get("description")),
            ("Model", found.get("model")),
            ("Repository", found.get("repo_id")),
            ("Tags", found.get("tags")),
            ("Changed", time(found.get("updated_at"))),
            ("Deleted", time(found.get("deleted_at"))),
        ]
    )
    if configuration := found.get("configuration"):
        click.echo(visible(f"\nConfiguration:\n{json.dumps(configuration, indent=2, ensure_ascii=False)}"))
    if system_prompt := found.get("system_prompt"):
        click.echo(visible(f"\nInstructions:\n{system_prompt}"))
