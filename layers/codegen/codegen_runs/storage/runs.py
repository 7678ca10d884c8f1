"""The runs table: what is known of each run that we launch or follow, its event log, and the poller's lease.

| pk                        | sk                           | what                                            |
|---------------------------|------------------------------|-------------------------------------------------|
| `run#{org}#{key}`         | `watch`                      | the `Watch`                                     |
| `run#{org}#{key}`         | `event#{epoch}#{seq}`        | one `Event`                                     |
| `run#{org}#{key}`         | `checkpoint#{epoch}#{seq}`   | one `Checkpoint`, see `storage.checkpoints`     |
| `agent_run#{org}#{id}`    | `watch`                      | the key of the watch of an upstream run         |
| `lease#{name}`            | `lease`                      | who holds it, until when                        |
| `bucket#{budget}#{name}`  | `bucket`                     | one `Bucket` of a token's limits                |
| `budget`                  | `deployment`                 | the name of the deployment's budget             |

A run that we launch has a key of our own, because it exists before the upstream gives it an id; a run that we only
follow has its upstream id as key. The sparse index `due` holds the watches that the poller must look at, by time; the
sparse index `queue` those that wait for their launch, by rank; the sparse index `unlaunched` those of an organization
that the upstream does not know yet, by age.
DynamoDB deletes events and watches some time after `expires_at` (epoch seconds).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from codegen_api import Harness
from codegen_runs.events import Event, Position
from codegen_runs.prompts import Prompt
from codegen_runs.statuses import Status
from codegen_runs.storage import checkpoints as checkpoint_rows
from codegen_runs.storage.buckets import Bucket
from codegen_runs.storage.checkpoints import Checkpoint, Checkpoints, Head
from codegen_runs.storage.keys import run_of, run_partition
from codegen_runs.storage.table import ABSENT, TRANSACTION_ACTIONS, Condition, ConditionFailed, Item, Table, transact

# All due watches share one partition of the index: one poller follows far fewer than its 1,000 writes a second allow.
_DUE = "due"
_QUEUE = "queue"

DEFAULT_BUDGET = "deployment"
_BUDGET_KEY = {"pk": "budget", "sk": "deployment"}

# Digits of a time in milliseconds, above which a rank has the priority.
_RANK_STEP = 10**14

# Events and checkpoints together.
EVENTS_PER_WRITE = TRANSACTION_ACTIONS - 2

# Seconds that an event is kept. A watch is kept longer than its last event, so that a cursor can be told from nonsense
# when what it names is gone; that of a multi-run's run as long as the multi-run, which shows its result: for good.
RETENTION = 30 * 86_400
_WATCH_KEPT_LONGER = 30 * 86_400


# Seconds by which two clocks may differ: AWS refuses a request that was signed at a time further off.
MAX_CLOCK_SKEW = 300


class Lease(NamedTuple):
    """Who may do something for now, and until when by their own clock (epoch milliseconds)."""

    holder: str
    until: int


class Launch(BaseModel):
    """What the upstream is asked to start besides the prompt, kept until it has been."""

    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Cancel(BaseModel):
    """That somebody asked for a run to be cancelled."""

    requested_at: int
    requested_by: str
    allow_pr_ban: bool = False
    """Whether the pull request may be banned, which is the upstream's only way to stop a run."""
    reason: str | None = None


