"""The idempotency table: one item per key that a request was sent with, for as long as answers are kept.

| pk                          | what                                                              |
|-----------------------------|-------------------------------------------------------------------|
| hash of the scope and key   | the `Attempt`; `expires_at` (epoch seconds) is when DynamoDB forgets it |

The answer is kept in the item. One that is too large for an item (400 KB) cannot be: `finish` then raises.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from codegen_runs.storage.table import Condition, ConditionFailed, Table


@dataclass(frozen=True)
class Attempt:
    """The first request with a key.

    Attributes:
        id: A name of its own, so that nobody else finishes it.
        fingerprint: A hash of what was asked.
        until: The epoch second at which whoever answers it has ended.
        expires_at: The epoch second after which the key is as new.
        answer: The answer as text; None while there is none.
    """

    id: str
    fingerprint: str
    until: int
    expires_at: int
    answer: str | None = None


class IdempotencyTable:
    """Attempts by key. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def begin(self, key: str, attempt: Attempt, now: int) -> Attempt | None:
        """Store the first attempt with a key, or return the one that there is. `now` is in epoch seconds."""
        while True:
            try:
                # DynamoDB deletes what has expired when it has time, up to days later.
                self._table.put(
                    _item(key, attempt), Condition("attribute_not_exists(#pk) OR #expires_at <= :now", {"now": now})
                )
            except ConditionFailed:
                found = self._table.get({"pk": key})
                if found is None:
                    continue
                del found["pk"]
                first = Attempt(**found)
                # A write whose answer was lost is repeated, and meets itself.
                return None if first.id == attempt.id else first
            else:
                return None

    def finish(self, key: str, attempt: Attempt) -> None:
        """Store an attempt with its answer. Raises `ConditionFailed` when it is not there any more."""
        self._table.put(_item(key, attempt), _own(attempt))

    def forget(self, key: str, attempt: Attempt) -> None:
        """Let the key be as new. Raises `ConditionFailed` when the attempt is not there any more."""
        self._table.delete({"pk": key}, _own(attempt))


def _own(attempt: Attempt) -> Condition:
    return Condition("#id = :id", {"id": attempt.id})


def _item(key: str, attempt: Attempt) -> dict[str, object]:
    return {"pk": key} | {name: value for name, value in asdict(attempt).items() if value is not None}
