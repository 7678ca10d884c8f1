"""The connections table: the open WebSockets, and the subscriptions of each.

| pk                | sk                | item                                                              |
|-------------------|-------------------|-------------------------------------------------------------------|
| `connection#{id}` | `connection`      | the `Connection`, with its caller and without a token             |
| `share#{kind}#{id}` | `share`         | how many messages a connection has sent: see `limits.shares`      |
| `run#{org}#{key}` | the connection id | the `Subscription`: how far the run's log was sent to this client |

The index `connection` contains the subscriptions by connection, the index `due` all subscriptions by the time of their
next check. Both may lag a moment behind, so they are read only where that does no harm.

Only one sender at a time sends to a subscription: the holder of its *claim*. A sender that finds the claim taken adds a
*mark*, which means that there are new events. A marked claim cannot be released: its holder reads the log again first.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from codegen_runs.callers import Caller
from codegen_runs.storage.keys import run_partition
from codegen_runs.storage.table import Condition, ConditionFailed, Item, Table

# The most seconds that API Gateway keeps a connection open, and the seconds after which its items expire.
MAX_CONNECTION = 2 * 3600
KEPT = MAX_CONNECTION + 600

PART = "multi_run"
"""The part of a subscription to a multi-run that has the multi-run's own events."""

_DUE = "due"


class Connection(BaseModel):
    """One open WebSocket."""

    id: str
    caller_id: str
    user_id: int
    organizations: frozenset[int]
    subject: str | None = None
    """The only run or multi-run that the connection may follow, as `tickets.Subject.name`; None for any."""
    expires_at: int
    """Epoch seconds after which the connection cannot be open any more."""

    @classmethod
    def opened(cls, connection_id: str, caller: Caller, subject: str | None = None, *, now: float) -> Connection:
        """Return the connection that a caller opens. If there is a subject, it may follow only that."""
        return cls(
            id=connection_id,
            caller_id=caller.id,
            user_id=caller.user_id,
            organizations=caller.organizations,
            subject=subject,
            expires_at=round(now) + KEPT,
        )

    def caller(self) -> Caller:
        """Return the caller. The token is not stored, so calls to the upstream use the deployment's token."""
        return Caller(id=self.caller_id, user_id=self.user_id, organizations=self.organizations)


class Subscription(BaseModel):
    """That one connection follows one run, and how far the run's log was sent to it."""

    model_config = ConfigDict(frozen=True)

    connection_id: str
    org_id: int
    key: str
    """The key of the run's watch, which need not exist yet."""
    id: str
    """The id that the client gets. A second subscription to the same run replaces the first and has another id."""
    run_id: int | None = None
    """The upstream run that the client named, or else ..."""
    multi_run_id: str | None = None
    part: str | None = None
    """... the multi-run, and which of its logs this is: `multi_run`, a candidate's index or `synthesis`."""
    epoch: int = 0
    seq: int = 0
    """The last event that was sent."""
    claim: str | None = None
    """Identifies the sender that holds the claim; None if the claim is free."""
    news: bool = False
    """The mark: whether events were stored since the claim was taken."""
    slow_until: int | None = None
    """Epoch milliseconds until which nothing is sent, because the client reads too slowly."""
    due_at: int
    """Epoch milliseconds of the next check. While the claim is taken: the time at which its holder must have died."""
    expires_at: int

    @property
    def cursor(self) -> tuple[int, int]:
        """(epoch, seq) of the last event that was sent."""
        return self.epoch, self.seq


class ConnectionShares:
    """The shares that are stored with the connections."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, key: Mapping[str, str]) -> Item | None:
        """Read a share."""
        return self._table.get({**key, "sk": "share"})

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Store a share. Raises `ConditionFailed`."""
        self._table.put(item | {"sk": "share"}, condition)


