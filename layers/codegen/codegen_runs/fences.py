"""Fences around text of unknown intent inside a prompt, so that an agent does not take that text for instructions."""

from __future__ import annotations

import secrets

CUT = "\n[... cut to fit ...]"
"""What stands at the end of a text that was cut."""


def new_mark() -> str:
    """Return a mark that the author of a fenced text cannot have guessed."""
    return secrets.token_hex(8)


def fenced(name: str, text: str, mark: str) -> str:
    """Return a text between a BEGIN and an END line that carry its name and the mark."""
    return f"BEGIN {name} {mark}\n{text}\nEND {name} {mark}"


def cut(text: str, room: int) -> str:
    """Return a text of at most `room` characters; one that was longer says so at its end."""
    return text if len(text) <= room else text[: max(0, room - len(CUT))] + CUT
