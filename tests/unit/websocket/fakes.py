"""Stand-ins for what a sender works with: the same promises, without a network and much faster."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from codegen_runs.live.connections import Gone
from codegen_runs.storage.connections import Connection, Subscription


class MemoryConnectionsTable:
    """Connections and subscriptions in memory. `before` is called before each read and write, and may raise."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.subscriptions: dict[tuple[str, int, str], Subscription] = {}
        self.subscribed: set[str] = set()
        self.before: Callable[[], None] = lambda: None

    def add(self, connection: Connection) -> None:
        self.before()
        self.connections[connection.id] = connection

    def get(self, connection_id: str) -> Connection | None:
        self.before()
        return self.connections.get(connection_id)

    def remove(self, connection_id: str) -> None:
        self.before()
        for subscription in self.followed(connection_id):
            self.unsubscribe(connection_id, subscription.org_id, subscription.key)
        self.connections.pop(connection_id, None)

    def followed(self, connection_id: str) -> list[Subscription]:
        self.before()
        return [each for each in self.subscriptions.values() if each.connection_id == connection_id]

    def subscribe(self, subscription: Subscription) -> None:
        self.before()
        self.subscriptions[_place(subscription)] = subscription
        self.subscribed.add(subscription.connection_id)

    def unsubscribe(self, connection_id: str, org_id: int, key: str) -> None:
        self.before()
        self.subscriptions.pop((connection_id, org_id, key), None)

    def subscribers(self, org_id: int, key: str) -> list[Subscription]:
        self.before()
        return [each for each in self.subscriptions.values() if (each.org_id, each.key) == (org_id, key)]

    def has_subscribers(self, org_id: int, key: str) -> bool:
        return bool(self.subscribers(org_id, key))

    def due(self, now: int, limit: int) -> list[Subscription]:
        self.before()
        due = [each for each in self.subscriptions.values() if each.due_at <= now]
        return sorted(due, key=lambda each: each.due_at)[:limit]

    def claim(self, subscription: Subscription, claim: str, until: int) -> Subscription | None:
        changes = {"claim": claim, "news": False, "due_at": until}
        return self._update(subscription, changes, lambda found: found.claim is None)

    def mark(self, subscription: Subscription) -> bool:
        return self._update(subscription, {"news": True}, lambda found: found.claim is not None) is not None

    def acknowledge(self, claimed: Subscription) -> bool:
        return self._update(claimed, {"news": False}, lambda found: found.claim == claimed.claim) is not None

    def release(self, claimed: Subscription, cursor: tuple[int, int], due_at: int) -> bool:
        changes = {"claim": None, "epoch": cursor[0], "seq": cursor[1], "slow_until": None, "due_at": due_at}
        free = lambda found: found.claim == claimed.claim and not found.news  # noqa: E731
        return self._update(claimed, changes, free) is not None

    def put_off(self, claimed: Subscription, cursor: tuple[int, int], due_at: int, *, slow: bool = False) -> None:
        changes = {"claim": None, "news": False, "epoch": cursor[0], "seq": cursor[1], "due_at": due_at}
        changes["slow_until"] = due_at if slow else None
        self._update(claimed, changes, lambda found: found.claim == claimed.claim)

    def finish(self, claimed: Subscription) -> None:
        self.before()
        found = self.subscriptions.get(_place(claimed))
        if found and (found.id, found.claim) == (claimed.id, claimed.claim):
            del self.subscriptions[_place(claimed)]

    def _update(
        self, subscription: Subscription, changes: dict[str, Any], condition: Callable[[Subscription], bool]
    ) -> Subscription | None:
        self.before()
        found = self.subscriptions.get(_place(subscription))
        if found is None or found.id != subscription.id or not condition(found):
            return None
        self.subscriptions[_place(subscription)] = found.model_copy(update=changes)
        return self.subscriptions[_place(subscription)]


@dataclass
class FakeConnections:
    """Open connections and the frames that each got. What is in `trouble` happens to the next posts, in order.

    A trouble is raised instead of the post; with `after`, once the call has taken effect.
    """

    frames: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    trouble: list[Exception | None] = field(default_factory=list)
    after: bool = False
    before: Callable[[], None] = lambda: None

    def open(self, connection_id: str) -> list[dict[str, Any]]:
        return self.frames.setdefault(connection_id, [])

    def post(self, connection_id: str, frame: bytes) -> None:
        self.before()
        error = self.trouble.pop(0) if self.trouble else None
        if error and not self.after:
            raise error
        if connection_id not in self.frames:
            raise Gone
        self.sizes.append(len(frame))
        self.frames[connection_id].append(json.loads(frame))
        if error:
            raise error

    def close(self, connection_id: str) -> None:
        self.before()
        if connection_id not in self.frames:
            raise Gone
        del self.frames[connection_id]


def events(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events in frames, in order."""
    return [event for frame in frames if frame["type"] == "events" for event in frame["events"]]


def _place(subscription: Subscription) -> tuple[str, int, str]:
    return subscription.connection_id, subscription.org_id, subscription.key
