"""A runs table in memory: the same promises as DynamoDB's, thousands of times faster."""

from collections.abc import Callable, Sequence

from codegen_runs.events import Event, timestamp
from codegen_runs.storage.buckets import Bucket
from codegen_runs.storage.checkpoints import Checkpoint
from codegen_runs.storage.runs import DEFAULT_BUDGET, MAX_CLOCK_SKEW, RETENTION, Lease, Watch
from codegen_runs.storage.table import ConditionFailed


class MemoryRuns:
    """Watches, events and leases. `before` and `after` are called around each write, and may raise."""

    def __init__(self) -> None:
        self.watches: dict[tuple[int, str], Watch] = {}
        self.log: dict[tuple[int, str], list[Event]] = {}
        self.checkpoints: dict[tuple[int, str], list[Checkpoint]] = {}
        # As sparse as the indexes of the table.
        self._due: dict[tuple[int, str], int] = {}
        self._queue: dict[tuple[int, str], int] = {}
        self.leases: dict[str, Lease] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def add(self, watch: Watch, events: Sequence[Event] = ()) -> bool:
        place = (watch.org_id, watch.key)
        if place in self.watches:
            return False
        self._store(watch, events)
        return True

    def get(self, org_id: int, key: str) -> Watch | None:
        return self.watches.get((org_id, key))

    def find(self, org_id: int, agent_run_id: int) -> Watch | None:
        found = [w for w in self.watches.values() if (w.org_id, w.agent_run_id) == (org_id, agent_run_id)]
        return found[0] if found else None

    def write(
        self,
        watch: Watch,
        events: Sequence[Event] = (),
        checkpoints: Sequence[Checkpoint] = (),
        *,
        launched: bool = False,
    ) -> Watch:
        self.before()
        if self.watches[watch.org_id, watch.key].rev != watch.rev:
            raise ConditionFailed
        following = watch.model_copy(update={"rev": watch.rev + 1})
        self._store(following, events)
        self.checkpoints.setdefault((watch.org_id, watch.key), []).extend(checkpoints)
        self.after()
        return following

    def last_checkpoint(self, org_id: int, key: str) -> Checkpoint | None:
        return max(self.checkpoints.get((org_id, key), []), key=lambda made: (made.epoch, made.seq), default=None)

    def due(self, now: int, limit: int) -> list[tuple[int, str]]:
        waiting = [(due_at, place) for place, due_at in self._due.items() if due_at <= now]
        return [place for _, place in sorted(waiting)[:limit]]

    def outlook(self, most: int) -> tuple[int, int | None]:
        waiting = sorted(self._due.values())[:most]
        return len(waiting), waiting[0] if waiting else None

    def events(
        self, org_id: int, key: str, *, after: tuple[int, int] = (0, 0), limit: int = 100, now: float | None = None
    ) -> list[Event]:
        log = self.log.get((org_id, key), [])
        oldest = timestamp(now - RETENTION) if now else ""
        return [event for event in log if (event.epoch, event.seq) > after and event.ts > oldest][:limit]

    def queue(self, most: int) -> list[tuple[int, str]]:
        ranked = sorted((rank, place) for place, rank in self._queue.items())
        return [place for _, place in ranked[:most]]

    def deployment_budget(self) -> str:
        return DEFAULT_BUDGET

    def get_bucket(self, budget: str, name: str) -> Bucket:
        return self.buckets.get((budget, name), Bucket())

    def put_bucket(self, budget: str, name: str, bucket: Bucket) -> None:
        if self.get_bucket(budget, name).rev != bucket.rev:
            raise ConditionFailed
        self.buckets[budget, name] = bucket.model_copy(update={"rev": bucket.rev + 1})

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

    def _store(self, watch: Watch, events: Sequence[Event]) -> None:
        # As JSON and back, as a table would.
        stored = self.log.setdefault((watch.org_id, watch.key), [])
        numbers = {(event.epoch, event.seq) for event in stored}
        assert not numbers & {(event.epoch, event.seq) for event in events}, "an event was overwritten"
        stored.extend(Event.model_validate_json(event.model_dump_json()) for event in events)
        place = (watch.org_id, watch.key)
        self.watches[place] = Watch.model_validate_json(watch.model_dump_json())
        for index, value in ((self._due, watch.due_at), (self._queue, watch.rank)):
            index.pop(place, None)
            if value is not None:
                index[place] = value
