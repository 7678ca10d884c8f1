"""Where each setting of a client comes from, for people who wonder which one is used."""

import os
from typing import Any, NamedTuple

from . import _config_file
from ._ids import Id
from ._retry import RetryPolicy
from ._settings import _VARIABLES, DEFAULT_BASE_URL, DEFAULT_TIMEOUT, _trimmed, normalize_base_url


class Setting(NamedTuple):
    """A setting of a client.

    Attributes:
        name: The name of the setting, as in the configuration file.
        value: Its value; None if there is none.
        origin: The argument, the variable or the file that gives it, or `default`.
    """

    name: str
    value: Any
    origin: str


def read_origins(org_id: Id | None = None, base_url: str | None = None) -> list[Setting]:
    """Return all settings as a client with these arguments uses them. The token is masked.

    Raises:
        ConfigurationError: The file cannot be read, or the base URL cannot be used.
    """
    stored, arguments = _config_file.read(), {"org_id": org_id, "base_url": base_url}
    defaults = {
        "base_url": DEFAULT_BASE_URL,
        "timeout": DEFAULT_TIMEOUT,
        "max_retries": RetryPolicy().max_retries,
    }
    found = []
    for name in ("base_url", "org_id", "token", "timeout", "max_retries"):
        value, origin = _origin(name, arguments.get(name), stored)
        if value is None:
            value, origin = defaults.get(name), "default" if name in defaults else "not set"
        found.append(Setting(name, _shown(name, value), origin))
    return found


def mask(token: str) -> str:
    """Return the beginning of a token, from which its owner recognises it."""
    return f"{token[:4]}..." if len(token) > 8 else "..."


def _origin(name: str, argument: Any, stored: dict[str, Any]) -> tuple[Any, str]:
    if argument is not None:
        return argument, f"--{name.replace('_', '-')}"
    for variable in _VARIABLES[name]:
        if value := _trimmed(os.environ.get(variable)):
            return value, variable
    return _trimmed(stored.get(name)), str(_config_file.path())


def _shown(name: str, value: Any) -> Any:
    if name == "token":
        return value and mask(str(value))
    return normalize_base_url(value) if name == "base_url" else value
