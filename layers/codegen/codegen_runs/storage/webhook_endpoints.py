"""The webhook endpoints table: one item per endpoint under its organization, and one per delivery under its endpoint.

| pk                     | sk                        | item            |
|------------------------|---------------------------|-----------------|
| `org#{org}`            | `endpoint#{id}`           | the `Endpoint`  |
| `endpoint#{org}#{id}`  | `delivery#{time}#{id}`    | the `Delivery`  |
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_runs.redaction import redact
from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed, Item, Table

_DELIVERY_RETENTION = 30 * 86_400


class Format(StrEnum):
    """The form of the messages to an endpoint."""

    STANDARD = "standard"
    SLACK = "slack"


class Endpoint(BaseModel):
    """Where messages about an organization are sent. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    id: str
    url: str
    description: str | None = None
    events: tuple[str, ...] = ()
    format: Format = Format.STANDARD
    secret: str
    previous_secret: str | None = None
    """The secret before a rotation, which also signs until `previous_until`."""
    previous_until: int | None = None
    created_at: int
    created_by: str
    updated_at: int
    failing_since: int | None = None
    """When the first of the failed tries in a row was made."""
    disabled_at: int | None = None
    disabled_reason: str | None = None
    rev: int = 0

    @property
    def is_enabled(self) -> bool:
        """Whether messages are sent to it."""
        return self.disabled_at is None


class Attempt(BaseModel):
    """One try to deliver a message. The time is in epoch milliseconds."""

    at: int
    status: int | None = None
    """The HTTP status of the answer; None if there was none."""
    error: str | None = None
    milliseconds: int
    answer: str | None = None
    """The beginning of the answer's body."""


class DeliveryStatus(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(BaseModel):
    """One message to one endpoint. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    endpoint_id: str
    id: str
    """The id of the message, the same for all endpoints and on every try."""
    type: str
    created_at: int
    body: str
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: tuple[Attempt, ...] = ()
    earlier_attempts: int = 0
    """How many of the attempts were made before it was last replayed."""
    next_attempt_at: int | None = None
    reason: str | None = None
    """Why it failed."""
    rev: int = 0

    @property
    def tries(self) -> int:
        """How many tries were made since it was created or last replayed."""
        return len(self.attempts) - self.earlier_attempts

    @property
    def position(self) -> str:
        """Its place among the deliveries of its endpoint."""
        return f"{self.created_at:014}#{self.id}"


class WebhookEndpointsTable:
    """Endpoints by organization, and their deliveries. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add(self, endpoint: Endpoint) -> None:
        """Store a new endpoint."""
        self._table.put(_item(endpoint), ABSENT)

    def get(self, org_id: int, endpoint_id: str) -> Endpoint | None:
        """Read an endpoint."""
        item = self._table.get(_key(org_id, endpoint_id))
        return Endpoint.model_validate(item) if item else None

    def of(self, org_id: int) -> list[Endpoint]:
        """List the endpoints of an organization, oldest first. There are never more than a page has."""
        condition = Condition("#pk = :pk AND begins_with(#sk, :sk)", {"pk": f"org#{org_id}", "sk": "endpoint#"})
        items, _ = self._table.query(condition)
        return sorted(map(Endpoint.model_validate, items), key=lambda each: (each.created_at, each.id))

    def write(self, endpoint: Endpoint, **changes: Any) -> Endpoint:
        """Change an endpoint and return it. None removes a field.

        Raises `ConditionFailed` if it was written since it was read, or deleted.
        """
        changes = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
        unchanged = Condition("#rev = :rev", {"rev": endpoint.rev})
        item = self._table.update(_key(endpoint.org_id, endpoint.id), changes | {"rev": endpoint.rev + 1}, unchanged)
        return Endpoint.model_validate(item)

    def remove(self, org_id: int, endpoint_id: str) -> None:
        """Delete an endpoint, if it exists. Its deliveries stay until they expire."""
        self._table.delete(_key(org_id, endpoint_id))

    def add_delivery(self, delivery: Delivery) -> Delivery:
        """Store a delivery, or return the stored one if it exists already."""
        try:
            self._table.put(_delivery_item(delivery), ABSENT)
        except ConditionFailed:
            return self.delivery(delivery.org_id, delivery.endpoint_id, delivery.position) or delivery
        return delivery

    def delivery(self, org_id: int, endpoint_id: str, position: str) -> Delivery | None:
        """Read a delivery."""
        item = self._table.get(_delivery_key(org_id, endpoint_id, position))
        return Delivery.model_validate(item) if item else None

    def write_delivery(self, delivery: Delivery, **changes: Any) -> Delivery:
        """Change a delivery and return it. Raises `ConditionFailed` if it was written since it was read."""
        if "attempts" in changes:
            changes["attempts"] = redact([each.model_dump(exclude_none=True) for each in changes["attempts"]])
        unchanged = Condition("#rev = :rev", {"rev": delivery.rev})
        key = _delivery_key(delivery.org_id, delivery.endpoint_id, delivery.position)
        return Delivery.model_validate(self._table.update(key, changes | {"rev": delivery.rev + 1}, unchanged))

    def deliveries(
        self, org_id: int, endpoint_id: str, limit: int, before: str | None = None
    ) -> tuple[list[Delivery], str | None]:
        """List deliveries before a position, newest first, and the position before which to continue."""
        pk = f"endpoint#{org_id}#{endpoint_id}"
        start: Item | None = dict(_delivery_key(org_id, endpoint_id, before)) if before else None
        condition = Condition("#pk = :pk AND begins_with(#sk, :sk)", {"pk": pk, "sk": "delivery#"})
        items, following = self._table.query(condition, limit=limit, newest_first=True, start=start)
        found = [Delivery.model_validate(item) for item in items]
        return found, found[-1].position if following else None

    def deliveries_since(self, org_id: int, endpoint_id: str, since: int, limit: int) -> Sequence[Delivery]:
        """List deliveries that were created at a time or later, oldest first."""
        condition = Condition(
            "#pk = :pk AND #sk BETWEEN :first AND :last",
            {"pk": f"endpoint#{org_id}#{endpoint_id}", "first": f"delivery#{since:014}", "last": "delivery#~"},
        )
        items, _ = self._table.query(condition, limit=limit)
        return [Delivery.model_validate(item) for item in items]


def _key(org_id: int, endpoint_id: str) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": f"endpoint#{endpoint_id}"}


def _item(endpoint: Endpoint) -> Item:
    return _key(endpoint.org_id, endpoint.id) | endpoint.model_dump(mode="json", exclude_none=True)


def _delivery_key(org_id: int, endpoint_id: str, position: str) -> dict[str, str]:
    return {"pk": f"endpoint#{org_id}#{endpoint_id}", "sk": f"delivery#{position}"}


def _delivery_item(delivery: Delivery) -> Item:
    item = _delivery_key(delivery.org_id, delivery.endpoint_id, delivery.position)
    item |= delivery.model_dump(mode="json", exclude_none=True)
    return item | {"expires_at": delivery.created_at // 1000 + _DELIVERY_RETENTION}
