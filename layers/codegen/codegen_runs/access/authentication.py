"""Authentication: find the caller of a token. The Codegen API is called, and its answer is cached.

A token is cached under its SHA-256 and never itself. After a token was revoked, it works for at most `MEMORY_SECONDS`
from the memory of one process, and for at most `TABLE_SECONDS` from the callers table. Then the row is stale, and the
token is checked again. A refusal is cached in both for `REFUSAL_SECONDS`.

A flood of invalid tokens must not become a flood of requests to Codegen. So an address may send only a few unknown
tokens in a minute that are refused; then its unknown tokens are refused unchecked. Cached tokens are not counted, so
the callers behind the same address stay signed in.

While the Codegen API fails, a stale row is used for the grace period after its last verification. The caller is then
*unconfirmed*, and may only read (see `http.admission`). The token is checked every `FAILURE_SECONDS`, by one process:
the row has the time of the next check, and a process claims the check by moving this time. A single failure is no
outage: the first check that fails is repeated. If Codegen refuses the token, the row is overwritten, so that the caller
is refused at once and everywhere.

| pk            | attributes                                                                                  |
|---------------|---------------------------------------------------------------------------------------------|
| `token#{sha}` | the caller's context, as `Caller.to_context` writes it, or `refused`; `verified_at`,        |
|               | `next_check_at`, `expires_at` (epoch seconds); `failing`: whether the last check failed     |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol, Self

from codegen_api import AuthenticationError, CodegenAPI, CodegenAPIError, InvalidResponseError, PermissionDeniedError
from codegen_runs import settings, upstream
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.events import timestamp
from codegen_runs.limits.shares import Hold, ShareExhausted, Shares, SharesTable
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable, TooManyRefusedTokens
from codegen_runs.storage.table import Condition, ConditionFailed
from codegen_runs.upstream.unreadable import is_identified

TABLE_SECONDS = 300
MEMORY_SECONDS = 60
REFUSAL_SECONDS = 60
"""How long a refusal is cached, and how long it counts for the address of the request."""
CHECK_SECONDS = 5
"""The most seconds that a check of a stale row takes."""
REPEAT_SECONDS = 0.5
"""Seconds after which the first check that fails is repeated."""
FAILURE_SECONDS = 5
"""Seconds between a check that failed and the next one."""

_MOST_REMEMBERED = 1_000
_TOKEN = re.compile(r"[!-~]{1,4096}")  # What an HTTP header can carry.


class TokenRefused(Exception):  # noqa: N818 - an expected outcome
    """The token is not valid."""


Find = Callable[[str, float, Caller | None], Caller]
"""Returns the caller of a token within some seconds. It gets the caller as last verified; None for an unknown token."""


class Cache(Protocol):
    """Stores callers for all processes: the callers table. Both methods may raise `StorageUnavailable`."""

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the item with this key."""
        ...

    def put(self, item: dict[str, Any], condition: Condition | None = None) -> None:
        """Store an item under its `pk`. Raises `ConditionFailed`."""
        ...


@dataclass(frozen=True)
class _Remembered:
    caller: Caller | None  # None: refused.
    until: float


@dataclass(frozen=True)
class _Row:
    """A row of the callers table. Times are epoch seconds."""

    caller: Caller | None
    """None if Codegen has refused the token since it was verified."""
    verified_at: int
    next_check_at: int
    """When the row may be checked. A process claims the check by moving this time."""
    failing: bool = False
    """Whether the last check failed."""

    @classmethod
    def of(cls, caller: Caller | None, now: float) -> Self:
        """Return the row of a caller that was verified just now, or of a token that was refused."""
        return cls(caller, int(now), int(now) + TABLE_SECONDS)

    @property
    def stale_at(self) -> int:
        return self.verified_at + TABLE_SECONDS

    def expires_at(self, grace: int) -> int:
        return self.verified_at + (max(TABLE_SECONDS, grace) if self.caller else REFUSAL_SECONDS)

    def item(self, key: str, grace: int) -> dict[str, Any]:
        return {
            "pk": key,
            **(self.caller.to_context() if self.caller else {"refused": True}),
            "verified_at": self.verified_at,
            "next_check_at": self.next_check_at,
            "failing": self.failing,
            "expires_at": self.expires_at(grace),
        }

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Self:
        if item.get("refused"):
            return cls.of(None, item["verified_at"])
        caller = Caller.from_context(item, token="")
        if "verified_at" not in item:  # A row of an earlier version has only the time at which it becomes stale.
            return cls.of(caller, item["expires_at"] - TABLE_SECONDS)
        return cls(caller, item["verified_at"], item["next_check_at"], item["failing"])


