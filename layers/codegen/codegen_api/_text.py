"""Text as editors and shells write it, and values of JSON as people read them."""

import codecs
import json
from typing import Any

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(content: bytes, encoding: str = "utf-8") -> str:
    """Decode a text: by its byte order mark, else as UTF-8, else in another encoding.

    Raises:
        UnicodeDecodeError: It is in none of them.
    """
    for mark, marked in _MARKS.items():
        if content.startswith(mark):
            return content.decode(marked)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode(encoding)


def one_line(value: Any) -> str:
    """Return a value of JSON in one line.

    Of a text it is the first line; of an object `name: value, name: value`, or the value if there is only one.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip().partition("\n")[0].rstrip()
    if isinstance(value, dict) and len(value) > 1:
        return ", ".join(f"{name}: {_member(each)}" for name, each in value.items())
    if isinstance(value, dict | list):
        return ", ".join(map(_member, value.values() if isinstance(value, dict) else value))
    return _member(value)


def _member(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
