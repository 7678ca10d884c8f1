"""The doorbells, in the webhook endpoints table: one item per organization.

| pk           | sk         | item           |
|--------------|------------|----------------|
| `org#{org}`  | `doorbell` | the `Doorbell` |

It has the webhook at Codegen that the doorbell replaced, with its secret, so that it can be restored. An item is
deleted some time after the doorbell was turned off.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_runs.storage.table import ABSENT, Condition, Item, Table

LATE_SECONDS = 3600
"""How long the URL of a doorbell works after it was turned off, for calls that Codegen was about to make."""


class Replaced(BaseModel):
    """The webhook at Codegen that a doorbell replaced."""

    model_config = ConfigDict(frozen=True)

    url: str
    enabled: bool
    secret: str | None = None
    """The secret with which Codegen signs, as an admin named it. Codegen never returns it."""


class Doorbell(BaseModel):
    """The doorbell of an organization. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    key: str
    """The part of the URL that cannot be guessed."""
    url: str
    """The URL as it was registered at Codegen."""
    replaced: Replaced | None = None
    """The webhook that gets the calls now, and that is restored; None if there was none."""
    registered_at: int | None = None
    """When Codegen took the URL; None as long as that is not known."""
    closed_at: int | None = None
    """When it was turned off."""
    rev: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not been turned off."""
        return self.closed_at is None

    def rings(self, now: int) -> bool:
        """Return whether its URL works at a time, in epoch milliseconds."""
        return self.closed_at is None or now < self.closed_at + LATE_SECONDS * 1000


class DoorbellsTable:
    """Doorbells by organization. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def get(self, org_id: int) -> Doorbell | None:
        """Read the doorbell of an organization."""
        item = self._table.get(_key(org_id))
        return Doorbell.model_validate(item) if item else None

    def write(self, doorbell: Doorbell) -> Doorbell:
        """Store a doorbell and return it.

        Raises `ConditionFailed` if the stored one was written since `doorbell` was read, or exists if `rev` is 0.
        """
        following = doorbell.model_copy(update={"rev": doorbell.rev + 1})
        unchanged = Condition("#rev = :rev", {"rev": doorbell.rev}) if doorbell.rev else ABSENT
        self._table.update(_key(doorbell.org_id), _attributes(following), unchanged)
        return following


def _attributes(doorbell: Doorbell) -> dict[str, Any]:
    """Return all attributes; those that are None are removed. A doorbell that is off is deleted after its last hour."""
    item: Item = doorbell.model_dump(mode="json")
    if doorbell.replaced:
        item["replaced"] = doorbell.replaced.model_dump(mode="json", exclude_none=True)
    expires_at = None if doorbell.closed_at is None else doorbell.closed_at // 1000 + LATE_SECONDS
    return item | {"expires_at": expires_at}


def _key(org_id: int) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": "doorbell"}
