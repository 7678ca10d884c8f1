"""The runs table: the watch and the event log of each run that is launched or followed here, and the poller's lease.

| pk                        | sk                           | item                                            |
|---------------------------|------------------------------|-------------------------------------------------|
| `run#{org}#{key}`         | `watch`                      | the `Watch`                                     |
| `run#{org}#{key}`         | `event#{epoch}#{seq}`        | one `Event`; with the id of a multi-run as key, |
|                           |                              | one of the multi-run                            |
| `run#{org}#{key}`         | `checkpoint#{epoch}#{seq}`   | one `Checkpoint`, see `storage.checkpoints`     |
| `agent_run#{org}#{id}`    | `watch`                      | the key of the watch of an upstream run         |
| `lease#{name}`            | `lease`                      | the holder of the lease, and its end            |
| `bucket#{quota}#{name}`  | `bucket`                     | one `Bucket` of a token's limits                |
| `quota`                  | `deployment`                 | the name of the deployment's quota             |
| `outage`                  | `codegen`                    | the `Outage` of the upstream                    |
| `backlog#{org}`           | `backlog`                    | the `Backlog` of an organization                |

A run that is launched here has a key of its own, because it exists before the upstream gives it an id. A run that is
only followed has its upstream id as key.

| sparse index | watches                                                        | order         |
|--------------|----------------------------------------------------------------|---------------|
| `due`        | those that the poller must poll                                | by time       |
| `queue`      | those that wait for their launch                               | by line       |
| `unlaunched` | those of an organization whose runs the upstream does not have | by age        |

DynamoDB deletes events and watches some time after `expires_at` (epoch seconds).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field

from codegen_api import Harness
from codegen_runs.events import Event, Position
from codegen_runs.problems import StorageUnavailable
from codegen_runs.prompts import Prompt
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status, from_upstream
from codegen_runs.storage import checkpoints as checkpoint_rows
from codegen_runs.storage import outbox
from codegen_runs.storage.backlogs import Backlog
from codegen_runs.storage.buckets import Bucket
from codegen_runs.storage.checkpoints import Checkpoint, Checkpoints, Head
from codegen_runs.storage.keys import run_of, run_partition
from codegen_runs.storage.table import ABSENT, TRANSACTION_ACTIONS, Condition, ConditionFailed, Item, Table, transact

if TYPE_CHECKING:
    from codegen_runs.storage.outages import Outage

logger = logging.getLogger(__name__)

# All due watches share one partition of the index. It allows 1,000 writes per second, far more than one poller makes.
_DUE = "due"
_QUEUE = "queue"

DEFAULT_QUOTA = "deployment"
_QUOTA_KEY = {"pk": "quota", "sk": "deployment"}
_OUTAGE_KEY = {"pk": "outage", "sk": "codegen"}

# A rank in the index `queue` consists of these parts, from the last digits to the first: the time in milliseconds, the
# priority, and the line, which is a number of the caller and the organization. So the runs of a caller stand together,
# and those of an organization. Ranks without a line are of runs that were queued before there were lines.
_PRIORITY_STEP = 10**14
_LINE_STEP = 10**16
_CALLERS = 10**9
_ORGANIZATIONS = 10**12
_MOST_RANK = _ORGANIZATIONS * _CALLERS * _LINE_STEP

# How many entries of the index `queue` are read at a time.
_QUEUE_PAGE = 100

# The most events and checkpoints together in one write.
EVENTS_PER_WRITE = TRANSACTION_ACTIONS - 2 - outbox.MOST_PER_WRITE

# How many seconds an event is stored. A watch is stored longer than its last event, so that an expired cursor can be
# distinguished from an invalid one. The watch of a multi-run's run does not expire: the multi-run shows its result.
RETENTION = 30 * 86_400
_WATCH_KEPT_LONGER = 30 * 86_400

# The most seconds by which two clocks may differ. AWS refuses requests that are signed with a larger difference.
MAX_CLOCK_SKEW = 300


class Lease(NamedTuple):
    """The holder of a lease, and the end of the lease by the holder's clock (epoch milliseconds)."""

    holder: str
    until: int


