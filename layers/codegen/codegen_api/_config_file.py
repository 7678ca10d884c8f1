"""The configuration file `~/.codegen/config.json`, for settings that neither an argument nor the environment gives.

    {"org_id": 123, "token": "YOUR_TOKEN", "base_url": "https://...", "timeout": 30, "max_retries": 3}

Every key is optional. Other keys are ignored, because other programs may use them.
"""

import json
import os
import stat
import warnings
from pathlib import Path
from typing import Any

from ._errors import ConfigurationError
from ._text import decode

_KINDS: dict[str, tuple[type, ...]] = {
    "org_id": (int, str),
    "token": (str,),
    "base_url": (str,),
    "timeout": (int, float),
    "max_retries": (int,),
}


class ConfigurationWarning(UserWarning):
    """The configuration works, but is unsafe."""


def path() -> Path | None:
    """Return the path of the file, whether or not it exists; None if the user has no home directory."""
    try:
        return Path.home() / ".codegen" / "config.json"
    except RuntimeError:
        return None


def read(*, needed: bool = True) -> dict[str, Any]:
    """Return the settings in the file; empty if there is no file.

    Warn if the file has a token that other users of the machine can read, and if the file is broken but not needed.

    Args:
        needed: Whether the file has a setting that nothing else gives.

    Raises:
        ConfigurationError: The file cannot be read or is invalid, and is needed. The message quotes no value.
    """
    try:
        return _read()
    except ConfigurationError as error:
        if needed:
            raise
        warnings.warn(f"{error}; it was ignored", ConfigurationWarning, stacklevel=2)
        return {}


def _read() -> dict[str, Any]:
    file = path()
    if file is None:
        return {}
    try:
        text = decode(file.read_bytes())
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {file}: {_reason(error)}") from None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{file} is not valid JSON") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{file} must contain a JSON object")
    found = {name: config[name] for name in _KINDS if config.get(name) not in (None, "")}
    for name, value in found.items():
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise ConfigurationError(f"{file}: the value of {name} has the wrong type")
    if "token" in found and os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.warn(
            f"other users can read the token in {file}: run chmod 600 {file}", ConfigurationWarning, stacklevel=3
        )
    return found


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown error" if isinstance(error, OSError) else "it is not UTF-8"
