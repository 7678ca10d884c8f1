"""The commands. Each is a call or two of the client, and what of it is shown."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec

import click

from codegen_api import (
    CodegenAPI,
    CodegenAPIError,
    ConfigurationError,
    ConflictError,
    MultiRun,
    NotSupportedError,
    Task,
    __version__,
)

from . import display

P = ParamSpec("P")

FAILED = 1
INTERRUPTED = 130


def with_api(command: Callable[Concatenate[CodegenAPI, P], None]) -> Callable[P, None]:
    """Give a command its client, which is made only now: help needs no token."""

    @click.pass_context
    def run(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with _in_words():
            api = context.with_resource(context.obj())
        command(api, *args, **kwargs)

    return update_wrapper(run, command)


@click.group(name="codegen-runs", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--org-id", help="The organization; else CODEGEN_ORG_ID or ~/.codegen/config.json.")
@click.option("--base-url", help="Codegen itself or a deployment of Codegen Runs; else CODEGEN_BASE_URL or the file.")
@click.option("--debug", is_flag=True, help="Log each request to standard error.")
@click.pass_context
def commands(context: click.Context, org_id: str | None, base_url: str | None, debug: bool) -> None:
    """Run coding agents, watch them, and get their answers.

    The token is that of CODEGEN_TOKEN or ~/.codegen/config.json: on a command line, others could read it.
    """
    if debug:
        log, handler = logging.getLogger("codegen_api"), logging.StreamHandler(sys.stderr)
        log.setLevel(logging.DEBUG)
        log.addHandler(handler)
        context.call_on_close(lambda: log.removeHandler(handler))
    context.obj = partial(CodegenAPI, org_id, base_url=base_url)


@commands.command()
@click.argument("prompt")
@click.option("--repo-id", type=int, help="The repository to work in.")
@click.option("--model", help="The language model.")
@click.option("--agent", "agent_id", help="An agent of the deployment.")
@click.option("--detach", is_flag=True, help="Print the run's id and do not wait.")
@with_api
def run(
    api: CodegenAPI, prompt: str, repo_id: int | None, model: str | None, agent_id: str | None, detach: bool
) -> None:
    """Start a run, show what the agent does, and print its answer."""
    with _in_words():
        task = api.run_task(_read(prompt), repo_id=repo_id, model=model, agent_id=agent_id)
    if detach:
        click.echo(task.id)
    else:
        _follow(task, None)


@commands.command()
@click.argument("run_id", type=int)
@click.option("--after", help="The id of the last event that is known.")
@with_api
def watch(api: CodegenAPI, run_id: int, after: str | None) -> None:
    """Show what an agent has done and does, to the end, and print its answer."""
    with _in_words():
        task = api.get_task(run_id)
    _follow(task, after)


@commands.command("multi-run")
@click.argument("prompt")
@click.option("-n", "--concurrency", type=click.IntRange(1, 20), default=3, show_default=True, help="How many runs.")
@click.option("--strategy", type=click.Choice(["synthesize", "select", "none"]), help="How their answers become one.")
@click.option("--quorum", type=click.IntRange(1, 20), help="With fewer usable answers it fails.")
@click.option("--repo-id", type=int, help="The repository to work in.")
@click.option("--model", help="The language model.")
@click.option("--poll-interval", type=float, default=2.0, show_default=True, help="Seconds between two looks.")
@with_api
def multi_run(api: CodegenAPI, /, prompt: str, poll_interval: float, **options: Any) -> None:
    """Start several runs of one prompt, and print the answer that theirs become."""
    with _in_words():
        made = api.multi_runs.create(_read(prompt), **options)
        with _going_on(f"It goes on; cancel it with: codegen-runs cancel {made.id}"), display.candidates(made) as show:
            ended = api.multi_runs.wait(made.id, None, poll_interval, on_progress=show)
    _end_of(ended)


@commands.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many runs.")
@click.option("--starred", is_flag=True, help="Those that you starred.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@with_api
def list_(api: CodegenAPI, limit: int, starred: bool, as_json: bool) -> None:
    """List runs, newest first."""
    with _in_words():
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
@click.argument("run_id", type=int)
@click.option("--note", help="Why.")
@click.option("--remove", is_flag=True, help="Take the star away.")
@with_api
def star(api: CodegenAPI, run_id: int, note: str | None, remove: bool) -> None:
    """Star a run, to find it again."""
    with _in_words():
        if remove:
            api.starred_runs.unstar(run_id)
        else:
            api.starred_runs.star(run_id, note=note)
    click.echo(f"{run_id} is {'not starred' if remove else 'starred'}.")


@commands.command()
@click.argument("run_id")
@click.option("--allow-pr-ban", is_flag=True, help="Ban the pull request: stops all its agents, and mutes its checks.")
@click.option("--reason", help="Kept with the run.")
@with_api
def cancel(api: CodegenAPI, run_id: str, allow_pr_ban: bool, reason: str | None) -> None:
    """Cancel a run, or by its id a multi-run. An agent that works is stopped only with --allow-pr-ban."""
    with _in_words():
        if run_id.isdecimal():
            status: str = api.get_task(run_id).cancel(allow_pr_ban=allow_pr_ban, reason=reason).raw_status or "unknown"
        else:
            status = api.multi_runs.cancel(run_id, allow_pr_ban=allow_pr_ban).status
    click.echo(f"{run_id} is {status.lower()}.")


def _follow(task: Task, after: str | None) -> None:
    remark = f"It goes on; watch it with: codegen-runs watch {task.id}"
    with _in_words(), _going_on(remark), display.events(task) as show:
        for event in task.stream(after=after):
            show(event)
    if task.is_successful():
        display.answer(task.result or task.summary or "")
        return
    click.echo(f"{task.id} is {task.status.value}{f': {task.error}' if task.error else '.'}", err=True)
    sys.exit(FAILED)


def _end_of(multi_run: MultiRun) -> None:
    if multi_run.answer:
        display.answer(multi_run.answer.text)
    else:
        for candidate in multi_run.candidates or []:
            display.answer(f"## {candidate.index + 1}\n\n{candidate.result or candidate.reason or candidate.status}")
    if multi_run.status != "completed":
        click.echo(f"{multi_run.id} is {multi_run.status}: {multi_run.reason or 'no reason given'}", err=True)
        sys.exit(FAILED)


def _read(prompt: str) -> str:
    """Return the prompt; `-` stands for what comes by standard input."""
    return sys.stdin.read() if prompt == "-" else prompt


@contextmanager
def _going_on(remark: str) -> Iterator[None]:
    """Leave on Ctrl-C with a remark on what that does not stop."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{remark}", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def _in_words() -> Iterator[None]:
    """End with a sentence where the client cannot do what it is asked for."""
    try:
        yield
    except (ConfigurationError, NotSupportedError) as error:
        raise click.UsageError(str(error)) from None
    except ConflictError as error:
        hint = error.body.get("remedy") if isinstance(error.body, dict) else None
        raise click.ClickException(f"{error.message} {hint or ''}".strip()) from None
    except CodegenAPIError as error:
        raise click.ClickException(str(error)) from None
