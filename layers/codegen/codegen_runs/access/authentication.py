"""Authentication: find the caller of a token. The Codegen API is asked, and its answer is cached for minutes.

A token is cached under its SHA-256 and never itself. After a token was revoked, it works for at most `MEMORY_SECONDS`
from the memory of one process, and for at most `TABLE_SECONDS` from the callers table. Refusals are cached in memory
only.

| pk            | attributes                                                                     |
|---------------|--------------------------------------------------------------------------------|
| `token#{sha}` | the caller's context, as `Caller.to_context` writes it; `expires_at` (seconds)  |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from codegen_api import AuthenticationError, PermissionDeniedError
from codegen_runs import upstream
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable

TABLE_SECONDS = 300
MEMORY_SECONDS = 60
REFUSAL_SECONDS = 10

_MOST_REMEMBERED = 1_000
_TOKEN = re.compile(r"[!-~]{1,4096}")  # What an HTTP header can carry.


class TokenRefused(Exception):  # noqa: N818 - an expected outcome
    """The token is not valid."""


class Cache(Protocol):
    """Stores callers for all processes: the callers table. Both methods may raise `StorageUnavailable`."""

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the item with this key."""
        ...

    def put(self, item: dict[str, Any]) -> None:
        """Store an item under its `pk`."""
        ...


@dataclass(frozen=True)
class _Remembered:
    caller: Caller | None  # None: refused.
    until: float


class Authenticator:
    """Finds callers by their tokens, with a cache.

    Args:
        cache: The callers table.
        clock: The time.
        find: Returns the caller of a token that is not cached, within some seconds.
    """

    def __init__(self, cache: Cache, clock: Clock, find: Callable[[str, float], Caller] | None = None) -> None:
        self._cache = cache
        self._clock = clock
        self._find = find or codegen_user
        self._memory: dict[str, _Remembered] = {}

    def caller(self, token: str, deadline: float) -> Caller:
        """Return the caller of a token.

        Args:
            token: The token.
            deadline: Seconds from now within which to answer.

        Raises:
            TokenRefused: The token is not valid.
            CodegenAPIError: Codegen could not be asked. This is not raised for a cached caller.
        """
        if not _TOKEN.fullmatch(token):
            raise TokenRefused
        key = f"token#{sha256(token.encode()).hexdigest()}"
        remembered = self._memory.get(key)
        if remembered is None or remembered.until <= self._clock.now():
            remembered = self._look_up(key, token, deadline)
            self._remember(key, remembered)
        if remembered.caller is None:
            raise TokenRefused
        return remembered.caller

    def _look_up(self, key: str, token: str, deadline: float) -> _Remembered:
        now = self._clock.now()
        if stored := self._stored(key, now):
            caller, expires_at = stored
            return _Remembered(caller, until=min(now + MEMORY_SECONDS, expires_at))
        try:
            caller = self._find(token, deadline)
        except TokenRefused:
            return _Remembered(None, until=now + REFUSAL_SECONDS)
        self._store(key, caller, now)
        return _Remembered(caller, until=now + MEMORY_SECONDS)

    def _stored(self, key: str, now: float) -> tuple[Caller, int] | None:
        try:
            item = self._cache.get({"pk": key})
        except StorageUnavailable:
            logger.warning("Could not read the callers table. The Codegen API is asked instead.", exc_info=True)
            return None
        # DynamoDB may delete an expired item only days later.
        if item is None or item["expires_at"] <= now:
            return None
        return Caller.from_context(item, token=""), item["expires_at"]

    def _store(self, key: str, caller: Caller, now: float) -> None:
        try:
            self._cache.put({"pk": key, **caller.to_context(), "expires_at": int(now) + TABLE_SECONDS})
        except StorageUnavailable:
            logger.warning("Could not write to the callers table.", exc_info=True)

    def _remember(self, key: str, remembered: _Remembered) -> None:
        if len(self._memory) >= _MOST_REMEMBERED:
            self._memory.clear()
        self._memory[key] = remembered


def codegen_user(token: str, deadline: float) -> Caller:
    """Return the owner of a Codegen token and the organizations of this user, from the Codegen API.

    Raises:
        TokenRefused: The Codegen API does not accept the token.
        CodegenAPIError: The Codegen API did not answer, or failed.
    """
    api = upstream.for_token(token, deadline)
    try:
        user = api.users.me()
        organizations = frozenset(organization.id for organization in api.organizations.iter())
    except (AuthenticationError, PermissionDeniedError):
        raise TokenRefused from None
    return Caller(id=f"user:{user.id}", user_id=user.id, organizations=organizations)
