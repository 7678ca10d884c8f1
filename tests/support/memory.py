"""A runs table in memory, which behaves like `RunsTable` and is thousands of times faster.

`tests/unit/storage/test_runs_table.py` tests both in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime

from codegen_runs.events import Event
from codegen_runs.storage.audit import AuditEntry
from codegen_runs.storage.backlogs import Backlog
from codegen_runs.storage.buckets import Bucket
from codegen_runs.storage.budgets import Budgets
from codegen_runs.storage.checkpoints import Checkpoint
from codegen_runs.storage.outages import Outage
from codegen_runs.storage.runs import (
    DEFAULT_QUOTA,
    MAX_CLOCK_SKEW,
    RETENTION,
    Lease,
    Queued,
    Watch,
    check_size,
    first_of_lines,
)
from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed, Item
from local import openapi_events

Place = tuple[int, str]

ONE_CALL = (
    "get",
    "write",
    "last_checkpoint",
    "due",
    "outlook",
    "imprints",
    "heads",
    "get_bucket",
    "put_bucket",
    "get_outage",
    "put_outage",
    "acquire_lease",
    "lease",
    "release_lease",
)
"""The methods that the poller calls. In DynamoDB each is one call, so that a process cannot die in the middle of it."""


class MemoryRuns:
    """Watches, events and leases. `before` and `after` are called around each write, and may raise.

    Threads may read it while another one writes, so readers copy before they look through it.

    Args:
        made_up: Whether a test stores events of its own. Otherwise each event has to fit the schema of its type.
    """

    def __init__(self, *, made_up: bool = False) -> None:
        self._made_up = made_up
        self.watches: dict[Place, Watch] = {}
        self.log: dict[Place, list[Event]] = {}
        self.checkpoints: dict[Place, list[Checkpoint]] = {}
        self.leases: dict[str, Lease] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.backlogs: dict[int, Backlog] = {}
        self.outage = Outage()
        self.quota = DEFAULT_QUOTA
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        # As sparse as the indexes of the table.
        self._due: dict[Place, int] = {}
        self._queue: dict[Place, int] = {}
        self._keys: dict[tuple[int, int], str] = {}

    def add(self, watch: Watch, events: Sequence[Event] = ()) -> bool:
        place = (watch.org_id, watch.key)
        if place in self.watches:
            return False
        self._store(watch, events, (), launched=watch.agent_run_id is not None)
        return True

    def get(self, org_id: int, key: str) -> Watch | None:
        return self.watches.get((org_id, key))

    def get_many(self, org_id: int, keys: Sequence[str]) -> dict[str, Watch]:
        return {key: self.watches[org_id, key] for key in keys if (org_id, key) in self.watches}

    def find(self, org_id: int, agent_run_id: int) -> Watch | None:
        key = self._keys.get((org_id, agent_run_id))
        return self.get(org_id, key) if key is not None else None

    def find_many(self, org_id: int, agent_run_ids: Sequence[int]) -> dict[int, Watch]:
        return {each: watch for each in agent_run_ids if (watch := self.find(org_id, each))}

    def write(
        self,
        watch: Watch,
        events: Sequence[Event] = (),
        checkpoints: Sequence[Checkpoint] = (),
        *,
        launched: bool = False,
    ) -> Watch:
        self.before()
        stored = self.watches.get((watch.org_id, watch.key))
        if stored is None or stored.rev != watch.rev:
            raise ConditionFailed
        following = watch.model_copy(update={"rev": watch.rev + 1})
        self._store(following, events, checkpoints, launched=launched)
        if watch.multi_run_id and (launched or watch.never_launched):
            self.leave_backlog(watch.org_id, watch.multi_run_id, watch.key)
        self.after()
        return following

    def get_backlog(self, org_id: int) -> Backlog:
        return self.backlogs.get(org_id, Backlog())

    def put_backlog(self, org_id: int, backlog: Backlog) -> None:
        if self.get_backlog(org_id).rev != backlog.rev:
            raise ConditionFailed
        self.backlogs[org_id] = backlog.model_copy(update={"rev": backlog.rev + 1})

    def leave_backlog(self, org_id: int, multi_run_id: str, key: str) -> None:
        if (left := (backlog := self.get_backlog(org_id)).without(multi_run_id, key)) is not backlog:
            self.put_backlog(org_id, left)

    def last_checkpoint(self, org_id: int, key: str) -> Checkpoint | None:
        return max(self.checkpoints.get((org_id, key), []), key=lambda made: (made.epoch, made.seq), default=None)

    def due(self, now: int, limit: int) -> list[Place]:
        waiting = [(due_at, place) for place, due_at in list(self._due.items()) if due_at <= now]
        return [place for _, place in sorted(waiting)[:limit]]

    def outlook(self, most: int) -> list[int]:
        return sorted(self._due.values())[:most]

    def heads(self, each: int) -> list[Queued]:
        return first_of_lines(self._queued(), each)

    def queue(self, org_id: int, most: int) -> list[Queued]:
        return [queued for queued in self._queued() if queued.org_id == org_id and queued.line][:most]

    def _queued(self) -> list[Queued]:
        ranked = sorted((rank, place) for place, rank in list(self._queue.items()))
        return [Queued(*place, rank) for rank, place in ranked]

    def unlaunched(self, org_id: int, most: int) -> list[Watch]:
        waiting = [
            watch
            for watch in list(self.watches.values())
            if watch.org_id == org_id and watch.agent_run_id is None and not watch.status.terminal
        ]
        return sorted(waiting, key=lambda watch: watch.created_at, reverse=True)[:most]

    def deployment_quota(self) -> str:
        return self.quota

    def note_deployment_quota(self, quota: str) -> None:
        self.quota = quota

    def get_bucket(self, quota: str, name: str) -> Bucket:
        return self.buckets.get((quota, name), Bucket())

    def put_bucket(self, quota: str, name: str, bucket: Bucket) -> None:
        if self.get_bucket(quota, name).rev != bucket.rev:
            raise ConditionFailed
        self.buckets[quota, name] = bucket.model_copy(update={"rev": bucket.rev + 1})

    def get_outage(self) -> Outage:
        return self.outage

    def put_outage(self, outage: Outage) -> None:
        if self.outage.rev != outage.rev:
            raise ConditionFailed
        self.outage = outage.model_copy(update={"rev": outage.rev + 1})

    def events(
        self, org_id: int, key: str, *, after: tuple[int, int] = (0, 0), limit: int = 100, now: float | None = None
    ) -> list[Event]:
        log = self.log.get((org_id, key), [])
        return [event for event in log if _place(event) > after and (now is None or _expires_at(event) > now)][:limit]

    def events_before(self, org_id: int, key: str, *, before: tuple[int, int], limit: int, now: float) -> list[Event]:
        log = self.log.get((org_id, key), [])
        return [event for event in log if _place(event) < before and _expires_at(event) > now][-limit:]

    def imprints(self, org_id: int, key: str, epoch: int) -> list[str]:
        return [event.imprint for event in self.log.get((org_id, key), []) if event.epoch == epoch and event.imprint]

    def acquire_lease(self, name: str, holder: str, now: int, until: int, *, abandoned: Lease | None = None) -> bool:
        lease = self.leases.get(name)
        if lease and lease.holder != holder and lease != abandoned and lease.until >= now - MAX_CLOCK_SKEW * 1000:
            return False
        self.leases[name] = Lease(holder, until)
        return True

    def lease(self, name: str) -> Lease | None:
        return self.leases.get(name)

    def release_lease(self, name: str, holder: str) -> None:
        if (lease := self.leases.get(name)) and lease.holder == holder:
            del self.leases[name]

    def _store(
        self, watch: Watch, events: Sequence[Event], checkpoints: Sequence[Checkpoint], *, launched: bool
    ) -> None:
        check_size(events, checkpoints)
        for event in () if self._made_up else events:
            assert (fault := openapi_events.fault(event.model_dump(mode="json", exclude={"imprint"}))) is None, fault
        place = (watch.org_id, watch.key)
        log, made = self.log.setdefault(place, []), self.checkpoints.setdefault(place, [])
        if {*map(_place, log)} & {*map(_place, events)} or {*map(_place, made)} & {*map(_place, checkpoints)}:
            raise ConditionFailed
        # To JSON and back, like in a real table.
        log.extend(Event.model_validate_json(event.model_dump_json()) for event in events)
        log.sort(key=_place)
        made.extend(Checkpoint.model_validate_json(checkpoint.model_dump_json()) for checkpoint in checkpoints)
        self.watches[place] = Watch.model_validate_json(watch.model_dump_json())
        if launched and watch.agent_run_id is not None:
            self._keys[watch.org_id, watch.agent_run_id] = watch.key
        for index, value in ((self._due, watch.due_at), (self._queue, watch.rank)):
            index.pop(place, None)
            if value is not None:
                index[place] = value


def _place(each: Event | Checkpoint) -> tuple[int, int]:
    return each.epoch, each.seq


def _expires_at(event: Event) -> int:
    return int(datetime.fromisoformat(event.ts).timestamp()) + RETENTION


class MemoryBudgets:
    """The budgets of organizations in memory."""

    def __init__(self) -> None:
        self.budgets: dict[int, Budgets] = {}

    def get(self, org_id: int) -> Budgets:
        return self.budgets.get(org_id, Budgets())

    def put(self, org_id: int, budgets: Budgets) -> None:
        if budgets.rev != self.get(org_id).rev:
            raise ConditionFailed
        self.budgets[org_id] = budgets.model_copy(update={"rev": budgets.rev + 1})


class MemoryAudit:
    """The audit trails of organizations in memory."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[int, AuditEntry]] = {}

    def add(self, entry: AuditEntry) -> None:
        chain = self.entries.setdefault(entry.organization_id, {})
        if entry.sequence in chain:
            raise ConditionFailed
        chain[entry.sequence] = entry

    def get(self, org_id: int, sequence: int) -> AuditEntry | None:
        return self.entries.get(org_id, {}).get(sequence)

    def newest(self, org_id: int, limit: int, before: int | None = None) -> list[AuditEntry]:
        chain = self.entries.get(org_id, {})
        return [chain[each] for each in sorted(chain, reverse=True) if before is None or each < before][:limit]


class MemoryItems:
    """A table in memory whose items have only a `pk`, such as the callers table."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def get(self, key: Mapping[str, str]) -> Item | None:
        return deepcopy(self.items.get(key["pk"]))

    def put(self, item: Item, condition: Condition | None = None) -> None:
        found = self.items.get(item["pk"])
        if condition == ABSENT:
            holds = found is None
        else:
            holds = condition is None or (found or {}).get("rev") == condition.values["seen"]
        if not holds:
            raise ConditionFailed
        self.items[item["pk"]] = deepcopy(item)
