"""Text as editors and shells write it."""

import codecs

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
