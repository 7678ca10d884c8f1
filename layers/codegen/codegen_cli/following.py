"""Following a run or a multi-run to its end: progress on standard error, the answer on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .output import Fields, Record, as_json, labelled, show
from .records import event_record, run_record
from .session import FAILED, on_interrupt
from .terminal import visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, MultiRun, Task


def announce_run(task: Task) -> None:
    """Say which run was started, and where its page is."""
    if task.web_url:
        _say(f"Run {task.id}: ", task.web_url)
    else:
        click.echo(f"Run {task.id}", err=True)


def announce_multi_run(api: CodegenAPI, multi_run_id: str) -> None:
    """Say which multi-run was started, and where its page is."""
    _say(f"Multi-run {multi_run_id}: ", multi_run_page(api, multi_run_id))


def multi_run_page(api: CodegenAPI, multi_run_id: str) -> str:
    """Return the address of a multi-run in the console of the deployment."""
    from urllib.parse import quote  # for few commands

    return f"{api.base_url}/console#/{api.org_id}/multi-runs/{quote(multi_run_id, safe='')}"


def multi_run_record(api: CodegenAPI, multi_run: MultiRun) -> Record:
    """Return a multi-run with its page, under the name that the page has in the record of a run."""
    return {**multi_run.model_dump(), "web_url": multi_run_page(api, multi_run.id)}


def follow(api: CodegenAPI, task: Task, after: str | None, fields: Fields) -> None:
    """Show the events of a run until it ends, then its answer and its pull requests.

    With `fields`, standard output gets the record of the run instead of the answer. Exits if the run did not complete.
    """
    from . import display

    hint = f"The run continues. Follow it with: codegen-runs run watch {task.id}"
    with on_interrupt(hint), display.events(task) as shown:
        for event in task.stream(after=after):
            shown(event)
    end(api, task, fields)


def print_events(task: Task, after: str | None, fields: Fields) -> None:
    """Print the events of a run as JSON, one in each line, until it ends."""
    with on_interrupt(f"The run continues. Follow it with: codegen-runs run watch {task.id}"):
        for event in task.stream(after=after):
            record = event_record(event)
            click.echo(as_json({name: record.get(name) for name in fields} if fields else record))
    _exit_unless_completed(task)


def end(api: CodegenAPI, task: Task, fields: Fields) -> None:
    """Show the result of a run that has ended."""
    for link in task.pull_requests:
        say_pull_request(link.url, link.title)
    if fields is not None:
        show(run_record(api, task.id), fields, lambda _record: None)
    elif task.is_successful():
        from . import display

        display.answer(task.result or task.summary or "")
    _exit_unless_completed(task)


def say_pull_request(url: str | None, title: str | None) -> None:
    """Print the address of a pull request to standard error."""
    name = f" ({title})" if title else ""
    _say("Pull request: ", f"{url or 'without an address'}{name}")


def follow_multi_run(api: CodegenAPI, multi_run: MultiRun, poll_interval: float, fields: Fields) -> None:
    """Show the candidates of a multi-run until it ends, then its answer. Exits if it did not complete."""
    from . import display

    if multi_run.is_complete():
        show_result(api, multi_run, fields)
        return

    hint = (
        f"The multi-run continues. Follow it with: codegen-runs multi-run watch {multi_run.id}\n"
        f"Cancel it with: codegen-runs multi-run cancel {multi_run.id}"
    )
    with on_interrupt(hint), display.candidates(multi_run) as shown:
        ended = api.multi_runs.wait(multi_run.id, None, poll_interval, on_progress=shown)
    show_result(api, ended, fields)


def show_result(api: CodegenAPI, multi_run: MultiRun, fields: Fields) -> None:
    """Show the answer of a multi-run, or what each candidate answered."""
    from . import display

    answer = multi_run.answer
    for link in answer.pull_requests or [] if answer else []:
        say_pull_request(link.url, link.title)
    if fields is not None:
        show(multi_run_record(api, multi_run), fields, _nothing)
    elif answer:
        display.answer(answer.text)
    else:
        for candidate in multi_run.candidates or []:
            text = candidate.result or candidate.reason or candidate.status
            display.answer(f"## {candidate.index + 1}\n\n{text}")
    if multi_run.is_complete() and multi_run.status != "completed":
        reason = multi_run.reason or "no reason given"
        click.echo(visible(f"Multi-run {multi_run.id} ended as {multi_run.status}: {reason}"), err=True)
        sys.exit(FAILED)


def _say(label: str, value: str) -> None:
    click.echo(labelled(visible(label), visible(value), sys.stderr), err=True)


def _nothing(_record: Record) -> None:
    pass


def _exit_unless_completed(task: Task) -> None:
    if not task.is_successful():
        reason = f": {task.error}" if task.error else "."
        click.echo(visible(f"Run {task.id} ended as {task.status.value}{reason}"), err=True)
        sys.exit(FAILED)
