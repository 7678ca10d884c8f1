"""Which lines of JSON a filter pattern of CloudWatch Logs matches: comparisons with texts, `&&`, `||` and parentheses.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

_TOKEN = re.compile(r'\s*(&&|\|\||[(){}]|!=|=|\$(?:\.\w+)+|"[^"]*")')


def matches(pattern: str, line: str) -> bool:
    """Return whether a pattern matches a line. Raises `ValueError` for a pattern with anything else in it."""
    tokens = list(_tokens(pattern.strip()))
    if tokens[:1] != ["{"] or tokens[-1:] != ["}"]:
        raise ValueError(pattern)
    tokens = tokens[1:-1]
    found = _either(tokens, json.loads(line))
    if tokens:
        raise ValueError(f"not read: {tokens}")
    return found


def _tokens(pattern: str) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if not match:
            raise ValueError(pattern[position:])
        yield match[1]
        position = match.end()


def _either(tokens: list[str], entry: Any) -> bool:
    found = _both(tokens, entry)
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        found = _both(tokens, entry) or found
    return found


def _both(tokens: list[str], entry: Any) -> bool:
    found = _comparison(tokens, entry)
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        found = _comparison(tokens, entry) and found
    return found


def _comparison(tokens: list[str], entry: Any) -> bool:
    if tokens[0] == "(":
        tokens.pop(0)
        found = _either(tokens, entry)
        if tokens.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return found
    selector, operator, text = (tokens.pop(0) for _ in range(3))
    value = entry
    for name in selector.removeprefix("$.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str):
        return False  # a comparison with a field that the line does not have is false, whatever its operator
    return fnmatchcase(value, text.strip('"')) is (operator == "=")