class Queued(NamedTuple):
    """A run in the launch queue, as its index shows it."""

    org_id: int
    key: str
    rank: int

    @property
    def place(self) -> tuple[int, str]:
        """The organization and the key."""
        return self.org_id, self.key

    @property
    def line(self) -> int:
        """The number of the line in which the run waits: that of its caller in its organization."""
        return self.rank // _LINE_STEP

    @property
    def organization(self) -> str:
        """The name of the organization, for the turns."""
        return str(self.org_id)

    @property
    def caller(self) -> str:
        """The number of the caller, for the turns."""
        return str(self.line % _CALLERS)

    @property
    def since(self) -> int:
        """Since when the run waits, in epoch milliseconds."""
        return self.rank % _PRIORITY_STEP


class Launch(BaseModel):
    """The parameters of a launch besides the prompt. They are stored until the run is launched."""

    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    sent: str | None = None
    """The text that the upstream receives in place of the prompt; None if it receives the prompt alone."""


class Cancel(BaseModel):
    """A request to cancel a run."""

    requested_at: int
    requested_by: str
    allow_pr_ban: bool = False
    """Whether the pull request may be banned, which is the upstream's only way to stop a run."""
    reason: str | None = None


class OpenedPullRequest(BaseModel):
    """A pull request that a run opened or works on."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(description="Codegen's id.")
    number: int | None = Field(None, description="The number in its repository, from the URL.")
    title: str | None = None
    url: str | None = None
    branch_name: str | None = None


class Watch(BaseModel):
    """The state of one run. Times are epoch milliseconds."""

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
    request_id: str | None = None
    """The id of the request that started or last continued it here: see `correlation`."""
    created_at: int
    updated_at: int
    finished_at: int | None = None
    last_log_at: int | None = None
    """When a poll last returned new log entries."""
    logged_at: int | None = None
    """When the newest log entry was written, by the upstream's time."""
    prompts: tuple[Prompt, ...] = ()
    """The prompts that were sent through this deployment: in full until the run is launched, then within limits."""
    repo_id: int | None = None
    """The repository, the model and the harness that were requested when the run was started here."""
    model: str | None = None
    agent_type: Harness | None = None
    launch: Launch | None = None
    priority: int = 0
    """The order of a caller's launches: the lowest priority first; of the same priority, the one that waits longest."""
    queued_at: int | None = None
    """Since when it waits for its launch, if that is not since its creation."""
    held_until: int | None = None
    """When it returns to the launch queue after a launch that failed; None if it is not held."""
    launching_since: int | None = None
    """When its launch was requested; None before that, and after it is known that the launch created nothing."""
    multi_run_id: str | None = None
    task_token: str | None = None
    earlier_tokens: tuple[str, ...] = ()
    """The tokens that `task_token` has replaced. One of them may be that of the task that waits."""
    unawaited: bool = False
    """Whether its state machine no longer waits for it, although it continues."""
    pull_requests: tuple[int, ...] = ()
    """The upstream's ids of the pull requests that have an event."""
    opened: tuple[OpenedPullRequest, ...] = ()
    """The first of these pull requests, as they were when their events were written."""
    summary: str | None = None
    """The beginning of the agent's summary of its last turn that ended."""
    deadline_at: int
    due_at: int | None = None
    """The time of the next poll; None removes the watch from the index."""
    viewed_until: int | None = None
    """Until this time the run counts as watched by a viewer, and is polled often."""
    rung_at: int | None = None
    """The time of the last poll for which its doorbell was rung."""
    cancel: Cancel | None = None
    """The cancel that was requested in this turn. It is not carried out while the run is neither `cancelling` nor
    ended."""
    cancel_deadline_at: int | None = None
    """The time until which the upstream must confirm a cancel."""
    paused_at: int | None = None
    """When it was paused: since then nothing is sent to the upstream for it, neither its launch nor a follow-up."""
    checkpoint: Head | None = None
    """The last checkpoint of the run."""
    turn_since: int | None = None
    """When the turn began; None for the first turn."""
    quiet_polls: int = 0
    failures: int = 0
    outage_since: int | None = None
    """Since when the run is not read because the upstream does not respond to any call."""
    looks_left: int = 0
    """How many more times the whole log of a run that has ended is compared with the upstream's."""
    look_at: int | None = None
    """The position from which such a look continues; None while there is none."""
    extra_reads: int = 0
    """How many reads of entries far from the end of the log were needed in addition to the polls."""
    epoch: int = 0
    seq: int = 0
    log_count: int = 0
    tail: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    rev: int = 0
    """The number of writes. Each write requires the number that was read, so two pollers cannot both append."""

    @property
    def task_tokens(self) -> tuple[str, ...]:
        """The tokens of the tasks that may wait for the run."""
        return (self.task_token, *self.earlier_tokens) if self.task_token else ()

    @property
    def position(self) -> Position:
        """How far the event log has been written."""
        return Position(epoch=self.epoch, seq=self.seq, log_count=self.log_count, tail=self.tail, open=self.open)

    @property
    def shown_status(self) -> Status:
        """The status that callers see. Until the first read of a turn, it is what the upstream said when it began."""
        if self.status is not Status.UNKNOWN:
            return self.status
        said = from_upstream(self.upstream_status)
        if said.terminal:  # the status of the turn before
            return Status.QUEUED if self.turn > 1 else Status.UNKNOWN
        return said

    @property
    def settled(self) -> bool:
        """Whether the turn has ended, and all log entries that were found since are in the event log."""
        return self.status.terminal and (self.look_at is None or self.look_at < self.log_count)

    @property
    def is_internal(self) -> bool:
        """Whether it is a run of a multi-run and no candidate. This deployment writes the prompt of such a run."""
        if self.multi_run_id is None:
            return False
        return not self.key.removeprefix(f"{self.multi_run_id}-")[:1].isdecimal()

    @property
    def prompt(self) -> str | None:
        """The first prompt of the run; None if the run was started elsewhere."""
        return self.prompts[0].text if self.prompts and not self.prompts[0].follow_up else None

    @property
    def rank(self) -> int | None:
        """The rank in the index of the launch queue; None outside of it."""
        waits = self.unlaunched and self.status is Status.QUEUED and not self.paused_at and not self.cancel
        if not waits or self.held_until is not None:
            return None
        since = self.created_at if self.queued_at is None else self.queued_at
        return _line(self.org_id, self.created_by) * _LINE_STEP + self.priority * _PRIORITY_STEP + since

    @property
    def never_launched(self) -> bool:
        """Whether the run ended without being sent to the upstream."""
        return self.agent_run_id is None and self.status.terminal

    @property
    def left_no_run(self) -> bool:
        """Whether the run ended and certainly does not exist at the upstream: no answer to a launch is missing."""
        return self.never_launched and self.launching_since is None

    @property
    def unlaunched(self) -> bool:
        """Whether the run was never sent to the upstream."""
        return self.agent_run_id is None and self.status in (Status.QUEUED, Status.PAUSED)

    def is_same_launch(self, other: Watch) -> bool:
        """Return whether this launch is still under way, and is the one of `other`."""
        same = (self.status, self.launching_since) == (other.status, other.launching_since)
        return same and self.status is Status.LAUNCHING and self.agent_run_id is None

    def at(self, position: Position) -> Watch:
        """Return the watch with another position of its event log."""
        return self.model_copy(update=position.__dict__)


