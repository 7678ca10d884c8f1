"""The terminal: what it would obey, what it can show, and what it sends."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from typing import TextIO

import click

# What a terminal obeys or hides: control characters except tab and line feed, marks that change the direction of text,
# characters without width except the joiners of scripts and emoji, other line separators, and half surrogates.
_OBEYED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return a text in which each character that a terminal would obey is written out, such as `\x1b` for Escape."""
    return obeyed(text.replace("\r\n", "\n"), _written_out)


def obeyed(text: str, written: Callable[[re.Match[str]], str]) -> str:
    """Return a text in which a function replaces each character that a terminal would obey."""
    return _OBEYED.sub(written, text)


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal. Variables such as FORCE_COLOR do not make it one."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # a stream that is absent or closed
        return False


def can_draw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal with colours and a cursor that moves."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def lose_nothing() -> None:
    """Let the output streams replace what their encoding does not have, so that no answer is lost to an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def standard_input() -> str:
    """Read standard input to its end. Raises `click.UsageError` if it is closed or is no text."""
    from codegen_api._text import decode  # the client takes longer to import than the whole help

    if sys.stdin is None or sys.stdin.closed:
        raise click.UsageError("Standard input is closed. Give the prompt as an argument.")
    try:
        text = decode(sys.stdin.buffer.read(), sys.stdin.encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        raise click.UsageError("Standard input is not UTF-8. Convert it first, for example with iconv.") from None
    except OSError as error:
        raise click.UsageError(f"Standard input cannot be read: {error.strerror}") from None
    if "\0" in text:
        raise click.UsageError("Standard input has zero bytes. If it is UTF-16, convert it to UTF-8 first.")
    return text


def open_page(url: str | None) -> None:
    """Open a page in the browser, and print its address. Raises `click.ClickException` if there is none."""
    if not url or not url.startswith(("https://", "http://")):
        raise click.ClickException("It has no page.")
    click.echo(visible(url), err=True)
    if click.launch(url):
        click.echo("No browser could be started. Open the address above yourself.", err=True)


def _written_out(match: re.Match[str]) -> str:
    character = match[0]
    return f"\\x{ord(character):02x}" if character < "\x80" else character.encode("ascii", "backslashreplace").decode()
