"""The values a client is made of, checked and in one form."""

import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from ._errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.codegen.com"
DEFAULT_TIMEOUT = 30.0

TASK_TIMEOUT = 3600.0
"""Seconds to wait for a task or a multi-run by default."""
POLL_INTERVAL = 5.0
"""Seconds between two polls of a task or a multi-run by default."""

Id = int | str
"""An id: an integer, or its decimal digits as text. The upstream's own are integers everywhere."""


def as_id(value: Id) -> int:
    """Return an id as the integer the upstream expects. It is then safe in a path as it stands.

    Raises:
        ValueError: It is not a whole number.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError(f"not an id: {value!r}")
    return int(value)


def as_name(value: str) -> str:
    """Return an id that is a name, such as an agent's, for use in a path.

    Raises:
        ValueError: It is none: letters, digits, `_` and `-` are what names are made of.
    """
    if not value or not all(character.isascii() and (character.isalnum() or character in "_-") for character in value):
        raise ValueError(f"not an id: {value!r}")
    return value


def as_number(name: str, value: Any, default: float) -> float:
    """Return a setting as a number; the default where there is none.

    Raises:
        ConfigurationError: It is not a number of 0 or more.
    """
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ConfigurationError(f"{name} must be a number of 0 or more")
    return number


def normalize_base_url(base_url: str) -> str:
    """Return the address below which `/v1/...` lies: without `/v1`, without a slash at the end, any prefix kept.

    Raises:
        ConfigurationError: It is not an http(s) address, or it carries credentials, a query or a fragment.
    """
    # No message quotes the address: it may hold credentials.
    try:
        parts = urlsplit(base_url.strip())
        url = httpx.URL(
            urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1").rstrip("/"), "", ""))
        )
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationError("the base URL cannot be read") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("the base URL must be an http:// or https:// address")
    if url.userinfo or parts.query or parts.fragment:
        raise ConfigurationError("the base URL takes no credentials, query or fragment")
    return str(url)


class Token:
    """A bearer token that shows itself nowhere but in the header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        value = value.strip()  # secrets stored from a shell end with a newline
        # Refused here, because the HTTP stack would quote an illegal header value in its error.
        if not value or not all("!" <= character <= "~" for character in value):
            raise ConfigurationError("the token must be visible ASCII characters without spaces")
        self._value = value

    @property
    def header(self) -> str:
        """The `Authorization` header's value."""
        return f"Bearer {self._value}"

    def scrub(self, text: str) -> str:
        """Blank the token out of a text, should an upstream or a proxy echo it."""
        return text.replace(self._value, "[token]")

    def __repr__(self) -> str:
        return "Token(...)"

    def __reduce__(self) -> Any:
        raise TypeError("a token is not to be pickled")