class Watch(BaseModel):
    """What is known of one run. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    key: str
    agent_run_id: int | None = None
    status: Status
    upstream_status: str | None = None
    status_reason: str | None = None
    turn: int = 1
    web_url: str | None = None
    result: str | None = None
    result_truncated: bool = False
    created_by: str | None = None
    created_at: int
    updated_at: int
    finished_at: int | None = None
    last_log_at: int | None = None
    """When a poll last brought new log entries."""
    logged_at: int | None = None
    """When the newest log entry was written, as the upstream dates it."""
    prompts: tuple[Prompt, ...] = ()
    """What the run was told, as far as it went through here: whole until it is launched, then within limits."""
    repo_id: int | None = None
    """The repository, the model and the harness that were asked for when the run was started here."""
    model: str | None = None
    agent_type: Harness | None = None
    launch: Launch | None = None
    priority: int = 0
    """Among those that wait for their launch, the lowest goes first; among equals, the oldest."""
    launching_since: int | None = None
    multi_run_id: str | None = None
    task_token: str | None = None
    pull_requests: tuple[int, ...] = ()
    """The upstream's ids of those that were told."""
    deadline_at: int
    due_at: int | None = None
    """When the poller looks next; None takes the watch out of the index."""
    viewed_until: int | None = None
    """Until when somebody is taken to watch; then the poller looks often."""
    cancel: Cancel | None = None
    """The cancel that was asked for in this turn; while the run is neither `cancelling` nor ended, it has still to be
    carried out."""
    cancel_deadline_at: int | None = None
    """Until when the upstream has to confirm a cancel that was asked for."""
    paused_at: int | None = None
    """Since when nothing is sent upstream for this run, neither its launch nor a follow-up."""
    checkpoint: Head | None = None
    """The last checkpoint that was made of it."""
    turn_since: int | None = None
    """When the turn began, if it is not the first."""
    quiet_polls: int = 0
    failures: int = 0
    epoch: int = 0
    seq: int = 0
    log_count: int = 0
    tail: tuple[str, ...] = ()
    rev: int = 0
    """Counts the writes; each write names the one it follows, so two pollers cannot both append."""

    @property
    def position(self) -> Position:
        """How far the event log has been written."""
        return Position(epoch=self.epoch, seq=self.seq, log_count=self.log_count, tail=self.tail)

    @property
    def prompt(self) -> str | None:
        """What the run began with; None where it was started elsewhere."""
        return self.prompts[0].text if self.prompts and not self.prompts[0].follow_up else None

    @property
    def rank(self) -> int | None:
        """The place in the launch queue; None outside of it."""
        waits = self.unlaunched and self.status is Status.QUEUED and not self.paused_at and not self.cancel
        return self.priority * _RANK_STEP + self.created_at if waits else None

    @property
    def unlaunched(self) -> bool:
        """Whether the upstream has never been asked for this run."""
        return self.agent_run_id is None and self.status in (Status.QUEUED, Status.PAUSED)

    def at(self, position: Position) -> Watch:
        """Return the watch with its event log written up to a position."""
        return self.model_copy(update=position.__dict__)


