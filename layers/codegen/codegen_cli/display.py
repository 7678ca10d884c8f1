"""Output of the commands: progress bars and tables on a terminal, plain lines elsewhere.

Progress goes to standard error, so that standard output has only the answer.

What agents and repositories wrote is text: `visible` writes out the characters that a terminal would obey, and Rich
gets it as `Text`, which has no markup and no emoji codes. A program that reads the output gets the answer unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from codegen_api import ComparedCandidate, Comparison, MultiRun, Task, TaskEvent

from .terminal import is_terminal, visible

STYLES = {"completed": "green", "complete": "green", "failed": "red", "error": "red", "running": "cyan"}


@contextmanager
def events(task: Task) -> Iterator[Callable[[TaskEvent], None]]:
    """Yield a function that shows an event. A progress bar counts the steps of the agent."""
    with _progress("{task.completed} steps") as progress:
        bar = progress.add_task(f"Run {task.id}", total=None)

        def show(event: TaskEvent) -> None:
            if event.type == "run.log":
                progress.advance(bar)
            progress.update(bar, description=f"Run {task.id}: {task.status.value}")
            if event.type != "run.log_updated":
                progress.console.print(Text(visible(event.text)), soft_wrap=True)

        yield show


@contextmanager
def candidates(multi_run: MultiRun) -> Iterator[Callable[[MultiRun], None]]:
    """Yield a function that shows a multi-run: a progress bar, and a line for each candidate that changed."""
    shown: dict[str, str] = {}
    with _progress("") as progress:
        bar = progress.add_task(multi_run.id, total=multi_run.requested)

        def show(now: MultiRun) -> None:
            progress.update(bar, completed=(now.counts or {}).get("finished", 0), description=f"{now.id}: {now.status}")
            for name, state in _states(now):
                if shown.get(name) != state:
                    shown[name] = state
                    progress.console.print(Text(visible(f"{name}: {state}")), soft_wrap=True)

        yield show


def answer(markdown: str) -> None:
    """Print an answer. On a terminal its Markdown is rendered; a program reads it unchanged."""
    if is_terminal(sys.stdout):
        # Without hyperlinks, so that each address is seen.
        _console(sys.stdout).print(Markdown(visible(markdown), hyperlinks=False))
    else:
        click.echo(markdown)


def runs(rows: Sequence[dict[str, Any]]) -> None:
    """Print runs: a table on a terminal, elsewhere one line for each run with tabs between its columns."""
    _table(("ID", "STATUS", "CREATED", "FROM", "WHAT"), [_cells(row) for row in rows])


def comparison(found: Comparison) -> None:
    """Print the candidates of a multi-run side by side, in the same forms, and which of their answers agree."""
    columns = ("CANDIDATE", "STATUS", "SECONDS", "STEPS", "FILES", "TESTS", "ERRORS", "PULL REQUESTS")
    _table(columns, [_facts(candidate) for candidate in found.candidates])
    if summary := (found.agreement or {}).get("summary"):
        click.echo(f"Answers: {visible(str(summary))}", err=True)


def _facts(candidate: ComparedCandidate) -> tuple[str, ...]:
    evidence = candidate.evidence or {}
    pull_requests = (
        each.get("url") or each.get("number") or each.get("id") for each in _objects(evidence, "pull_requests")
    )
    cells = (
        candidate.index + 1,
        candidate.status,
        evidence.get("duration_seconds"),
        evidence.get("steps"),
        sum(file.get("access") == "changed" for file in _objects(evidence, "files")) if evidence else None,
        evidence.get("tests_outcome"),
        len(_objects(evidence, "errors")) if evidence else None,
        " ".join(map(str, pull_requests)) or "none",
    )
    return tuple("unknown" if cell is None else visible(str(cell)).replace("\t", " ") for cell in cells)


def _objects(evidence: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = evidence.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not is_terminal(sys.stdout):
        for line in (columns, *rows):
            click.echo("\t".join(line))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column != columns[-1], overflow="fold")
    for first, status, *others in rows:
        table.add_row(Text(first), Text(status, STYLES.get(status, "")), *map(Text, others))
    _console(sys.stdout).print(table)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    what = row.get("note") or row.get("prompt") or row.get("summary") or row.get("result_preview") or ""
    cells = (
        row.get("id") or row.get("key") or "unknown",
        str(row.get("status") or "").lower(),
        str(row.get("created_at") or "")[:19].replace("T", " "),
        row.get("source_type") or "",
        str(what).strip().partition("\n")[0],
    )
    return tuple(visible(str(cell)).replace("\t", " ") for cell in cells)


def _states(multi_run: MultiRun) -> Iterator[tuple[str, str]]:
    for candidate in multi_run.candidates or []:
        run = f", run {candidate.agent_run_id}" if candidate.agent_run_id else ""
        reason = f": {candidate.reason}" if candidate.reason else ""
        yield f"candidate {candidate.index + 1}", f"{candidate.status}{run}{reason}"
    if multi_run.synthesis:
        yield "synthesis", str(multi_run.synthesis.get("status"))


def _progress(count: str) -> Progress:
    console = _console(sys.stderr)
    counted = TextColumn(count) if count else MofNCompleteColumn()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        counted,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _console(stream: TextIO) -> Console:
    return Console(file=stream, force_terminal=is_terminal(stream), highlight=False, markup=False, emoji=False)
