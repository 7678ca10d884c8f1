"""The file `~/.codegen/config.json`: what a client is told neither by its arguments nor by the environment.

    {"org_id": 123, "token": "YOUR_TOKEN", "base_url": "https://...", "timeout": 30, "max_retries": 3}

Every key is optional, and other keys are other programs' business.
"""

import json
import os
import stat
import warnings
from pathlib import Path
from typing import Any

from ._errors import ConfigurationError

_KINDS: dict[str, tuple[type, ...]] = {
    "org_id": (int, str),
    "token": (str,),
    "base_url": (str,),
    "timeout": (int, float),
    "max_retries": (int,),
}


class ConfigurationWarning(UserWarning):
    """The configuration works, but should not stay like this."""


def path() -> Path | None:
    """Return where the file would be; None for who has no home."""
    try:
        return Path.home() / ".codegen" / "config.json"
    except RuntimeError:
        return None


def read() -> dict[str, Any]:
    """Read the file, and warn if it has a token that others on the machine can read; empty where there is none.

    Raises:
        ConfigurationError: It cannot be read, or does not hold what it should. No value is quoted.
    """
    file = path()
    if file is None:
        return {}
    try:
        text = file.read_text("utf-8")
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {_reason(error)}") from None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{file} is not JSON") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{file} holds no JSON object")
    found = {name: config[name] for name in _KINDS if config.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise ConfigurationError(f"{file}: {name} has a value of the wrong type")
    if "token" in found and os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.warn(
            f"{file} holds a token and can be read by others: chmod 600 {file}", ConfigurationWarning, stacklevel=2
        )
    return found


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown error" if isinstance(error, OSError) else "it is not UTF-8"
