"""The idempotency table: one item per idempotency key, with the answer to its request.

| pk                        | content                                                              |
|---------------------------|----------------------------------------------------------------------|
| hash of the scope and key | the `Attempt`; DynamoDB deletes it after `expires_at` (epoch seconds) |

An answer that is too large for an item (400 KB) is not stored: `finish` raises `StorageUnavailable`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from codegen_runs.storage.table import Condition, ConditionFailed, Table


@dataclass(frozen=True)
class Attempt:
    """The first request with a key.

    Attributes:
        id: A random id. Only the function that began the attempt can finish or forget it.
        fingerprint: A hash of the request.
        until: The epoch second at which the function that processes it has certainly ended.
        expires_at: The epoch second after which the key may be used again.
        answer: The answer as JSON; None until there is one.
    """

    id: str
    fingerprint: str
    until: int
    expires_at: int
    answer: str | None = None


class IdempotencyTable:
    """The attempts, by key. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def begin(self, key: str, attempt: Attempt, now: int) -> Attempt | None:
        """Store the first attempt with a key, or return the existing one. `now` is in epoch seconds."""
        while True:
            try:
                # DynamoDB may delete an expired item only days later.
                self._table.put(
                    _item(key, attempt), Condition("attribute_not_exists(#pk) OR #expires_at <= :now", {"now": now})
                )
            except ConditionFailed:
                item = self._table.get({"pk": key})
                if item is None:
                    continue
                del item["pk"]
                first = Attempt(**item)
                # A write whose answer was lost is sent again, and then finds its own item.
                return None if first.id == attempt.id else first
            else:
                return None

    def finish(self, key: str, attempt: Attempt) -> None:
        """Store an attempt with its answer. Raises `ConditionFailed` if the attempt is no longer stored."""
        self._table.put(_item(key, attempt), _own(attempt))

    def forget(self, key: str, attempt: Attempt) -> None:
        """Release the key. Raises `ConditionFailed` if the attempt is no longer stored."""
        self._table.delete({"pk": key}, _own(attempt))


def _own(attempt: Attempt) -> Condition:
    return Condition("#id = :id", {"id": attempt.id})


def _item(key: str, attempt: Attempt) -> dict[str, object]:
    return {"pk": key} | {name: value for name, value in asdict(attempt).items() if value is not None}