class RunsTable:
    """Watches, events and leases. Every method may raise `StorageUnavailable`."""

    def __init__(
        self, name: str, *, retention: int = RETENTION, checkpoint_retention: int = checkpoint_rows.RETENTION
    ) -> None:
        self._table = Table(name)
        self._retention = retention
        self._checkpoint_retention = checkpoint_retention

    def add(self, watch: Watch, events: Sequence[Event] = ()) -> bool:
        """Store a new watch with its first events; False if the key exists already."""
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
        """Read the watches of upstream runs, by the upstream's id. Runs that are not followed are left out."""
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
        """Replace a watch and append events and checkpoints in one transaction; return the stored watch.

        With `launched`, the watch can be found by the id that the upstream has just given to the run. A run that leaves
        the launch queue then leaves the backlog of its organization. Raises
        `ConditionFailed` if the watch was written since it was read, and `ValueError` for more than `EVENTS_PER_WRITE`
        events and checkpoints.
        """
        following = watch.model_copy(update={"rev": watch.rev + 1})
        self._write(following, Condition("#rev = :rev", {"rev": watch.rev}), events, checkpoints, launched=launched)
        if watch.multi_run_id and (launched or watch.never_launched):
            try:
                self.leave_backlog(watch.org_id, watch.multi_run_id, watch.key)
            except StorageUnavailable:
                logger.warning("A run still counts as queued.", extra={"run_key": watch.key}, exc_info=True)
        return following

    def get_backlog(self, org_id: int) -> Backlog:
        """Read the backlog of an organization; an empty one if it is not stored."""
        item = self._table.get(_backlog_key(org_id))
        return Backlog.model_validate(item) if item else Backlog()

    def put_backlog(self, org_id: int, backlog: Backlog) -> None:
        """Replace the backlog of an organization. Raises `ConditionFailed` if it was written since it was read."""
        following = backlog.model_copy(update={"rev": backlog.rev + 1})
        unchanged = Condition("#rev = :rev", {"rev": backlog.rev}) if backlog.rev else ABSENT
        self._table.put(_backlog_key(org_id) | following.model_dump(mode="json"), unchanged)

    def leave_backlog(self, org_id: int, multi_run_id: str, key: str) -> None:
        """Remove a run of a multi-run from the backlog of its organization."""
        self._change_backlog(org_id, lambda backlog: backlog.without(multi_run_id, key))

    def end_backlog(self, org_id: int, multi_run_id: str, execution: int) -> None:
        """Remove all runs of a multi-run, unless runs of an execution after `execution` are among them."""
        self._change_backlog(org_id, lambda backlog: backlog.without_ended(multi_run_id, execution))

    def _change_backlog(self, org_id: int, change: Callable[[Backlog], Backlog]) -> None:
        while (left := change(backlog := self.get_backlog(org_id))) is not backlog:
            try:
                self.put_backlog(org_id, left)
            except ConditionFailed:
                continue
            return

    def last_checkpoint(self, org_id: int, key: str) -> Checkpoint | None:
        """Read the newest checkpoint of a run, also if the watch for which it was made has expired."""
        checkpoints, _ = Checkpoints(self._table.name).newest(org_id, key, 1)
        return checkpoints[0] if checkpoints else None

    def due(self, now: int, limit: int) -> list[tuple[int, str]]:
        """List (organization, key) of the watches due by `now`, the longest due first."""
        condition = Condition("#due = :due AND #due_at <= :now", {"due": _DUE, "now": now})
        items, _ = self._table.query(condition, index="due", limit=limit)
        return [run_of(item["pk"]) for item in items]

    def outlook(self, most: int) -> list[int]:
        """List the times of the next polls, the first one first, at most `most`: one for each watch that needs one."""
        items, _ = self._table.query(Condition("#due = :due", {"due": _DUE}), index="due", limit=most)
        return [item["due_at"] for item in items]

    def heads(self, each: int) -> list[Queued]:
        """List the first runs of each line of the launch queue, at most `each` of a line, in the order of their lines.

        A line that is longer than a page is left after its first runs. So this reads at most two pages for each line
        and one more, and never more than the whole queue. The index may lag a moment behind.
        """
        heads: list[Queued] = []
        first, start = 0, None
        while True:
            page, start = self._queued(first, _MOST_RANK, _QUEUE_PAGE, start)
            heads += page
            if start is None:
                return first_of_lines(heads, each)
            last = heads[-1].line
            if sum(queued.line == last for queued in heads) >= each:
                first, start = (last + 1) * _LINE_STEP, None

    def queue(self, org_id: int, most: int) -> list[Queued]:
        """List the runs of an organization that wait for their launch, at most `most`, in the order of their lines."""
        first = (org_id % _ORGANIZATIONS) * _CALLERS * _LINE_STEP
        queued, _ = self._queued(first, first + _CALLERS * _LINE_STEP - 1, most)
        return [each for each in queued if each.org_id == org_id]

    def _queued(self, first: int, last: int, most: int, start: Item | None = None) -> tuple[list[Queued], Item | None]:
        condition = Condition(
            "#queue = :queue AND #rank BETWEEN :first AND :last", {"queue": _QUEUE, "first": first, "last": last}
        )
        items, following = self._table.query(condition, index="queue", limit=most, start=start)
        return [Queued(*run_of(item["pk"]), item["rank"]) for item in items], following

    def unlaunched(self, org_id: int, most: int) -> list[Watch]:
        """Read the watches of an organization whose runs the upstream does not have yet, newest first.

        The index may lag a moment behind, so each watch is read from the table.
        """
        condition = Condition("#unlaunched = :org_id", {"org_id": org_id})
        items, _ = self._table.query(condition, index="unlaunched", limit=most, newest_first=True)
        watches = self.get_many(org_id, [run_of(item["pk"])[1] for item in items]).values() if items else []
        waiting = [watch for watch in watches if watch.agent_run_id is None and not watch.status.terminal]
        return sorted(waiting, key=lambda watch: watch.created_at, reverse=True)

    def deployment_quota(self) -> str:
        """Read the name of the quota for background work, which the poller stores; a default before its first run."""
        item = self._table.get(_QUOTA_KEY)
        return str(item["quota"]) if item else DEFAULT_QUOTA

    def note_deployment_quota(self, quota: str) -> None:
        """Store the name of the quota for background work, for functions that may not read the deployment's token."""
        if self.deployment_quota() != quota:
            self._table.put(_QUOTA_KEY | {"quota": quota})

    def get_bucket(self, quota: str, name: str) -> Bucket:
        """Read a bucket; an empty one if it is not stored."""
        item = self._table.get(_bucket_key(quota, name))
        return Bucket.model_validate(item) if item else Bucket()

    def put_bucket(self, quota: str, name: str, bucket: Bucket) -> None:
        """Replace a bucket. Raises `ConditionFailed` if it was written since it was read."""
        following = bucket.model_copy(update={"rev": bucket.rev + 1})
        unchanged = Condition("#rev = :rev", {"rev": bucket.rev}) if bucket.rev else ABSENT
        item = _bucket_key(quota, name) | following.model_dump(mode="json", exclude_none=True)
        self._table.put(item, unchanged)

    def get_outage(self) -> Outage:
        """Read the outage of the upstream; the default if none is stored."""
        from codegen_runs.storage.outages import Outage  # only the poller needs it

        item = self._table.get(_OUTAGE_KEY)
        return Outage.model_validate(item) if item else Outage()

    def put_outage(self, outage: Outage) -> None:
        """Replace the outage of the upstream. Raises `ConditionFailed` if it was written since it was read."""
        following = outage.model_copy(update={"rev": outage.rev + 1})
        unchanged = Condition("#rev = :rev", {"rev": outage.rev}) if outage.rev else ABSENT
        self._table.put(_OUTAGE_KEY | following.model_dump(mode="json", exclude_none=True), unchanged)

    def events(
        self, org_id: int, key: str, *, after: tuple[int, int] = (0, 0), limit: int = 100, now: float | None = None
    ) -> list[Event]:
        """Read the events after an (epoch, seq), oldest first. Fewer than `limit` may be returned although more exist.

        DynamoDB deletes expired events within days and in any order. With `now`, in epoch seconds, expired events are
        left out, so that the events have no gaps.
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

    def events_before(self, org_id: int, key: str, *, before: tuple[int, int], limit: int, now: float) -> list[Event]:
        """Read the newest events before an (epoch, seq), oldest first. Expired events are left out: see `events`."""
        first, last = _event_key(0, 0), _event_key(*before)
        condition = Condition(
            "#pk = :pk AND #sk BETWEEN :first AND :last",
            {"pk": run_partition(org_id, key), "first": first, "last": last},
        )
        found: list[Item] = []
        start: Item | None = None
        while True:
            # One more, because the event at the end of the range is not before it.
            items, start = self._table.query(condition, limit=limit + 1, newest_first=True, start=start)
            found += [item for item in items if item["sk"] < last and item.get("expires_at", now + 1) > now]
            if len(found) >= limit or start is None:
                newest = reversed(found[:limit])
                return [Event.model_validate(item | {"data": json.loads(item["data"])}) for item in newest]

    def event_actions(self, org_id: int, key: str, events: Sequence[Event]) -> list[tuple[str, dict[str, Any]]]:
        """Return the actions of a transaction that append events to a log: that of a run, or of a multi-run.

        An event that webhook endpoints may want also gets a row in the outbox.
        """
        actions = []
        for event in events:
            stored = event.model_dump(mode="json", exclude_none=True) | {"data": json.dumps(event.data)}
            stored |= {"pk": run_partition(org_id, key), "sk": _event_key(event.epoch, event.seq)}
            stored["expires_at"] = int(datetime.fromisoformat(event.ts).timestamp()) + self._retention
            actions.append(("Put", self._table.put_action(stored, ABSENT)))
            if announced := outbox.row(org_id, key, event):
                actions.append(("Put", self._table.put_action(announced)))
        return actions

    def touch_actions(self, watches: Sequence[Watch]) -> list[tuple[str, dict[str, Any]]]:
        """Return the actions of a transaction that requires watches to be as they were read.

        It writes them unchanged, so every other function that has read one before has to read it again.
        """
        actions = []
        for watch in watches:
            item = _item(watch.model_copy(update={"rev": watch.rev + 1}))
            actions.append(("Put", self._table.put_action(item, Condition("#rev = :rev", {"rev": watch.rev}))))
        return actions

    def imprints(self, org_id: int, key: str, epoch: int) -> list[str]:
        """List the imprints of the log entries in the events of an epoch, oldest first. See `Event.imprint`."""
        condition = Condition(
            "#pk = :pk AND #sk BETWEEN :first AND :last",
            {"pk": run_partition(org_id, key), "first": _event_key(epoch, 0), "last": _event_key(epoch, 10**10 - 1)},
        )
        imprints: list[str] = []
        start: Item | None = None
        while True:
            items, start = self._table.query(condition, start=start, only="imprint")
            imprints += [item["imprint"] for item in items if "imprint" in item]
            if start is None:
                return imprints

    def acquire_lease(self, name: str, holder: str, now: int, until: int, *, abandoned: Lease | None = None) -> bool:
        """Take a lease that is free, expired by every clock, or already held by `holder`; False if it is not.

        `abandoned` is a lease that was seen unchanged for its whole duration. It is taken if it is still unchanged.
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
        """Release a lease, unless another holder has it."""
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
            # Written once and without an expiry. If its watch has expired, the run is followed again.
            pointer = _pointer(watch.org_id, watch.agent_run_id) | {"key": watch.key}
            actions.append(("Put", self._table.put_action(pointer)))
        actions += self.event_actions(watch.org_id, watch.key, events)
        made = (checkpoint_rows.item(checkpoint, self._checkpoint_retention) for checkpoint in checkpoints)
        actions += [("Put", self._table.put_action(row, ABSENT)) for row in made]
        if len(actions) == 1:
            self._table.put(item, condition)
        else:
            transact(actions)


