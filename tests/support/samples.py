"""The sample events under events/, one per function, and what has to be there for each to succeed."""

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[2] / "events"


def names() -> list[str]:
    """List the functions that have a sample."""
    return sorted(file.stem for file in EVENTS.glob("[A-Z]*.json"))


def path(name: str) -> Path:
    """Return where the sample of a function is."""
    return EVENTS / f"{name}.json"


def read(name: str) -> dict[str, Any]:
    """Read the sample of a function."""
    event: dict[str, Any] = json.loads(path(name).read_text("utf-8"))
    return event