class Authenticator:
    """Finds callers by their tokens, with a cache.

    Args:
        cache: The callers table.
        clock: The time.
        find: Returns the caller of a token that is not cached, or that is checked again.
        grace: Seconds after the last verification for which a caller is accepted while the Codegen API fails; the
            deployment's setting by default.
        shares: Where the refused tokens of an address are counted; the cache by default.
        most_refused: How many tokens of one address may be refused in a minute; the deployment's setting by default.
    """

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        find: Find | None = None,
        *,
        grace: int | None = None,
        shares: SharesTable | None = None,
        most_refused: int | None = None,
    ) -> None:
        self._shares = Shares(shares or cache, clock)
        self._most_refused = most_refused
        self._closed: dict[str, float] = {}
        self._cache = cache
        self._clock = clock
        self._grace = settings.identity_grace() if grace is None else grace
        self._find = find or codegen_user
        self._memory: dict[str, _Remembered] = {}

    def caller(self, token: str, deadline: float, address: str | None = None) -> Caller:
        """Return the caller of a token.

        Args:
            token: The token.
            deadline: Seconds from now within which to answer.
            address: The IP address of the request; None if its refusals are not counted.

        Raises:
            TokenRefused: The token is not valid.
            TooManyRefusedTokens: The token is unknown, and many tokens of this address were refused.
            CodegenAPIError: The Codegen API failed. This is not raised for a caller within the grace period.
        """
        if not _TOKEN.fullmatch(token):
            raise TokenRefused
        key = f"token#{sha256(token.encode()).hexdigest()}"
        remembered = self._memory.get(key)
        if remembered is None or remembered.until <= self._clock.now():
            remembered = self._look_up(key, token, deadline, address)
            self._remember(key, remembered)
        if remembered.caller is None:
            raise TokenRefused
        return remembered.caller

    def _look_up(self, key: str, token: str, deadline: float, address: str | None) -> _Remembered:
        now, row = self._clock.now(), self._stored(key)
        if row is None or now >= row.expires_at(self._grace):
            return self._verified(key, token, deadline, address)
        if row.caller is None:
            return _Remembered(None, until=row.verified_at + REFUSAL_SECONDS)
        if now < row.stale_at:
            return _Remembered(row.caller, until=min(now + MEMORY_SECONDS, row.stale_at))
        if now < row.next_check_at or not self._claim(key, row, now):
            return self._unchecked(row, row.caller, now)
        return self._checked(key, row, row.caller, token, deadline)

    def _verified(self, key: str, token: str, deadline: float, address: str | None) -> _Remembered:
        """Find the caller of a token that is not stored."""
        attempt = self._attempt(address)
        try:
            caller = self._new(token, deadline)
        except TokenRefused:
            now = self._clock.now()
            self._store(key, _Row.of(None, now))
            return _Remembered(None, until=now + REFUSAL_SECONDS)
        except BaseException:
            self._withdraw(attempt)
            raise
        self._withdraw(attempt)
        now = self._clock.now()
        self._store(key, _Row.of(caller, now))
        return _Remembered(caller, until=now + MEMORY_SECONDS)

    def _new(self, token: str, deadline: float) -> Caller:
        """Find an unknown caller. Garbage is asked for once more; the client repeats other failures itself."""
        until = self._clock.now() + deadline
        try:
            return self._find(token, deadline, None)
        except InvalidResponseError:
            return self._find(token, until - self._clock.now(), None)

    def _attempt(self, address: str | None) -> Hold | None:
        """Count the check of an unknown token, as if it was refused already: checks at the same time count, too."""
        if not address:
            return None
        owner, now = _network(address), self._clock.now()
        if (closed := self._closed.get(owner, now)) > now:
            raise _too_many_refused(closed - now)
        most = self._most_refused or settings.cap("REFUSED_TOKENS_PER_MINUTE")
        try:
            return self._shares.take("refused_tokens", owner, most=most, seconds=REFUSAL_SECONDS)
        except ShareExhausted as exhausted:
            if len(self._closed) >= _MOST_REMEMBERED:
                self._closed.clear()
            self._closed[owner] = now + exhausted.retry_after
            logger.warning(
                "Too many tokens of an address were refused.", address=sha256(owner.encode()).hexdigest()[:16]
            )
            raise _too_many_refused(exhausted.retry_after) from None
        except StorageUnavailable:
            logger.warning("Could not count the check of a token.", exc_info=True)
            return None

    def _withdraw(self, attempt: Hold | None) -> None:
        """Do not count a check whose token was not refused."""
        try:
            if attempt:
                self._shares.release(attempt)
        except StorageUnavailable:
            logger.warning("Could not withdraw the count of a check.", exc_info=True)

    def _checked(self, key: str, row: _Row, known: Caller, token: str, deadline: float) -> _Remembered:
        """Find the caller of a stale row. A failure takes a few seconds at most, because the row can be used."""
        try:
            caller = self._confirmed(token, known, min(deadline, CHECK_SECONDS), attempts=1 if row.failing else 2)
        except TokenRefused:
            now = self._clock.now()
            self._store(key, _Row.of(None, now))
            return _Remembered(None, until=now + REFUSAL_SECONDS)
        except CodegenAPIError as error:
            logger.warning("Could not verify a caller again. The last verification is used.", error=str(error))
            now = self._clock.now()
            failed = replace(row, failing=True, next_check_at=int(now) + FAILURE_SECONDS)
            self._store(key, failed)
            return self._unchecked(failed, known, now)
        except Exception:
            self._store(key, row)  # Withdraws the claim.
            raise
        now = self._clock.now()
        self._store(key, _Row.of(caller, now))
        return _Remembered(caller, until=now + MEMORY_SECONDS)

    def _confirmed(self, token: str, known: Caller, seconds: float, *, attempts: int) -> Caller:
        """Find a known caller again. Raises what `find` raises in the last attempt."""
        until = self._clock.now() + seconds
        with upstream.without_retries():
            for _ in range(attempts - 1):
                try:
                    return self._find(token, seconds, known)
                except CodegenAPIError:
                    seconds = until - self._clock.now() - REPEAT_SECONDS
                    if seconds <= 0:
                        raise
                    self._clock.sleep(REPEAT_SECONDS)
            return self._find(token, seconds, known)

    def _unchecked(self, row: _Row, known: Caller, now: float) -> _Remembered:
        """Use a stale row while another process checks it, or for some seconds after a check failed."""
        caller = replace(known, unconfirmed_since=timestamp(row.verified_at)) if row.failing else known
        until = min(row.next_check_at if row.failing else now + 1, row.expires_at(self._grace))
        return _Remembered(caller, until=until)

    def _claim(self, key: str, row: _Row, now: float) -> bool:
        """Return whether this process may check a row. Of several processes, only one may."""
        claimed = replace(row, next_check_at=int(now) + CHECK_SECONDS + FAILURE_SECONDS)
        # A row of an earlier version has no `next_check_at`.
        unclaimed = Condition(
            "attribute_not_exists(#next_check_at) OR #next_check_at = :seen", {"seen": row.next_check_at}
        )
        try:
            self._cache.put(claimed.item(key, self._grace), unclaimed)
        except ConditionFailed:
            return False
        except StorageUnavailable:
            logger.warning("Could not write to the callers table.", exc_info=True)
        return True

    def _stored(self, key: str) -> _Row | None:
        try:
            item = self._cache.get({"pk": key})
        except StorageUnavailable:
            logger.warning("Could not read the callers table. The Codegen API is called instead.", exc_info=True)
            return None
        return _Row.read(item) if item else None

    def _store(self, key: str, row: _Row) -> None:
        try:
            self._cache.put(row.item(key, self._grace))
        except StorageUnavailable:
            logger.warning("Could not write to the callers table.", exc_info=True)

    def _remember(self, key: str, remembered: _Remembered) -> None:
        if len(self._memory) >= _MOST_REMEMBERED:
            self._memory.clear()
        self._memory[key] = remembered


