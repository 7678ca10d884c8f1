"""The credentials of the function's role.

Lambda stores them in the environment. A function with SnapStart gets the address of a local service instead, because
the environment is part of the snapshot. The credentials of that service expire and are fetched again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

if TYPE_CHECKING:
    from codegen_runs.wire import Wire

_EARLY = timedelta(minutes=15)
"""How long before they expire credentials are fetched again. Until they expire, a failure is no error."""

_TIMEOUT = 2.0
_ATTEMPTS = 3

# Besides loopback: the services of ECS and EKS on the host.
_HOSTS = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"}


class NoCredentials(Exception):  # noqa: N818 - the state of the function
    """The function has no credentials, or they cannot be fetched."""


@dataclass(frozen=True)
class Credentials:
    """The credentials that sign a request."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


class FunctionCredentials:
    """The credentials of the function that runs in this process."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._fetched: Credentials | None = None

    def at(self, now: datetime) -> Credentials:
        """Return credentials that are valid now. Raises `NoCredentials`."""
        if key := os.environ.get("AWS_ACCESS_KEY_ID"):
            return Credentials(key, os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN"))
        if not (url := os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")):
            raise NoCredentials("The environment has no AWS_ACCESS_KEY_ID and no AWS_CONTAINER_CREDENTIALS_FULL_URI.")
        if not self._fetched or _expired(self._fetched, now + _EARLY):
            try:
                self._fetched = self._fetch(url)
            except NoCredentials:
                if not self._fetched or _expired(self._fetched, now):
                    raise
        return self._fetched

    def _fetch(self, url: str) -> Credentials:
        _check(url)
        limits = httpx.Timeout(_TIMEOUT).as_dict()
        for attempt in range(1, _ATTEMPTS + 1):
            request = httpx.Request("GET", url, headers=_headers(), extensions={"timeout": limits})
            try:
                response = self._wire.handle_request(request)
                content = response.read()
                response.close()
            except httpx.TransportError as fault:
                if attempt == _ATTEMPTS:
                    raise NoCredentials(f"The credentials were not answered: {type(fault).__name__}") from fault
                continue
            if response.is_success:
                return _read(content)
            if attempt == _ATTEMPTS:
                raise NoCredentials(f"The credentials were refused with HTTP {response.status_code}.")
        raise AssertionError("unreachable")


def _check(url: str) -> None:
    """Refuse an address that would send the token of the environment over a network without encryption."""
    from ipaddress import ip_address

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host in _HOSTS:
        return
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NoCredentials(f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {host!r}, which is not on this host.")


def _headers() -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if file := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        headers["Authorization"] = Path(file).read_text("utf-8").strip()
    elif token := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        headers["Authorization"] = token
    return headers


def _read(content: bytes) -> Credentials:
    try:
        answer = json.loads(content)
        expires_at = datetime.fromisoformat(answer["Expiration"])
        return Credentials(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["Token"],
            expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NoCredentials("The credentials cannot be read.") from error


def _expired(credentials: Credentials, now: datetime) -> bool:
    return credentials.expires_at is not None and credentials.expires_at <= now
