"""From a token to its caller: asked of the Codegen API, and remembered for minutes.

A token is remembered under its SHA-256 and never itself. What the memory of one process holds outlives a revoked token
by `MEMORY_SECONDS`, what the callers table holds by `TABLE_SECONDS`; that it was refused is held in memory alone.

| pk            | attributes                                                                     |
|---------------|--------------------------------------------------------------------------------|
| `token#{sha}` | the caller's context, as `Caller.to_context` writes it; `expires_at` (seconds)  |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from codegen_api import AuthenticationError, PermissionDeniedError
from codegen_runs import upstream
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.problems import StorageUnavailable

TABLE_SECONDS = 300
MEMORY_SECONDS = 60
REFUSAL_SECONDS = 10

_MOST_REMEMBERED = 1_000
_TOKEN = re.compile(r"[!-~]{1,4096}")  # What an HTTP header can carry.

logger = Logger()


class TokenRefused(Exception):  # noqa: N818 - what happened, and no fault
    """The token belongs to nobody."""


class Shelf(Protocol):
    """Where callers are kept between processes. Both methods may raise `StorageUnavailable`."""

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the item with this key."""
        ...

    def put(self, item: dict[str, Any]) -> None:
        """Keep an item under its `pk`."""
        ...


@dataclass(frozen=True)
class _Remembered:
    caller: Caller | None  # None: refused.
    until: float


class Authenticator:
    """Tells callers by their tokens.

    Args:
        shelf: The callers table.
        clock: The time.
        ask: Finds out whose token it is, within a number of seconds. The one kind of token is Codegen's; this is where
            another kind would be told apart by its shape.
    """

    def __init__(self, shelf: Shelf, clock: Clock, ask: Callable[[str, float], Caller] | None = None) -> None:
        self._shelf = shelf
        self._clock = clock
        self._ask = ask or codegen_user
        self._memory: dict[str, _Remembered] = {}

    def caller(self, token: str, deadline: float) -> Caller:
        """Return the caller whose token this is.

        Args:
            token: The token.
            deadline: Seconds from now within which to answer.

        Raises:
            TokenRefused: It is nobody's.
            CodegenAPIError: Nobody can tell now. A caller who is still remembered does not notice.
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
        if kept := self._kept(key, now):
            caller, expires_at = kept
            return _Remembered(caller, until=min(now + MEMORY_SECONDS, expires_at))
        try:
            caller = self._ask(token, deadline)
        except TokenRefused:
            return _Remembered(None, until=now + REFUSAL_SECONDS)
        self._keep(key, caller, now)
        return _Remembered(caller, until=now + MEMORY_SECONDS)

    def _kept(self, key: str, now: float) -> tuple[Caller, int] | None:
        try:
            item = self._shelf.get({"pk": key})
        except StorageUnavailable:
            logger.warning("The callers table cannot be read; the Codegen API is asked instead.", exc_info=True)
            return None
        # DynamoDB deletes what has expired within days, not at once.
        if item is None or item["expires_at"] <= now:
            return None
        return Caller.from_context(item, token=""), item["expires_at"]

    def _keep(self, key: str, caller: Caller, now: float) -> None:
        try:
            self._shelf.put({"pk": key, **caller.to_context(), "expires_at": int(now) + TABLE_SECONDS})
        except StorageUnavailable:
            logger.warning("The callers table cannot be written.", exc_info=True)

    def _remember(self, key: str, remembered: _Remembered) -> None:
        if len(self._memory) >= _MOST_REMEMBERED:
            self._memory.clear()
        self._memory[key] = remembered


def codegen_user(token: str, deadline: float) -> Caller:
    """Ask the Codegen API whose token it is, and for the organizations of that user.

    Raises:
        TokenRefused: The API does not accept the token.
        CodegenAPIError: It cannot tell.
    """
    api = upstream.for_token(token, deadline)
    try:
        user = api.users.me()
        organizations = frozenset(organization.id for organization in api.organizations.iter())
    except (AuthenticationError, PermissionDeniedError):
        raise TokenRefused from None
    return Caller(id=f"user:{user.id}", user_id=user.id, organizations=organizations)