class RunsTable:
    """Watches, events and leases. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str, *, retention: int = RETENTION) -> None:
        self._table = Table(name)
        self._retention = retention

    def add(self, watch: Watch, events: Sequence[Event] = ()) -> bool:
        """Store a new watch with its first events; False when there is one by this key already."""
        try:
            self._write(watch, ABSENT, events, launched=watch.agent_run_id is not None)
        except ConditionFailed:
            return False
        return True

    def get(self, org_id: int, key: str) -> Watch | None:
        """Read one watch."""
        item = self._table.get(_key(org_id, key))
        return _watch(item) if item else None

    def get_many(self, org_id: int, keys: Sequence[str]) -> dict[str, Watch]:
        """Read the watches that exist, by key."""
        watches = map(_watch, self._table.get_many([_key(org_id, key) for key in keys]))
        return {watch.key: watch for watch in watches}

    def find(self, org_id: int, agent_run_id: int) -> Watch | None:
        """Read the watch of an upstream run."""
        pointer = self._table.get(_pointer(org_id, agent_run_id))
        return self.get(org_id, pointer["key"]) if pointer else None

    def find_many(self, org_id: int, agent_run_ids: Sequence[int]) -> dict[int, Watch]:
        """Read the watches of upstream runs that are followed, by the upstream's id."""
        pointers = self._table.get_many([_pointer(org_id, agent_run_id) for agent_run_id in agent_run_ids])
        watches = self.get_many(org_id, [pointer["key"] for pointer in pointers])
        return {watch.agent_run_id: watch for watch in watches.values() if watch.agent_run_id is not None}

    def write(
        self,
        watch: Watch,
        events: Sequence[Event] = (),
        checkpoints: Sequence[Checkpoint] = (),
        *,
        launched: bool = False,
    ) -> Watch:
        """Replace a watch and append events and checkpoints, all or nothing; return the watch as stored.

        `launched` makes it known by the id that the upstream has just given it. Raises `ConditionFailed` when the watch
        was written since it was read, and `ValueError` for more than `EVENTS_PER_WRITE` events and checkpoints.
        """
        following = watch.model_copy(update={"rev": watch.rev + 1})
        self._write(following, Condition("#rev = :rev", {"rev": watch.rev}), events, checkpoints, launched=launched)
        return following

    def last_checkpoint(self, org_id: int, key: str) -> Checkpoint | None:
        """Read the newest checkpoint of a run, which may be of a watch that has expired since."""
        found, _ = Checkpoints(self._table.name).newest(org_id, key, 1)
        return found[0] if found else None

    def due(self, now: int, limit: int) -> list[tuple[int, str]]:
        """List (organization, key) of the watches due by `now`, the longest due first."""
        condition = Condition("#due = :due AND #due_at <= :now", {"due": _DUE, "now": now})
        items, _ = self._table.query(condition, index="due", limit=limit)
        return [run_of(item["pk"]) for item in items]

    def outlook(self, most: int) -> tuple[int, int | None]:
        """Count the watches the poller has to follow (up to `most`), and tell when the first is due."""
        items, _ = self._table.query(Condition("#due = :due", {"due": _DUE}), index="due", limit=most)
        return len(items), items[0]["due_at"] if items else None

    def queue(self, most: int) -> list[tuple[int, str]]:
        """List (organization, key) of the watches that wait for their launch, in the order of their turn."""
        items, _ = self._table.query(Condition("#queue = :queue", {"queue": _QUEUE}), index="queue", limit=most)
        return [run_of(item["pk"]) for item in items]

    def unlaunched(self, org_id: int, most: int) -> list[Watch]:
        """Read the watches of an organization that the upstream does not know yet and that may still run, newest first.

        The index may be a moment behind, so each is read anew.
        """
        condition = Condition("#unlaunched = :org_id", {"org_id": org_id})
        items, _ = self._table.query(condition, index="unlaunched", limit=most, newest_first=True)
        watches = self.get_many(org_id, [run_of(item["pk"])[1] for item in items]).values() if items else []
        waiting = [watch for watch in watches if watch.agent_run_id is None and not watch.status.terminal]
        return sorted(waiting, key=lambda watch: watch.created_at, reverse=True)

    def deployment_budget(self) -> str:
        """Read whose budget background work draws on, as the poller noted it; its default before it ever ran."""
        item = self._table.get(_BUDGET_KEY)
        return str(item["budget"]) if item else DEFAULT_BUDGET

    def note_deployment_budget(self, budget: str) -> None:
        """Note whose budget background work draws on, for those who may not read the deployment's token."""
        if self.deployment_budget() != budget:
            self._table.put(_BUDGET_KEY | {"budget": budget})

    def get_bucket(self, budget: str, name: str) -> Bucket:
        """Read a bucket; an empty one if there is none."""
        item = self._table.get(_bucket_key(budget, name))
        return Bucket.model_validate(item) if item else Bucket()

    def put_bucket(self, budget: str, name: str, bucket: Bucket) -> None:
        """Replace a bucket. Raises `ConditionFailed` when it was written since it was read."""
        following = bucket.model_copy(update={"rev": bucket.rev + 1})
        unchanged = Condition("#rev = :rev", {"rev": bucket.rev}) if bucket.rev else ABSENT
        item = _bucket_key(budget, name) | following.model_dump(mode="json", exclude_none=True)
        self._table.put(item, unchanged)

    def events(
        self, org_id: int, key: str, *, after: tuple[int, int] = (0, 0), limit: int = 100, now: float | None = None
    ) -> list[Event]:
        """Read the events after an (epoch, seq), oldest first; fewer than `limit` does not mean that these are all.

        DynamoDB deletes what has expired within days and in no order; with `now`, in epoch seconds, what has expired
        by then is left out, so that what is read has no holes.
        """
        first, last = _event_key(*after), _event_key(9999, 0)
        condition = Condition(
            "#pk = :pk AND #sk BETWEEN :first AND :last",
            {"pk": run_partition(org_id, key), "first": first + "~", "last": last},
        )
        start: Item | None = None
        while True:
            items, start = self._table.query(condition, limit=limit, start=start)
            kept = [item for item in items if now is None or item.get("expires_at", now + 1) > now]
            if kept or start is None:
                return [Event.model_validate(item | {"data": json.loads(item["data"])}) for item in kept]

    def acquire_lease(self, name: str, holder: str, now: int, until: int, *, abandoned: Lease | None = None) -> bool:
        """Take or extend a lease that is free or already the holder's, or that ran out by any clock there is.

        `abandoned` is a lease that its holder was seen not to extend in time, and is taken if that is still so.
        """
        free = Condition(
            "attribute_not_exists(#pk) OR #holder = :holder OR #until < :long_ago",
            {"holder": holder, "long_ago": now - MAX_CLOCK_SKEW * 1000},
        )
        if abandoned:
            expression = f"{free.expression} OR (#holder = :gone AND #until = :then)"
            free = Condition(expression, {**free.values, "gone": abandoned.holder, "then": abandoned.until})
        try:
            self._table.put(_lease_key(name) | {"holder": holder, "until": until}, free)
        except ConditionFailed:
            return False
        return True

    def lease(self, name: str) -> Lease | None:
        """Read a lease."""
        item = self._table.get(_lease_key(name))
        return Lease(item["holder"], item["until"]) if item else None

    def release_lease(self, name: str, holder: str) -> None:
        """Give a lease back; one that has gone to somebody else stays theirs."""
        try:
            self._table.delete(_lease_key(name), Condition("#holder = :holder", {"holder": holder}))
        except ConditionFailed:
            return

    def _write(
        self,
        watch: Watch,
        condition: Condition,
        events: Sequence[Event],
        checkpoints: Sequence[Checkpoint] = (),
        *,
        launched: bool,
    ) -> None:
        check_size(events, checkpoints)
        item = _item(watch)
        if watch.multi_run_id is None:
            item["expires_at"] = watch.updated_at // 1000 + self._retention + _WATCH_KEPT_LONGER
        actions = [("Put", self._table.put_action(item, condition))]
        if launched and watch.agent_run_id is not None:
            # Written once, and so without an expiry: found without its watch, the run is followed anew.
            pointer = _pointer(watch.org_id, watch.agent_run_id) | {"key": watch.key}
            actions.append(("Put", self._table.put_action(pointer)))
        for event in events:
            stored = event.model_dump(mode="json", exclude_none=True) | {"data": json.dumps(event.data)}
            stored |= {"pk": item["pk"], "sk": _event_key(event.epoch, event.seq)}
            stored["expires_at"] = int(datetime.fromisoformat(event.ts).timestamp()) + self._retention
            actions.append(("Put", self._table.put_action(stored, ABSENT)))
        actions += [("Put", self._table.put_action(checkpoint_rows.item(each), ABSENT)) for each in checkpoints]
        if len(actions) == 1:
            self._table.put(item, condition)
        else:
            transact(actions)


