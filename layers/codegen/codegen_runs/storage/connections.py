"""The connections table: who is connected by WebSocket, and which runs each of them follows.

| pk                 | sk              | what                                                          |
|--------------------|-----------------|---------------------------------------------------------------|
| `connection#{id}`  | `connection`    | the `Connection`: who is behind it, and never a token         |
| `run#{org}#{key}`  | the connection  | the `Subscription`: how far its log was sent to one connection |

The index `connection` finds what one connection follows; `due` holds every subscription by the time at which somebody
looks at it in any case. Both may lag a moment behind, and nothing that has to be exact reads them.

What may be sent to a connection is sent by one sender at a time: the holder of the subscription's *claim*. A claim that
is taken gets a *mark* that there is news, and with that mark on it cannot be given back. So whoever finds a claim taken
may leave: its holder reads the log once more.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from codegen_runs.callers import Caller
from codegen_runs.storage.keys import run_partition
from codegen_runs.storage.table import Condition, ConditionFailed, Item, Table

# Seconds that API Gateway keeps a connection open at the most, and after which nothing is kept of it here.
MAX_CONNECTION = 2 * 3600
KEPT = MAX_CONNECTION + 600

_DUE = "due"


class Connection(BaseModel):
    """One open WebSocket."""

    id: str
    caller_id: str
    user_id: int
    organizations: frozenset[int]
    subject: str | None = None
    """The only run or multi-run that it may follow, as `tickets.Subject.name` writes it; None: whatever it likes."""
    expires_at: int
    """Epoch seconds after which it cannot be open any more."""

    @classmethod
    def opened(cls, connection_id: str, caller: Caller, subject: str | None = None, *, now: float) -> Connection:
        """Describe a connection that a caller opens, to follow nothing but the subject if there is one."""
        return cls(
            id=connection_id,
            caller_id=caller.id,
            user_id=caller.user_id,
            organizations=caller.organizations,
            subject=subject,
            expires_at=round(now) + KEPT,
        )

    def caller(self) -> Caller:
        """Return who is connected; the token is not kept, so upstream the deployment acts for them."""
        return Caller(id=self.caller_id, user_id=self.user_id, organizations=self.organizations)


class Subscription(BaseModel):
    """One run that one connection follows."""

    model_config = ConfigDict(frozen=True)

    connection_id: str
    org_id: int
    key: str
    """The key of the run's watch, which need not exist yet."""
    id: str
    """What the client knows it by; a second subscription to the same run replaces the first and has another id."""
    run_id: int | None = None
    """The upstream run that was asked for, or else ..."""
    multi_run_id: str | None = None
    part: str | None = None
    """... the multi-run and which of its runs this is: a candidate's index or `synthesis`."""
    epoch: int = 0
    seq: int = 0
    """The last event that was sent."""
    claim: str | None = None
    """Who sends now."""
    news: bool = False
    """Whether events were stored since the claim was taken."""
    slow_until: int | None = None
    """Epoch milliseconds until which nothing is sent, because the viewer reads too slowly."""
    due_at: int
    """Epoch milliseconds: when to look at it in any case. With a claim on it: when its holder must have died."""
    expires_at: int

    @property
    def cursor(self) -> tuple[int, int]:
        """(epoch, seq) of the last event that was sent."""
        return self.epoch, self.seq


class ConnectionsTable:
    """Connections and subscriptions. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add(self, connection: Connection) -> None:
        """Store a connection."""
        item = _connection_key(connection.id) | connection.model_dump(exclude_none=True)
        self._table.put(item | {"organizations": sorted(connection.organizations)})

    def get(self, connection_id: str) -> Connection | None:
        """Read a connection."""
        item = self._table.get(_connection_key(connection_id))
        return Connection.model_validate(item) if item else None

    def remove(self, connection_id: str) -> None:
        """Forget a connection and all it follows."""
        for subscription in self.followed(connection_id):
            self.unsubscribe(connection_id, subscription.org_id, subscription.key)
        self._table.delete(_connection_key(connection_id))

    def followed(self, connection_id: str) -> list[Subscription]:
        """List what a connection follows, as known a moment ago."""
        condition = Condition("#connection_id = :id", {"id": connection_id})
        return [_subscription(item) for item in self._all(condition, index="connection")]

    def subscribe(self, subscription: Subscription) -> None:
        """Store a subscription, in place of an earlier one of the same connection to the same run."""
        self._table.put(_item(subscription))

    def unsubscribe(self, connection_id: str, org_id: int, key: str) -> None:
        """Forget a subscription; its sender, if there is one, finds out at the next step."""
        self._table.delete(_key(connection_id, org_id, key))

    def subscribers(self, org_id: int, key: str) -> list[Subscription]:
        """List who follows a run; everybody whose `subscribe` has returned is in it."""
        return [_subscription(item) for item in self._all(Condition("#pk = :pk", {"pk": run_partition(org_id, key)}))]

    def has_subscribers(self, org_id: int, key: str) -> bool:
        """Tell whether anybody follows a run."""
        items, _ = self._table.query(Condition("#pk = :pk", {"pk": run_partition(org_id, key)}), limit=1)
        return bool(items)

    def due(self, now: int, limit: int) -> list[Subscription]:
        """List the subscriptions to look at by `now`, the longest due first, as known a moment ago."""
        condition = Condition("#due = :due AND #due_at <= :now", {"due": _DUE, "now": now})
        items, _ = self._table.query(condition, index="due", limit=limit)
        return [_subscription(item) for item in items]

    def claim(self, subscription: Subscription, claim: str, until: int) -> Subscription | None:
        """Become the one who sends; None where there is one already, or no such subscription any more."""
        free = Condition("#id = :id AND attribute_not_exists(#claim)", {"id": subscription.id})
        return self._update(subscription, {"claim": claim, "news": None, "due_at": until}, free)

    def mark(self, subscription: Subscription) -> bool:
        """Tell the one who sends that there is news; False where nobody sends."""
        taken = Condition("#id = :id AND attribute_exists(#claim)", {"id": subscription.id})
        return self._update(subscription, {"news": True}, taken) is not None

    def acknowledge(self, claimed: Subscription) -> bool:
        """Take the mark off a claim of ours, before reading the log again; False where it is not ours any more."""
        return self._update(claimed, {"news": None}, _ours(claimed)) is not None

    def release(self, claimed: Subscription, cursor: tuple[int, int], due_at: int) -> bool:
        """Give a claim back with everything sent; False where it has a mark, or is not ours any more."""
        ours = _ours(claimed)
        unmarked = Condition(f"{ours.expression} AND attribute_not_exists(#news)", ours.values)
        epoch, seq = cursor
        changes = {"claim": None, "epoch": epoch, "seq": seq, "slow_until": None, "due_at": due_at}
        return self._update(claimed, changes, unmarked) is not None

    def put_off(self, claimed: Subscription, cursor: tuple[int, int], due_at: int, *, slow: bool = False) -> None:
        """Give a claim back although there is more to send; where the viewer is `slow`, nobody sends until `due_at`."""
        epoch, seq = cursor
        changes = {"claim": None, "news": None, "epoch": epoch, "seq": seq, "due_at": due_at}
        self._update(claimed, changes | {"slow_until": due_at if slow else None}, _ours(claimed))

    def finish(self, claimed: Subscription) -> None:
        """End a subscription of which we are the sender."""
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