class ConnectionsTable:
    """Connections and subscriptions. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    @property
    def shares(self) -> ConnectionShares:
        """How many messages each connection has sent."""
        return ConnectionShares(self._table)

    def add(self, connection: Connection) -> None:
        """Store a connection."""
        item = _connection_key(connection.id) | connection.model_dump(exclude_none=True)
        self._table.put(item | {"organizations": sorted(connection.organizations)})

    def get(self, connection_id: str) -> Connection | None:
        """Read a connection."""
        item = self._table.get(_connection_key(connection_id))
        return Connection.model_validate(item) if item else None

    def remove(self, connection_id: str) -> None:
        """Delete a connection and its subscriptions."""
        for subscription in self.followed(connection_id):
            self.unsubscribe(connection_id, subscription.org_id, subscription.key)
        self._table.delete(_connection_key(connection_id))

    def followed(self, connection_id: str) -> list[Subscription]:
        """List the subscriptions of a connection, as of a moment ago."""
        condition = Condition("#connection_id = :id", {"id": connection_id})
        return [_subscription(item) for item in self._all(condition, index="connection")]

    def subscribe(self, subscription: Subscription) -> None:
        """Store a subscription. It replaces an earlier one of the same connection to the same run."""
        self._table.put(_item(subscription))

    def unsubscribe(self, connection_id: str, org_id: int, key: str) -> None:
        """Delete a subscription. Its current sender, if any, notices at its next step."""
        self._table.delete(_key(connection_id, org_id, key))

    def subscribers(self, org_id: int, key: str) -> list[Subscription]:
        """List the subscriptions to a run, including every one whose `subscribe` has returned."""
        return [_subscription(item) for item in self._all(Condition("#pk = :pk", {"pk": run_partition(org_id, key)}))]

    def has_subscribers(self, org_id: int, key: str) -> bool:
        """Return whether a run has subscriptions."""
        items, _ = self._table.query(Condition("#pk = :pk", {"pk": run_partition(org_id, key)}), limit=1)
        return bool(items)

    def due(self, now: int, limit: int) -> list[Subscription]:
        """List the subscriptions whose check is due, the longest due first, as of a moment ago."""
        condition = Condition("#due = :due AND #due_at <= :now", {"due": _DUE, "now": now})
        items, _ = self._table.query(condition, index="due", limit=limit)
        return [_subscription(item) for item in items]

    def claim(self, subscription: Subscription, claim: str, until: int) -> Subscription | None:
        """Take the claim; None if it is taken already, or the subscription no longer exists."""
        free = Condition("#id = :id AND attribute_not_exists(#claim)", {"id": subscription.id})
        return self._update(subscription, {"claim": claim, "news": None, "due_at": until}, free)

    def mark(self, subscription: Subscription) -> bool:
        """Mark the claim, because there are new events; False if the claim is free."""
        taken = Condition("#id = :id AND attribute_exists(#claim)", {"id": subscription.id})
        return self._update(subscription, {"news": True}, taken) is not None

    def acknowledge(self, claimed: Subscription) -> bool:
        """Remove the mark from our claim, before reading the log again; False if we no longer hold the claim."""
        return self._update(claimed, {"news": None}, _ours(claimed)) is not None

    def release(self, claimed: Subscription, cursor: tuple[int, int], due_at: int) -> bool:
        """Release our claim after sending everything; False if it is marked, or if we no longer hold it."""
        ours = _ours(claimed)
        unmarked = Condition(f"{ours.expression} AND attribute_not_exists(#news)", ours.values)
        epoch, seq = cursor
        changes = {"claim": None, "epoch": epoch, "seq": seq, "slow_until": None, "due_at": due_at}
        return self._update(claimed, changes, unmarked) is not None

    def put_off(self, claimed: Subscription, cursor: tuple[int, int], due_at: int, *, slow: bool = False) -> None:
        """Release our claim although there is more to send. If the client is `slow`, nothing is sent until `due_at`."""
        epoch, seq = cursor
        changes = {"claim": None, "news": None, "epoch": epoch, "seq": seq, "due_at": due_at}
        self._update(claimed, changes | {"slow_until": due_at if slow else None}, _ours(claimed))

    def finish(self, claimed: Subscription) -> None:
        """Delete a subscription whose claim we hold."""
        key = _key(claimed.connection_id, claimed.org_id, claimed.key)
        try:
            self._table.delete(key, _ours(claimed))
        except ConditionFailed:
            return

    def _update(self, subscription: Subscription, changes: Item, condition: Condition) -> Subscription | None:
        key = _key(subscription.connection_id, subscription.org_id, subscription.key)
        try:
            return _subscription(self._table.update(key, changes, condition))
        except ConditionFailed:
            return None

    def _all(self, condition: Condition, *, index: str | None = None) -> list[Item]:
        items, following = self._table.query(condition, index=index)
        while following:
            more, following = self._table.query(condition, index=index, start=following)
            items += more
        return items


def _ours(claimed: Subscription) -> Condition:
    return Condition("#id = :id AND #claim = :claim", {"id": claimed.id, "claim": claimed.claim})


def _item(subscription: Subscription) -> Item:
    key = _key(subscription.connection_id, subscription.org_id, subscription.key)
    return key | subscription.model_dump(exclude_none=True, exclude_defaults=True) | {"due": _DUE}


def _subscription(item: Item) -> Subscription:
    return Subscription.model_validate(item)


def _connection_key(connection_id: str) -> dict[str, str]:
    return {"pk": f"connection#{connection_id}", "sk": "connection"}


def _key(connection_id: str, org_id: int, key: str) -> dict[str, str]:
    return {"pk": run_partition(org_id, key), "sk": connection_id}
