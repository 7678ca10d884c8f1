"""Output of the commands: progress bars and tables on a terminal, plain lines elsewhere.

Progress goes to standard error, so that standard output has only the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from codegen_api import MultiRun, Task, TaskEvent

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
                progress.console.print(event.text, markup=False, highlight=False, soft_wrap=True)

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
                    progress.console.print(f"{name}: {state}", markup=False, highlight=False, soft_wrap=True)

        yield show


def answer(markdown: str) -> None:
    """Print an answer. On a terminal its Markdown is rendered; a program reads it unchanged."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(markdown))
    else:
        print(markdown)  # noqa: T201 - what the command was run for


def runs(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of runs."""
    table = Table(box=None, pad_edge=False)
    for column in ("id", "status", "created", "from", "what"):
        table.add_column(column.upper(), no_wrap=column != "what", overflow="fold")
    for row in rows:
        status = str(row.get("status") or "").lower()
        what = row.get("note") or row.get("prompt") or row.get("summary") or row.get("result_preview") or ""
        table.add_row(
            str(row["id"]),
            f"[{STYLES.get(status, 'default')}]{escape(status)}[/]",
            str(row.get("created_at") or "")[:19].replace("T", " "),
            escape(str(row.get("source_type") or "")),
            escape(str(what).strip().partition("\n")[0]),
        )
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)


def _states(multi_run: MultiRun) -> Iterator[tuple[str, str]]:
    for candidate in multi_run.candidates or []:
        run = f", run {candidate.agent_run_id}" if candidate.agent_run_id else ""
        reason = f": {candidate.reason}" if candidate.reason else ""
        yield f"candidate {candidate.index + 1}", f"{candidate.status}{run}{reason}"
    if multi_run.synthesis:
        yield "synthesis", str(multi_run.synthesis.get("status"))


def _progress(count: str) -> Progress:
    console = Console(stderr=True)
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
