"""The settings of a client: from its arguments, else the environment, else the configuration file, else a default."""

import math
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx

from ._errors import ConfigurationError, InvalidArgumentError
from ._ids import Id, as_id
from ._retry import RetryPolicy

DEFAULT_BASE_URL = "https://api.codegen.com"
DEFAULT_TIMEOUT = 30.0

TASK_TIMEOUT = 3600.0
"""Seconds to wait for a task or a multi-run by default."""
POLL_INTERVAL = 5.0
"""Seconds between two polls of a task or a multi-run by default."""

SHORTEST_SECRET = 8
"""Characters of the shortest token that is replaced wherever it stands."""

_VARIABLES = {
    "token": ("CODEGEN_API_TOKEN", "CODEGEN_TOKEN"),
    "org_id": ("CODEGEN_ORG_ID",),
    "base_url": ("CODEGEN_BASE_URL",),
    "timeout": ("CODEGEN_TIMEOUT",),
    "max_retries": ("CODEGEN_MAX_RETRIES",),
}


_ARGUMENTS = {"max_retries": "retry"}
_DEFAULTS: dict[str, tuple[Any, str]] = {
    "base_url": (DEFAULT_BASE_URL, "the default"),
    "org_id": (None, "nowhere"),
    "timeout": (DEFAULT_TIMEOUT, "the default"),
    "max_retries": (RetryPolicy().max_retries, "the default"),
}


class Token:
    """A bearer token. Only the `Authorization` header shows its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str, source: str = "the token") -> None:
        value = _trimmed(value) if isinstance(value, str) else ""  # secrets stored from a shell end with a newline
        # Refused here, because the HTTP library would quote an invalid header value in its error.
        if not value or not all("!" <= character <= "~" for character in value):
            raise ConfigurationError(f"{source} must be visible ASCII characters without spaces")
        self._value = value

    @property
    def header(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self._value}"

    def scrub(self, text: str) -> str:
        """Replace the token in a text, in case a server or a proxy echoes it.

        A very short token is part of ordinary words and numbers. It is replaced only where it is a word of its own.
        """
        if len(self._value) >= SHORTEST_SECRET:
            return text.replace(self._value, "[token]")
        return re.sub(rf"(?<![\w-]){re.escape(self._value)}(?![\w-])", "[token]", text)

    def __repr__(self) -> str:
        return "Token(...)"

    def __reduce__(self) -> Any:
        raise TypeError("a token cannot be pickled")


class Settings(NamedTuple):
    """What a client needs to know before its first request.

    Attributes:
        base_url: As `normalize_base_url` returns it.
        token: Sent with every request.
        org_id: The default organization; None if there is none.
        timeout: Limits of one attempt.
        retry: Decides what is sent again.
        sources: Where each value comes from, by its name.
    """

    base_url: str
    token: Token
    org_id: int | None
    timeout: httpx.Timeout
    retry: RetryPolicy
    sources: Mapping[str, str]


def read_settings(
    org_id: Id | None,
    token: str | None,
    base_url: str | None,
    timeout: float | httpx.Timeout | None,
    retry: RetryPolicy | None,
) -> Settings:
    """Fill in the arguments that are None.

    Raises:
        ConfigurationError: There is no token, or a value cannot be used.
    """
    # Only None selects the environment. An empty token is an error: it must not become somebody else's token.
    given: dict[str, Any] = {
        "org_id": org_id,
        "token": token,
        "base_url": base_url or None,
        "timeout": timeout,
        "max_retries": retry,
    }
    found = {name: (value, f"the argument {_ARGUMENTS.get(name, name)}") for name, value in given.items()}
    found = {name: source for name, source in found.items() if source[0] is not None}
    found = {**_from_environment(), **found}
    if token is None:
        # A caller that passes a token, such as a Lambda function, does not pay for the file or for this import.
        from ._config_file import read

        stored = read(needed=any(name not in found for name in ("org_id", "token", "base_url")))
        found = {**{name: (value, f"{name} in ~/.codegen/config.json") for name, value in stored.items()}, **found}
    if "token" not in found:
        raise ConfigurationError("no token: pass token, set CODEGEN_API_TOKEN or write ~/.codegen/config.json")
    found = {**_DEFAULTS, **found}
    return Settings(
        normalize_base_url(*found["base_url"]),
        Token(*found["token"]),
        _organization(*found["org_id"]),
        _timeout(*found["timeout"]),
        retry or RetryPolicy(max_retries=int(_number(*found["max_retries"]))),
        {name: source for name, (_, source) in found.items()},
    )


def _from_environment() -> dict[str, tuple[Any, str]]:
    """Return the settings that variables of the environment have, with the names of the variables."""
    found: dict[str, tuple[Any, str]] = {}
    for name, variables in _VARIABLES.items():
        for variable in variables:
            if value := _trimmed(os.environ.get(variable)):
                found.setdefault(name, (value, variable))
    return found


def _trimmed(value: Any) -> Any:
    """Return a text without what editors and shells add to it: blanks, line ends and a byte order mark."""
    return value.strip().strip("\ufeff").strip() if isinstance(value, str) else value


def as_timeout(value: float | httpx.Timeout | None) -> httpx.Timeout | None:
    """Return a timeout in the form of the HTTP library.

    Raises:
        InvalidArgumentError: It is not a positive number of seconds.
    """
    if value is None or isinstance(value, httpx.Timeout):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InvalidArgumentError(f"a timeout must be a number of seconds, more than 0, not {value!r}")
    return httpx.Timeout(value)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidArgumentError unless the headers can be sent."""
    for name, value in headers.items():
        # Not quoted: a header can have a secret.
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidArgumentError(f"the header {name!r} must be printable ASCII characters")


_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


def normalize_base_url(base_url: str, source: str = "the base URL") -> str:
    """Return the URL that `/v1/...` is appended to: without `/v1` and a trailing slash, with any other path kept.

    Raises:
        ConfigurationError: It is not an http(s) URL, or it has credentials, a query or a fragment.
    """
    # No message quotes the URL: it may hold credentials.
    try:
        parts = urlsplit(_trimmed(base_url))
        url = httpx.URL(
            urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1").rstrip("/"), "", ""))
        )
        host, port = url.host, url.port
    except (ValueError, TypeError, AttributeError, httpx.InvalidURL):
        raise ConfigurationError(f"{source} is not a valid URL") from None
    if url.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{source} must start with http:// or https:// and name a host")
    if url.userinfo or parts.query or parts.fragment:
        raise ConfigurationError(f"{source} must not have credentials, a query or a fragment")
    # Errors of the socket library when it connects.
    if not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        raise ConfigurationError(f"{source} has a host that no server can have")
    if port is not None and not 0 < port < 65536:
        raise ConfigurationError(f"{source} has a port that no server can have")
    return str(url)


def _organization(org_id: Id | None, source: str) -> int | None:
    try:
        return None if org_id is None else as_id(_trimmed(org_id))
    except InvalidArgumentError:
        raise ConfigurationError(
            f"{source} must be the id of an organization, a whole number, not {org_id!r}"
        ) from None


def _timeout(value: Any, source: str) -> httpx.Timeout:
    return value if isinstance(value, httpx.Timeout) else httpx.Timeout(_number(value, source))


def _number(value: Any, source: str) -> float:
    try:
        number = float(_trimmed(value))
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ConfigurationError(f"{source} must be a number of 0 or more")
    return number
