"""Ids and paths in arguments: their validation, and their form in a URL."""

import re
from urllib.parse import quote, unquote

from ._errors import InvalidArgumentError

Id = int | str
"""An id: an integer, or its decimal digits as text. The Codegen API uses integers only."""


def as_id(value: Id) -> int:
    """Return an id as an integer, which needs no escaping in a path.

    Raises:
        InvalidArgumentError: It is not a whole number, or has more digits than any id.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _DIGITS:
        return int(value)
    raise InvalidArgumentError(f"not an id: {_shown(value)}")


def as_name(value: str) -> str:
    """Return an id that is a name, such as that of an agent, after checking that it needs no escaping in a path.

    Raises:
        InvalidArgumentError: It is empty, begins with a dot, or has other characters than ASCII letters, digits, `_`,
            `-` and `.`.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidArgumentError(f"not an id: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a value for a message, shortened."""
    if isinstance(value, int) and not -_LARGEST < value < _LARGEST:
        return "a number that is too large"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


_DIGITS = 19
_LARGEST = 10**_DIGITS
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_SEGMENT = re.compile(r"[A-Za-z0-9_~:@!$&'()*+,=.%-]+")
_ALLOWED = "_~:@!$&'()*+,=.-"


def as_path(value: str) -> str:
    """Return the path of an operation after checking that every server reads it in the same way.

    It begins with `/v1/`, and its segments are in their normal form: they are not empty, do not begin with a dot, and
    are percent-encoded only where that is necessary. Encoded slashes, backslashes, percent signs and control characters
    are refused.

    Raises:
        InvalidArgumentError: It has another form.
    """
    root, version, *segments = value.split("/")
    if (root, version) != ("", "v1") or not segments or not all(map(_is_normal, segments)):
        raise InvalidArgumentError(f"not a path: {value!r}")
    return value


def _is_normal(segment: str) -> bool:
    if not _SEGMENT.fullmatch(segment) or segment.startswith("."):
        return False
    try:
        plain = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    # Only characters that a segment cannot have otherwise are encoded, and none that could end it on some server.
    return plain.isprintable() and not set("/\\%;?#") & set(plain) and quote(plain, safe=_ALLOWED) == segment
