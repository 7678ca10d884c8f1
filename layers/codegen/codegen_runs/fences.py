"""Fences around untrusted text in a prompt, so that an agent does not read it as instructions."""

from __future__ import annotations

import secrets

CUT = "\n[... cut to fit ...]"
"""The end of a text that was cut."""


def new_mark() -> str:
    """Return a random mark, which the author of a fenced text cannot guess."""
    return secrets.token_hex(8)


def fenced(name: str, text: str, mark: str) -> str:
    """Return a text between a BEGIN line and an END line with its name and the mark."""
    return f"BEGIN {name} {mark}\n{text}\nEND {name} {mark}"


def cut(text: str, room: int) -> str:
    """Return a text of at most `room` characters; a longer text is cut and ends with `CUT`."""
    return text if len(text) <= room else text[: max(0, room - len(CUT))] + CUT
