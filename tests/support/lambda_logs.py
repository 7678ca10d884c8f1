"""Which lines of a function's log Lambda keeps, by its documented rule for the log format JSON.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
"""

import json
import re
from typing import Any

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def level(line: str) -> str:
    """Return the level that Lambda gives a line: INFO if the line's own level or its timestamp is not valid."""
    return _own_level(line) or "INFO"


def is_valid(line: str) -> bool:
    """Return whether a line has a level and a timestamp that Lambda understands."""
    return _own_level(line) is not None


def kept(line: str, application_log_level: str) -> bool:
    """Return whether Lambda sends a line to CloudWatch."""
    return LEVELS.index(level(line)) >= LEVELS.index(application_log_level)


def _own_level(line: str) -> str | None:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not _RFC_3339.fullmatch(str(entry.get("timestamp"))):
        return None
    own = str(entry.get("level")).upper()
    return own if own in LEVELS else None
