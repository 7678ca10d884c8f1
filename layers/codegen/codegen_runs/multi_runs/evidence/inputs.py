"""What a tool was given and what it printed, as flat pairs of names and values.

The documentation of the upstream has no form for them. Seen are objects, JSON in a text, plain text, and the beginning
of a JSON text: an entry that is too large for an event has previews in place of its large fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Pair = tuple[str, Any]
"""A name in lower case without separators, such as `filepath`, and a text, a number, a boolean or None."""

MOST_PAIRS = 400
MOST_DEPTH = 6
MOST_CHARACTERS = 40_000

_MEMBER = re.compile(
    r'"([A-Za-z_][A-Za-z0-9_-]{0,40})"\s{0,4}:\s{0,4}(?:"((?:[^"\\]|\\.)*)("?)|(-?\d{1,9}\b|true\b|false\b))'
)
_SEPARATORS = re.compile(r"[-_\s]+")
_CONTROLS = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACE = re.compile(r"\s+")


def pairs(value: Any) -> list[Pair]:
    """Return the members of a value and of what is nested in it, in their order, at most `MOST_PAIRS`.

    Elements of a list have the name of the list. A text that is no JSON has the empty name.
    """
    found: list[Pair] = []
    for pair in _pairs("", value, 0):
        found.append(pair)
        if len(found) == MOST_PAIRS:
            break
    return found


def _pairs(name: str, value: Any, depth: int) -> Iterator[Pair]:
    if depth > MOST_DEPTH:
        return
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _pairs(folded_name(key), member, depth + 1)
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _pairs(name, element, depth + 1)
    elif isinstance(value, str) and not name and value.lstrip()[:1] in ("{", "["):
        yield from _of_json(value[:MOST_CHARACTERS], depth)
    elif value is None or isinstance(value, str | int | float):
        yield name, value


def _of_json(text: str, depth: int) -> Iterator[Pair]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        members = list(_members(text))
        yield from members or [("", text)]
    else:
        yield from _pairs("", parsed, depth + 1)


def _members(text: str) -> Iterator[Pair]:
    """Yield the members of a JSON text that was cut."""
    for found in _MEMBER.finditer(text):
        name, string, closed, literal = found.groups()
        if literal is not None:
            yield folded_name(name), json.loads(literal)
            continue
        try:
            yield folded_name(name), json.loads(f'"{string}"', strict=False)
        except ValueError:  # cut within an escape
            yield folded_name(name), string
        if not closed:
            return


def folded_name(name: Any) -> str:
    """Return a name in lower case without separators: `filepath` for `file_path` and `filePath`."""
    return _SEPARATORS.sub("", name[:60]).lower() if isinstance(name, str) else ""


def text_of(*values: Any) -> str:
    """Return all texts in some values, without terminal codes, joined by line ends: their last characters."""
    texts = [str(text) for value in values for _, text in pairs(value) if isinstance(text, str) and text]
    joined = "\n".join(text[-MOST_CHARACTERS:] for text in texts)[-MOST_CHARACTERS:]
    return _CONTROLS.sub("", joined.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: Any, limit: int) -> str:
    """Return a text on one line of at most `limit` characters, without control characters."""
    if not isinstance(text, str):
        return ""
    line = _SPACE.sub(" ", _CONTROLS.sub("", text[: 8 * limit])).strip()
    line = line.encode("utf-8", "replace").decode("utf-8")  # no half of a surrogate pair
    return line if len(line) <= limit and len(text) <= 8 * limit else line[: limit - 3].rstrip() + "..."
