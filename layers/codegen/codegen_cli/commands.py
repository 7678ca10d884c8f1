"""The commands. Each calls the client and shows the result."""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec

import click

from codegen_api import (
    CodegenAPI,
    CodegenAPIError,
    ConfigurationError,
    ConfigurationWarning,
    ConflictError,
    InvalidArgumentError,
    MultiRun,
    NotSupportedError,
    Task,
    __version__,
)

from . import display
from .terminal import lose_nothing, standard_input, visible

P = ParamSpec("P")

MULTI_RUN_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

FAILED = 1
INTERRUPTED = 130


class Id(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """An id: ASCII digits only. Python's own integers also have signs, underscores and the digits of all scripts."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the id as an integer."""
        if isinstance(value, int):
            return value
        if not (value.isascii() and value.isdecimal()):
            self.fail(f"{value!r} is not an id, such as 100001.", param, ctx)
        return int(value)


class RunOrMultiRun(Id):
    """The id of a run, which is an integer, or of a multi-run, which begins with a letter."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the id of a run as an integer, and that of a multi-run as a text."""
        if isinstance(value, str) and MULTI_RUN_ID.fullmatch(value):
            return value
        return super().convert(value, param, ctx)


def with_api(command: Callable[Concatenate[CodegenAPI, P], None]) -> Callable[P, None]:
    """Pass a client to a command. It is created only when the command runs, so `--help` needs no token."""

    @click.pass_context
    def run(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with _errors_as_messages(), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ConfigurationWarning)
            api = context.with_resource(context.obj())
        for warning in warned:
            click.echo(f"Warning: {warning.message}", err=True)
        command(api, *args, **kwargs)

    return update_wrapper(run, command)


@click.group(name="codegen-runs", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
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

    Set your token in CODEGEN_TOKEN or in ~/.codegen/config.json. There is no option for it, because other users of
    the machine can see command lines.
    """
    lose_nothing()
    if debug:
        log, handler = logging.getLogger("codegen_api"), logging.StreamHandler(sys.stderr)
        log.setLevel(logging.DEBUG)
        log.addHandler(handler)
        context.call_on_close(lambda: log.removeHandler(handler))
    context.obj = partial(CodegenAPI, org_id, base_url=base_url)


@commands.command()
@click.argument("prompt")
@click.option("--repo-id", type=Id(), help="Id of the repository to work in.")
@click.option("--model", help="Language model. Default: the organization's.")
@click.option("--agent", "agent_id", help="Id of an agent of the deployment.")
@click.option("--detach", is_flag=True, help="Print the id of the run and exit without waiting.")
@with_api
def run(
    api: CodegenAPI, prompt: str, repo_id: int | None, model: str | None, agent_id: str | None, detach: bool
) -> None:
    """Start a run, show its progress and print its answer.

    Use - as PROMPT to read the prompt from standard input.
    """
    with _errors_as_messages():
        task = api.run_task(_read_prompt(prompt), repo_id=repo_id, model=model, agent_id=agent_id)
    if detach:
        click.echo(task.id)
    else:
        _follow(task, None)


@commands.command()
@click.argument("run_id", type=Id())
@click.option("--after", help="Show only the events after the one with this id.")
@with_api
def watch(api: CodegenAPI, run_id: int, after: str | None) -> None:
    """Show all events of a run until it ends, then print its answer."""
    with _errors_as_messages():
        task = api.get_task(run_id)
    _follow(task, after)


@commands.command("multi-run")
@click.argument("prompt")
@click.option("-n", "--concurrency", type=click.IntRange(1, 20), default=3, show_default=True, help="Number of runs.")
@click.option(
    "--strategy", type=click.Choice(["synthesize", "select", "none"]), help="How to get one answer from several."
)
@click.option(
    "--quorum", type=click.IntRange(1, 20), help="Minimum number of usable answers. With fewer, the multi-run fails."
)
@click.option("--repo-id", type=Id(), help="Id of the repository to work in.")
@click.option("--model", help="Language model. Default: the organization's.")
@click.option("--poll-interval", type=float, default=2.0, show_default=True, help="Seconds between two polls.")
@with_api
def multi_run(api: CodegenAPI, /, prompt: str, poll_interval: float, **options: Any) -> None:
    """Run a prompt several times and print one answer.

    Use - as PROMPT to read the prompt from standard input.
    """
    with _errors_as_messages():
        started = api.multi_runs.create(_read_prompt(prompt), **options)
        with (
            _on_interrupt(f"The multi-run continues. Cancel it with: codegen-runs cancel {started.id}"),
            display.candidates(started) as show,
        ):
            ended = api.multi_runs.wait(started.id, None, poll_interval, on_progress=show)
    _show_result(ended)


@commands.command()
@click.argument("multi_run_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@with_api
def compare(api: CodegenAPI, multi_run_id: str, as_json: bool) -> None:
    """Compare the candidates of a multi-run."""
    with _errors_as_messages():
        found = api.multi_runs.compare(multi_run_id)
    if as_json:
        click.echo(json.dumps(found.model_dump(), indent=2))
    else:
        display.comparison(found)


@commands.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Maximum number of runs.")
@click.option("--starred", is_flag=True, help="List the runs that you starred.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@with_api
def list_(api: CodegenAPI, limit: int, starred: bool, as_json: bool) -> None:
    """List runs, newest first."""
    with _errors_as_messages():
        if starred:
            found = [star.model_dump() for star in api.starred_runs.list()[:limit]]
            rows = [{**(star.get("run") or {}), "id": star["agent_run_id"], "note": star["note"]} for star in found]
        else:
            rows = found = [run.model_dump() for run in api.runs.list(limit=limit).items]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        display.runs(rows)


@commands.command()
@click.argument("run_id", type=Id())
@click.option("--note", help="Note to keep with the star.")
@click.option("--remove", is_flag=True, help="Remove the star.")
@with_api
def star(api: CodegenAPI, run_id: int, note: str | None, remove: bool) -> None:
    """Star a run, so that `list --starred` shows it."""
    with _errors_as_messages():
        if remove:
            api.starred_runs.unstar(run_id)
        else:
            api.starred_runs.star(run_id, note=note)
    click.echo(f"{run_id} is {'not starred' if remove else 'starred'}.")


@commands.command()
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
    with _errors_as_messages():
        if isinstance(run_id, int):
            status: str = api.get_task(run_id).cancel(allow_pr_ban=allow_pr_ban, reason=reason).raw_status or "unknown"
        else:
            status = api.multi_runs.cancel(run_id, allow_pr_ban=allow_pr_ban).status
    click.echo(f"{run_id} is {status.lower()}.")


def _follow(task: Task, after: str | None) -> None:
    hint = f"The run continues. Follow it with: codegen-runs watch {task.id}"
    with _errors_as_messages(), _on_interrupt(hint), display.events(task) as show:
        for event in task.stream(after=after):
            show(event)
    if task.is_successful():
        display.answer(task.result or task.summary or "")
        return
    reason = f": {visible(task.error)}" if task.error else "."
    click.echo(f"Run {task.id} ended as {task.status.value}{reason}", err=True)
    sys.exit(FAILED)


def _show_result(multi_run: MultiRun) -> None:
    if multi_run.answer:
        display.answer(multi_run.answer.text)
    else:
        for candidate in multi_run.candidates or []:
            display.answer(f"## {candidate.index + 1}\n\n{candidate.result or candidate.reason or candidate.status}")
    if multi_run.status != "completed":
        reason = multi_run.reason or "no reason given"
        click.echo(f"Multi-run {multi_run.id} ended as {multi_run.status}: {visible(reason)}", err=True)
        sys.exit(FAILED)


def _read_prompt(prompt: str) -> str:
    """Return the prompt, which is on standard input if the argument is `-`."""
    return standard_input() if prompt == "-" else prompt


@contextmanager
def _on_interrupt(hint: str) -> Iterator[None]:
    """On Ctrl-C, print what continues and exit."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{hint}", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    """Exit with a message instead of a traceback when the client raises an error."""
    try:
        yield
    except (ConfigurationError, InvalidArgumentError, NotSupportedError) as error:
        raise click.UsageError(visible(str(error))) from None
    except ConflictError as error:
        remedy = error.body.get("remedy") if isinstance(error.body, dict) else None
        raise click.ClickException(visible(f"{error.message} {remedy or ''}".strip())) from None
    except CodegenAPIError as error:
        raise click.ClickException(visible(str(error))) from None
