"""Drawing on a terminal: progress, tables and Markdown; elsewhere plain lines.

Progress goes to standard error, so that standard output has only the answer.

What agents and repositories wrote is text: `visible` writes out the characters that a terminal would obey, and Rich
gets it as `Text`, which has no markup and no emoji codes. A program that reads the output gets the answer unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, TextIO

import click
from markdown_it.token import Token
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text
from rich.theme import Theme

from codegen_api import Event, MultiRun, QueuePlace, Task

from .terminal import can_draw, is_terminal, visible

STYLES = {
    "cancelled": "color(243)",
    "cancelling": "color(243)",
    "completed": "color(29)",
    "failed": "bold color(131)",
    "incomplete": "bold color(131)",
    "passed": "color(29)",
    "running": "color(63)",
    "timed_out": "bold color(131)",
}
"""The styles of status words: grey, green, red and blue of the palette of 256 colours.

Each has a contrast of at least 4.5 to white and to black. None of the 16 colours has that on every terminal: green and
cyan are pale on white, red and blue are dark on black. So a terminal with 16 colours shows the words without a colour,
and failures in bold.
"""

MAX_LINE = 300
"""Most characters of a line of progress. The log of the run has the whole text."""

MAX_COLUMN = 40
"""Widest column of a table, except the last one."""

# The styles of Rich have backgrounds, which are black boxes on a light terminal, and colours that are
# unreadable on some backgrounds: blue on black, yellow and cyan on white.
_THEME = Theme(
    {
        "markdown.block_quote": "italic",
        "markdown.code": "bold",
        "markdown.h1": "bold",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "italic",
        "markdown.hr": "dim",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "default",
        "markdown.link_url": "underline",
        "markdown.list": "default",
        "markdown.table.border": "default",
        "markdown.table.header": "bold",
        "bar.complete": "color(63)",
        "bar.finished": "color(29)",
        "bar.pulse": "color(63)",
        "progress.download": "default",
        "progress.elapsed": "default",
        "progress.spinner": "default",
    }
)


@contextmanager
def events(task: Task) -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows an event. A progress bar counts the steps of the agent."""
    with steps(f"Run {task.id}", lambda: f"Run {task.id}: {task.status}") as show:
        yield show


@contextmanager
def steps(name: str, described: Callable[[], str] | None = None) -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows an event, with a bar that counts the steps."""
    with _progress("{task.completed} steps") as progress:
        bar = progress.add_task(name, total=None)

        def show(event: Event) -> None:
            if event.type == "run.log":
                progress.advance(bar)
            progress.update(bar, description=described() if described else name)
            if event.type != "run.log_updated":
                _line(progress.console, event.text)

        yield show


@contextmanager
def candidates(multi_run: MultiRun) -> Iterator[Callable[[MultiRun], None]]:
    """Yield a function that shows a multi-run: a progress bar, and a line for each candidate that changed."""
    shown: dict[str, str] = {}
    with _progress("") as progress:
        bar = progress.add_task(multi_run.id, total=multi_run.requested)

        def show(now: MultiRun) -> None:
            progress.update(
                bar, completed=now.counts.finished if now.counts else 0, description=f"{now.id}: {now.status}"
            )
            for name, state in _states(now):
                if shown.get(name) != state:
                    shown[name] = state
                    _line(progress.console, f"{name}: {state}")

        yield show


def answer(markdown: str) -> None:
    """Print an answer. On a terminal its Markdown is drawn; a program reads it unchanged."""
    if can_draw(sys.stdout):
        _console(sys.stdout).print(_Answer(visible(markdown)))
    else:
        # `color` keeps click from removing what looks like a colour: the answer may be a file.
        click.echo(visible(markdown) if is_terminal(sys.stdout) else markdown, color=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table. Its last column gets the rest of the width; an address that does not fit gets a line of its own."""
    console = _console(sys.stdout)
    *firsts, _ = zip(*(heads, *rows), strict=True)
    widths = [min(max(map(cell_len, column)), MAX_COLUMN) for column in firsts]
    rest = max(console.width - sum(widths) - 2 * len(widths), len(heads[-1]))
    for row in (heads, *rows):
        styles = ["bold" if row is heads else _style(console, cell) for cell in row]
        line = Text()
        for cell, width, style in zip(row, widths, styles, strict=False):
            part = Text(cell, style)
            part.truncate(width, overflow="ellipsis", pad=True)
            line.append_text(part).append("  ")
        last = Text(row[-1], styles[-1])
        if "://" in row[-1] and cell_len(row[-1]) > rest:
            line.rstrip()
            line.append("\n")
        else:
            last.truncate(rest, overflow="ellipsis")
        # Soft, because a line that Rich breaks is copied with the break.
        console.print(line.append_text(last), soft_wrap=True)


def _style(console: Console, word: str) -> str:
    """Return the style of a status word, as far as the terminal has its colour."""
    style = STYLES.get(word, "")
    return style if console.color_system in ("256", "truecolor") else "bold" if style.startswith("bold") else ""


def _line(console: Console, text: str) -> None:
    """Print one line of progress. It is cut: at the width of a terminal, and elsewhere after some sentences."""
    line = Text(visible(text).replace("\n", " "))
    if not console.is_terminal:
        line.truncate(MAX_LINE, overflow="ellipsis")
    console.print(line, soft_wrap=not console.is_terminal, no_wrap=True, overflow="ellipsis")


class _Code(CodeBlock):
    """A block of code in the colour of the terminal's text, which is readable on every background."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip()), (0, 0, 0, 2))


def _linked(tokens: Iterable[Token]) -> Iterator[Token]:
    """Replace images by links to them. Rich would show an image before the text around it, and without its address."""
    for token in tokens:
        if token.type == "image":
            yield Token("link_open", "a", 1, attrs={"href": token.attrs.get("src", "")})
            yield Token("text", "", 0, content=token.content)
            yield Token("link_close", "a", -1)
        else:
            yield token


class _Answer(Markdown):
    # Without hyperlinks, so that each address is seen.
    elements: ClassVar = {**Markdown.elements, "fence": _Code, "code_block": _Code}

    def __init__(self, markdown: str) -> None:
        super().__init__(markdown, hyperlinks=False)
        for token in self.parsed:
            token.children = token.children and list(_linked(token.children))


def _states(multi_run: MultiRun) -> Iterator[tuple[str, str]]:
    for candidate in multi_run.candidates or []:
        run = f", run {candidate.agent_run_id}" if candidate.agent_run_id else ""
        reason = f": {candidate.reason}" if candidate.reason else ""
        place = _place(candidate.queue) if candidate.queue and candidate.status == "queued" else ""
        yield f"candidate {candidate.index + 1}", f"{candidate.status}{place}{run}{reason}"
    if multi_run.synthesis:
        yield "synthesis", multi_run.synthesis.status.value


def _place(queue: QueuePlace) -> str:
    ahead = "1 run" if queue.position == 1 else f"{queue.position} runs"
    return f", {ahead} ahead" + (
        f", expected at {queue.expected_at:%Y-%m-%d %H:%M:%S} UTC" if queue.expected_at else ""
    )


class _Bar(Progress):
    def stop(self) -> None:
        # Rich before 15 writes an empty line where it draws nothing.
        if not self.disable:
            super().stop()


def _progress(count: str) -> Progress:
    console = _console(sys.stderr)
    counted = TextColumn(count) if count else MofNCompleteColumn()
    return _Bar(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None if count == "" else 20),
        counted,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _console(stream: TextIO) -> Console:
    return Console(
        file=stream, force_terminal=can_draw(stream), highlight=False, markup=False, emoji=False, theme=_THEME
    )
