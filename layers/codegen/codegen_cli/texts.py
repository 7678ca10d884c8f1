"""Short forms of values for people."""

from __future__ import annotations

import re
from typing import Any


def time(moment: Any) -> str:
    """Return a time in UTC as a table shows it: without its fraction and its zone."""
    return re.sub(r"(\.\d+)?(Z|\+00:00)?$", "", str(moment or "")).replace("T", " ")


def first_line(text: Any) -> str:
    """Return the first line of a text."""
    return str(text or "").strip().partition("\n")[0].rstrip()
