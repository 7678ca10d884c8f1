"""Compare two OpenAPI documents in everything but their texts.

A text is a `description` or a `summary`. The order of keys and of an operation's parameters has no meaning.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

_TEXTS = ("description", "summary")


def differences(before: Any, after: Any) -> list[str]:
    """Return each value that only one of two documents has, with its path.

    A line begins with `-` if only the document `before` has the value, and with `+` if only `after` has it.
    """
    old, new = Counter(_values(before)), Counter(_values(after))
    lines = [(path, f"- {path}: {value}") for path, value in (old - new).elements()]
    lines += [(path, f"+ {path}: {value}") for path, value in (new - old).elements()]
    return [line for _, line in sorted(lines, key=lambda line: line[0])]


def _values(value: Any, *path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each value in a document, and the value as JSON."""
    if isinstance(value, dict):
        # A schema may have a property that is named `description`. That is not a text.
        value = {key: member for key, member in value.items() if key not in _TEXTS or not isinstance(member, str)}
        members = value.items()
    elif isinstance(value, list):
        of_operation = path[-1:] == ("parameters",)
        members = [(_parameter(each) if of_operation else str(index), each) for index, each in enumerate(value)]
    else:
        members = []
    for step, member in members:
        yield from _values(member, *path, step)
    if not members:
        yield " > ".join(path), json.dumps(value)


def _parameter(parameter: Any) -> str:
    """Return what identifies a parameter of an operation."""
    return parameter.get("$ref") or f"{parameter['in']} {parameter['name']}"
