"""What the functions of a stack logged during a test, for the report of a failure."""

import json
from pathlib import Path
from typing import Any

_LINES = 15
_LENGTH = 1000
# Fields of a log entry that are the same in all entries of a function, or that are shown in another place.
_LEFT_OUT = {"level", "location", "message", "timestamp", "service", "cold_start", "exception"}


class StackLog:
    """The logs of a stack from now on.

    Args:
        folder: Where each function writes `<name>.log`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = {file: file.stat().st_size for file in folder.glob("*.log")}

    def report(self) -> str:
        """Return the folder, and by function the last entries that it logged."""
        parts = [f"The functions' logs are in {self._folder}. During this test they logged:"]
        for file in sorted(self._folder.glob("*.log")):
            lines = file.read_bytes()[self._starts.get(file, 0) :].decode("utf-8", "replace").splitlines()
            if shown := [line for line in map(_shown, lines) if line]:
                parts += [f"{file.stem}:", *(f"    {line}" for line in shown[-_LINES:])]
        return "\n".join(parts)


def _shown(line: str) -> str | None:
    """Return an entry as it is shown, or None if it holds nothing but metrics."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line[:_LENGTH]
    if not isinstance(entry, dict):
        return line[:_LENGTH]
    if entry.get("message") == "request":
        return _request(entry)
    return None if "_aws" in entry else _entry(entry)


def _request(entry: dict[str, Any]) -> str:
    code = f" {entry['code']}" if entry.get("code") else ""
    return f"{entry.get('route')}: {entry.get('status')}{code}, request {entry.get('request_id')}"


def _entry(entry: dict[str, Any]) -> str:
    fields = [f"{name}={value}" for name, value in entry.items() if name not in _LEFT_OUT and "function_" not in name]
    text = " ".join([str(entry.get("level")), str(entry.get("message")), *fields])[:_LENGTH]
    return f"{text}\n{entry['exception']}".replace("\n", "\n    ") if "exception" in entry else text
