"""Write docs/command-line.md from the help of the command line: `python -m local.command_page [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from codegen_cli.root import commands

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"

HEAD = """\
# The command line

<!-- Written by `make openapi` from the help of the commands in layers/codegen/codegen_cli. -->

`codegen-runs` runs agents from a terminal, at the Codegen API or at a deployment of Codegen Runs.

```bash
pip install "./layers/codegen[cli]"
codegen-runs auth login                            # or, while `make run` runs: codegen-runs auth login --local
codegen-runs run "Explain how to test a cache"     # show the progress, then the answer
codegen-runs run list --status running
codegen-runs multi-run "Explain it" -n 3           # show the candidates, then the one answer
```

## Output

Answers and lists go to standard output. Progress, links, pull requests and advice go to standard error. A run prints
its id and its page at the start, and the addresses of its pull requests at the end.

- **On a terminal**, Markdown is drawn, lists are tables, and colours are those of the terminal. `NO_COLOR` and
  `TERM=dumb` are respected.
- **Into a file or a pipe**, an answer is its Markdown, and a list has one line for each item, with tabs between the
  columns. Variables such as `FORCE_COLOR` do not change this.
- **`--json`** prints JSON: an object, or one line for each item of a list. `--json id,status` selects fields. A run
  has the fields of a [run card](api.md#run-cards), also at the Codegen API.
- **Text of agents** is shown, not obeyed: characters that a terminal would obey are written out, such as `\\x1b` for
  Escape. A character that the encoding of the output lacks is replaced; in JSON it is escaped.

With `-` in place of a prompt, the prompt is read from standard input, in UTF-8 or in the encoding that its byte order
mark names.

## Waiting

Codegen accepts 10 new runs per minute. A start that has to wait says how long, and how many runs are in the launch
queue. Ctrl-C stops the waiting, not the run: the command prints how to follow it again.

## Exit codes

| code | meaning |
|---|---|
| 0 | It succeeded. With a run or a multi-run that was waited for: it completed. |
| 1 | A request failed, or the run did not complete. |
| 2 | A usage or configuration error, or an operation that needs a deployment. |
| 130 | Ctrl-C. |

## Settings

An option takes precedence over a variable of the environment, and a variable over the file `~/.codegen/config.json`,
which `codegen-runs auth login` writes. [client.md](client.md#settings) lists them; `codegen-runs config show` shows
each, and where it comes from. There is no option for the token, because other users of the machine can see command
lines.
"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    root = click.Context(commands, info_name="codegen-runs")
    yield "## Options before a command\n"
    yield _options(commands, root)
    yield "## Short spellings\n"
    yield "| short | same as |\n|---|---|"
    yield from (f"| `codegen-runs {name}` | {spelling} |" for name, spelling in commands.short.items())
    yield ""
    for name, command in commands.commands.items():
        if name not in commands.short:
            yield from _section(command, click.Context(command, info_name=name, parent=root), level=2)


def _section(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n"
    yield _prose(command.help or "")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _section(inner, click.Context(inner, info_name=name, parent=context), level + 1)
    else:
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```\n{context.command_path} {usage}\n```\n"
        if options := _options(command, context):
            yield options


def _options(command: click.Command, context: click.Context) -> str:
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    rows = [f"| {_code(names)} | {help_} |" for names, help_ in filter(None, records)]
    return "\n".join(["| option | |", "|---|---|", *rows, ""]) if rows else ""


def _prose(text: str) -> str:
    r"""Return a help text as Markdown. A paragraph behind `\b` keeps its lines."""
    paragraphs = [paragraph.strip("\n") for paragraph in text.strip().split("\n\n")]
    drawn = (f"```\n{each[2:]}\n```" if each.startswith("\b\n") else " ".join(each.split()) for each in paragraphs)
    return "\n\n".join(drawn) + "\n"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def main() -> int:
    """Write the page, or with `--check` return 1 if it is not what the commands say."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.read_text("utf-8") == text:
        return 0
    print("docs/command-line.md is not what the commands say. Run: make openapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