def _network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the 64 bits of an IPv6 address that a host is given."""
    # Imported here, because hardly any request has an unknown token.
    from ipaddress import ip_address, ip_network

    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _too_many_refused(seconds: float) -> TooManyRefusedTokens:
    return TooManyRefusedTokens(
        "Many tokens from your address were refused in the last minute, so this one was not checked.",
        retry_after=seconds,
    )


def codegen_user(token: str, deadline: float, known: Caller | None = None) -> Caller:
    """Return the owner of a Codegen token and the organizations of this user, from the Codegen API.

    A token has one owner for good. So if only the operation that returns the owner fails, the list of organizations
    shows whether Codegen still accepts the token of a known owner.

    Args:
        token: The token.
        deadline: Seconds from now within which to answer.
        known: The caller as last verified; None for an unknown token.

    Raises:
        TokenRefused: The Codegen API does not accept the token.
        CodegenAPIError: The Codegen API did not answer, or failed.
    """
    api = upstream.for_token(token, deadline)
    try:
        user_id = _owner(api, known, deadline / 2)
        organizations = frozenset(each.id for each in api.organizations.list() if is_identified(each))
    except (AuthenticationError, PermissionDeniedError):
        raise TokenRefused from None
    return Caller(id=f"user:{user_id}", user_id=user_id, organizations=organizations)


def _owner(api: CodegenAPI, known: Caller | None, seconds: float) -> int:
    if known is None:
        return api.users.me().id
    try:
        return api.with_deadline(seconds).users.me().id
    except CodegenAPIError as error:
        if not upstream.is_outage(error):
            raise
        logger.warning("The Codegen API did not return the owner of a token.", error=str(error))
        return known.user_id