def first_of_lines(queued: Sequence[Queued], each: int) -> list[Queued]:
    """Return the first runs of each line, at most `each`, of runs in the order of their lines."""
    lines = groupby(queued, key=lambda run: run.line)
    return [run for _, line in lines for run in islice(line, each)]


def check_size(events: Sequence[Event], checkpoints: Sequence[Checkpoint]) -> None:
    """Raise `ValueError` if one write cannot contain so many events and checkpoints."""
    if (count := len(events) + len(checkpoints)) > EVENTS_PER_WRITE:
        raise ValueError(f"One write takes {EVENTS_PER_WRITE} events and checkpoints, not {count}.")


def _line(org_id: int, caller_id: str | None) -> int:
    return (org_id % _ORGANIZATIONS) * _CALLERS + 1 + crc32((caller_id or "").encode()) % (_CALLERS - 1)


def _item(watch: Watch) -> Item:
    """Return the item of a watch. What agents and callers wrote is masked, except the prompts until the launch."""
    texts = {"result", "status_reason", "summary", "opened", "cancel", "web_url"}
    if watch.agent_run_id is not None or watch.status.terminal:
        texts.add("prompts")
    item = _key(watch.org_id, watch.key) | watch.model_dump(mode="json", exclude_none=True, exclude={"launch"})
    item |= redact({name: value for name, value in item.items() if name in texts})
    if watch.launch is not None:  # Stored as JSON text: metadata may contain numbers that DynamoDB cannot store.
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


def _bucket_key(quota: str, name: str) -> dict[str, str]:
    return {"pk": f"bucket#{quota}#{name}", "sk": "bucket"}


def _backlog_key(org_id: int) -> dict[str, str]:
    return {"pk": f"backlog#{org_id}", "sk": "backlog"}


def _lease_key(name: str) -> dict[str, str]:
    return {"pk": f"lease#{name}", "sk": "lease"}


def _event_key(epoch: int, seq: int) -> str:
    return f"event#{epoch:04d}#{seq:010d}"
