"""What the commands have in common: how their arguments and options are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import click

from .terminal import standard_input

C = TypeVar("C", bound=Callable[..., Any])

MULTI_RUN_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FIELDS = re.compile(r"[a-z][a-z_]*(,[a-z][a-z_]*)*")


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


class Text(click.ParamType):  # type: ignore[type-arg]
    """A text, or `-` to read it from standard input."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the text."""
        if value == "-" and not (ctx and ctx.resilient_parsing):
            return standard_input()
        return str(value)


class JsonObject(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the object."""
        import json

        try:
            read = json.loads(value)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            self.fail("it is not a JSON object.", param, ctx)
        return read


class Image(click.ParamType):  # type: ignore[type-arg]
    """The name of a file with an image, which becomes a data URI."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the data URI."""
        from base64 import b64encode
        from mimetypes import guess_type
        from pathlib import Path

        kind, _ = guess_type(value)
        if kind is None or not kind.startswith("image/"):
            self.fail(f"{value!r} is not the name of an image, such as screen.png.", param, ctx)
        try:
            content = Path(value).read_bytes()
        except OSError as error:
            self.fail(f"{value!r} cannot be read: {error.strerror}.", param, ctx)
        return f"data:{kind};base64,{b64encode(content).decode()}"


class Fields(click.ParamType):  # type: ignore[type-arg]
    """Names of fields with commas between them; nothing stands for all fields."""

    name = "fields"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        if value and not _FIELDS.fullmatch(value):
            self.fail(f"{value!r} is not a list of fields, such as id,status.", param, ctx)
        return tuple(filter(None, value.split(",")))


class Command(click.Command):
    """A command. After `--json`, a word that cannot be a list of fields is the command's next argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        return super().parse_args(ctx, list(_with_separate_fields(args)))


class Group(click.Group):
    """A group of commands. With a default, `run PROMPT` is short for `run start PROMPT`."""

    command_class = Command

    def __init__(self, *args: Any, default: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        if self.default and args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            from difflib import get_close_matches

            # A mistyped command must not become the prompt of an agent.
            if meant := get_close_matches(args[0], self.commands, 1, 0.75):
                command = f"{ctx.command_path} {self.default} {args[0]}"
                ctx.fail(f"No such command {args[0]!r}. Did you mean {meant[0]!r}? If not, use: {command}")
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def image_option(command: C) -> C:
    """Add `--image`, which can be repeated."""
    help_ = "File with an image that belongs to the prompt; repeatable."
    return click.option(
        "--image",
        "images",
        type=Image(),
        multiple=True,
        callback=lambda _ctx, _param, images: images or None,
        help=help_,
    )(command)


def metadata_option(command: C) -> C:
    """Add `--metadata`."""
    return click.option("--metadata", type=JsonObject(), help="JSON object that is stored with each run.")(command)


def json_option(command: C) -> C:
    """Add `--json [FIELDS]`."""
    return click.option(
        "--json",
        "fields",
        type=Fields(),
        metavar="[FIELDS]",
        is_flag=False,
        flag_value="",
        help="Print JSON, with all fields or with these: id,status. A list has one line for each item.",
    )(command)


def web_option(command: C) -> C:
    """Add `--web`."""
    return click.option("--web", is_flag=True, help="Open the page in a browser.")(command)


def limit_option(what: str, most: int = 100) -> Callable[[C], C]:
    """Return the option `--limit`, for a list of `what`."""
    help_ = f"Maximum number of {what}."
    return click.option("--limit", type=click.IntRange(1, most), default=20, show_default=True, help=help_)


def _with_separate_fields(args: list[str]) -> Iterator[str]:
    is_option = True
    for word, following in pairwise([*args, ""]):
        is_option = is_option and word != "--"
        yield "--json=" if is_option and word == "--json" and not _FIELDS.fullmatch(following) else word
