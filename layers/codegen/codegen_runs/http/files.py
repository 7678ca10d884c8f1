"""Static files as answers: text with its type, an ETag, and how long a client may keep it."""

from functools import cache
from importlib.resources.abc import Traversable
from pathlib import PurePath

from aws_lambda_powertools.event_handler import Response

from codegen_runs.http.etags import tag_of

REVALIDATED = "no-cache"
"""A client may keep the file, and asks each time whether it has changed."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""The address of the file contains its version, so its content never changes."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def answer(file: Traversable, cache_control: str, **headers: str) -> Response[str]:
    """Return the answer that serves a file, with further headers; `_` in their names stands for `-`."""
    return text_answer(text(file), PurePath(file.name).suffix, cache_control, **headers)


def text_answer(content: str, suffix: str, cache_control: str, **headers: str) -> Response[str]:
    """Return the answer that serves a text as a file with this suffix. See `answer`."""
    sent: dict[str, str | list[str]] = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"Cache-Control": cache_control, "ETag": _tag(content), "X-Content-Type-Options": "nosniff"}
    return Response(200, _TYPES[suffix], content, sent)


def text(file: Traversable) -> str:
    """Read a file, once per execution environment."""
    return _read(file)  # type: ignore[arg-type] # files of both kinds are hashable


@cache
def _read(file: Traversable) -> str:
    return file.read_text("utf-8")


def version(file: Traversable) -> str:
    """Return what changes whenever the file does, for its address."""
    return _tag(text(file)).strip('"')


@cache
def _tag(content: str) -> str:
    return tag_of(content)