def check_size(events: Sequence[Event], checkpoints: Sequence[Checkpoint]) -> None:
    """Raise `ValueError` for more events and checkpoints than one write takes."""
    if (count := len(events) + len(checkpoints)) > EVENTS_PER_WRITE:
        raise ValueError(f"One write takes {EVENTS_PER_WRITE} events and checkpoints, not {count}.")


def _item(watch: Watch) -> Item:
    item = _key(watch.org_id, watch.key) | watch.model_dump(mode="json", exclude_none=True, exclude={"launch"})
    if watch.launch is not None:  # as text: a caller's metadata may hold numbers that DynamoDB does not have
        item["launch"] = watch.launch.model_dump_json()
    if watch.due_at is not None:
        item["due"] = _DUE
    if watch.rank is not None:
        item |= {"queue": _QUEUE, "rank": watch.rank}
    if watch.agent_run_id is None and not watch.status.terminal:
        item["unlaunched"] = watch.org_id
    return item


def _watch(item: Item) -> Watch:
    launch = {"launch": json.loads(item["launch"])} if "launch" in item else {}
    return Watch.model_validate(item | launch)


def _key(org_id: int, key: str) -> dict[str, str]:
    return {"pk": run_partition(org_id, key), "sk": "watch"}


def _pointer(org_id: int, agent_run_id: int) -> dict[str, str]:
    return {"pk": f"agent_run#{org_id}#{agent_run_id}", "sk": "watch"}


def _bucket_key(budget: str, name: str) -> dict[str, str]:
    return {"pk": f"bucket#{budget}#{name}", "sk": "bucket"}


def _lease_key(name: str) -> dict[str, str]:
    return {"pk": f"lease#{name}", "sk": "lease"}


def _event_key(epoch: int, seq: int) -> str:
    return f"event#{epoch:04d}#{seq:010d}"
