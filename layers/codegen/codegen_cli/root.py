"""The command `codegen-runs`: its groups, short spellings, and the options before a command."""

from __future__ import annotations

from typing import Any

import click

from .groups import (
    agent,
    api,
    audit,
    auth,
    budget,
    chat,
    checkpoint,
    completion,
    config,
    doorbell,
    limits,
    member,
    model,
    multi_run,
    repo,
    run,
    star,
    token,
    usage,
    webhook,
    webhook_endpoint,
)
from .options import Group
from .session import Session, errors_as_messages, log_requests
from .terminal import lose_nothing

EPILOG = (
    "Exit codes: 0 if it succeeded, 1 if a request or a run failed, 2 for a usage or configuration error or an "
    "operation that needs a deployment, 130 after Ctrl-C."
)


class Root(Group):
    """The command itself. Its help lists the groups, then the short spellings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.short: dict[str, str] = {}

    def add_short(self, name: str, command: click.Command, spelling: str) -> None:
        """Add a short spelling of a command of a group."""
        self.add_command(command, name)
        self.short[name] = spelling

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error becomes a message."""
        with errors_as_messages():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the groups and the short spellings."""
        commands = [(name, command) for name, command in self.commands.items() if name not in self.short]
        width = formatter.width - 6 - max(len(name) for name, _ in commands)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(width)) for name, command in commands])
        with formatter.section("Short spellings"):
            formatter.write_dl(list(self.short.items()))


def show_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    """Print the version and exit."""
    if is_wanted and not context.resilient_parsing:
        from codegen_api import __version__

        click.echo(f"codegen-runs {__version__}")
        context.exit()


@click.group(name="codegen-runs", cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=show_version, help="Print the version."
)
@click.option(
    "--org-id", help="Id of the organization. Default: CODEGEN_ORG_ID, else org_id in ~/.codegen/config.json."
)
@click.option(
    "--base-url",
    help="URL of the Codegen API or of a deployment of Codegen Runs. Default: CODEGEN_BASE_URL, else the file.",
)
@click.option("--debug", is_flag=True, help="Log every request to standard error.")
@click.pass_context
def commands(context: click.Context, org_id: str | None, base_url: str | None, debug: bool) -> None:
    """Run coding agents, follow their progress and print their answers.

    Log in once with `codegen-runs auth login`, or set CODEGEN_API_TOKEN and CODEGEN_ORG_ID. There is no option for the
    token, because other users of the machine can see command lines.
    """
    lose_nothing()
    session = context.ensure_object(Session)
    session.org_id, session.base_url = org_id, base_url
    if debug:
        log_requests(context)


for group in (
    run.run,
    multi_run.multi_run,
    chat.chat,
    agent.agent,
    checkpoint.checkpoint,
    star.star,
    repo.repo,
    model.model,
    limits.limits,
    usage.usage,
    budget.budget,
    audit.audit,
    member.member,
    token.token,
    webhook.webhook,
    webhook_endpoint.webhook_endpoint,
    doorbell.doorbell,
    auth.auth,
    config.config,
    completion.completion,
    api.api,
):
    commands.add_command(group)

commands.add_short("list", run.list_, "codegen-runs run list")
commands.add_short("watch", run.watch, "codegen-runs run watch")
commands.add_short("cancel", run.cancel, "codegen-runs run cancel")
commands.add_short("compare", multi_run.compare, "codegen-runs multi-run compare")
