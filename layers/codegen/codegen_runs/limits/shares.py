"""Caps on what one owner may hold at the same time: streams, tickets, connections, and messages of the last minute.

A *share* is what one owner holds of one kind, as a set of *holds*. Each hold ends at a known time, so the holds of a
function that died end by themselves; a function that is done releases its hold earlier. A share is written only if
nobody else has written it since it was read, so functions that run at the same time cannot exceed the cap together.

| pk                     | attributes                                                              |
|------------------------|-------------------------------------------------------------------------|
| `share#{kind}#{owner}` | `held`: by id, since when and until when a hold lasts (epoch milliseconds); |
|                        | `rev`: counts the writes; `expires_at` (epoch seconds)                  |

The owner is a user, whatever token the user sends: more tokens give no larger share.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from codegen_runs.clock import Clock, milliseconds
from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed

_ATTEMPTS = 12
"""How many times a share that others write at the same time is read again."""

_Held = dict[str, list[int]]


class ShareExhausted(Exception):  # noqa: N818 - an expected outcome
    """The owner holds as many as allowed. `retry_after` is the number of seconds until one of them ends."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("The share is exhausted.")
        self.retry_after = retry_after


class SharesTable(Protocol):
    """Stores shares: the shares table. Both methods may raise `StorageUnavailable`."""

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the item with this key."""
        ...

    def put(self, item: dict[str, Any], condition: Condition | None = None) -> None:
        """Store an item under its `pk`. Raises `ConditionFailed`."""
        ...


@dataclass(frozen=True)
class Hold:
    """One part of a share that is in use."""

    kind: str
    owner: str
    id: str


@dataclass(frozen=True)
class Takeover:
    """Lets a hold replace an earlier one if the share is exhausted.

    Attributes:
        prefix: How the id of the earlier hold begins.
        after: Seconds that the earlier hold must have lasted. Its holder notices within this time that it was replaced.
    """

    prefix: str
    after: float


@dataclass(frozen=True)
class Shares:
    """The shares of all owners. Every method may raise `StorageUnavailable`.

    Attributes:
        table: Where they are stored.
        clock: The time.
    """

    table: SharesTable
    clock: Clock

    def take(
        self,
        kind: str,
        owner: str,
        *,
        most: int,
        seconds: float,
        id_: str | None = None,
        takeover: Takeover | None = None,
    ) -> Hold:
        """Take a part of a share.

        Args:
            kind: What is held, such as `streams`.
            owner: Who holds it, such as `user:42`.
            most: How many the owner may hold at the same time.
            seconds: After how many seconds the hold ends by itself.
            id_: The id of the hold, if others must be able to name it.
            takeover: Which earlier hold may be replaced if the share is exhausted.

        Raises:
            ShareExhausted: The owner holds `most` already, or takes so many at once that the writes collide.
        """
        hold = Hold(kind, owner, id_ or self.new_id())
        for _ in range(_ATTEMPTS):
            now = self._now()
            held, rev = self._read(hold, now)
            if len(held) >= most:
                replaced = _replaceable(held, takeover, now)
                if replaced is None:
                    raise ShareExhausted((min(until for _, until in held.values()) - now) / 1000)
                del held[replaced]
            held[hold.id] = [now, now + milliseconds(seconds)]
            if self._write(hold, held, rev):
                return hold
        raise ShareExhausted(1)

    @staticmethod
    def new_id() -> str:
        """Return an id that no other hold has."""
        return secrets.token_hex(6)

    def release(self, hold: Hold) -> None:
        """Give a hold back. If this fails, the hold ends by itself."""
        for _ in range(_ATTEMPTS):
            held, rev = self._read(hold, self._now())
            if held.pop(hold.id, None) is None or self._write(hold, held, rev):
                return

    def lasts(self, hold: Hold) -> bool:
        """Return whether a hold has neither ended nor been replaced."""
        return hold.id in self._read(hold, self._now())[0]

    def _read(self, hold: Hold, now: int) -> tuple[_Held, int | None]:
        """Return the holds that have not ended, and the number of writes so far; None if there was none."""
        item = self.table.get(_key(hold)) or {}
        return {id_: times for id_, times in item.get("held", {}).items() if times[1] > now}, item.get("rev")

    def _write(self, hold: Hold, held: _Held, rev: int | None) -> bool:
        """Write a share; False if another function has written it since it was read."""
        last = max((until for _, until in held.values()), default=self._now())
        item: dict[str, Any] = {**_key(hold), "held": held, "rev": (rev or 0) + 1, "expires_at": last // 1000 + 1}
        try:
            self.table.put(item, ABSENT if rev is None else Condition("#rev = :seen", {"seen": rev}))
        except ConditionFailed:
            return False
        return True

    def _now(self) -> int:
        return milliseconds(self.clock.now())


def _replaceable(held: _Held, takeover: Takeover | None, now: int) -> str | None:
    """Return the oldest hold that may be replaced."""
    if takeover is None:
        return None
    old = [
        (since, id_)
        for id_, (since, _) in held.items()
        if id_.startswith(takeover.prefix) and since <= now - milliseconds(takeover.after)
    ]
    return min(old)[1] if old else None


def _key(hold: Hold) -> dict[str, str]:
    return {"pk": f"share#{hold.kind}#{hold.owner}"}
