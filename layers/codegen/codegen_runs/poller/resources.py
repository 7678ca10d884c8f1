"""What the steps of the poller work with, shared by the threads of a tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from codegen_api import CodegenAPI
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.events import Event, fingerprints
from codegen_runs.limits.buckets import Buckets, limit_of
from codegen_runs.limits.outages import Outages
from codegen_runs.poller.candidates import Candidates
from codegen_runs.poller.early_reads import EarlyReads, Place
from codegen_runs.poller.permits import SharedPermits
from codegen_runs.poller.publisher import Publisher
from codegen_runs.poller.task_tokens import TaskTokens
from codegen_runs.runs.schedule import VIEW_SECONDS
from codegen_runs.runs.transitions import Change
from codegen_runs.storage.runs import RunsTable, Watch


@dataclass
class Resources:
    """The table, the Codegen API and its limits, state machines, viewers, multi-runs and the time.

    Attributes:
        followed: How many launched runs the poller follows at the moment.
        launchable: How many queued runs may be launched next. The fault of one of several launches is no outage.
        completed_at: When a task of a state machine was last completed, in epoch seconds.
        permits: Gives the permits for calls.
        early_reads: The candidates that may be read before they are due.
        awaited: The runs at work that a multi-run waits for, among those that this tick has read or launched.
        followed_up: What is still to be done for runs whose tasks were completed, by run.
    """

    runs: RunsTable
    codegen: CodegenAPI
    buckets: Buckets
    outages: Outages
    tokens: TaskTokens
    publisher: Publisher
    candidates: Candidates
    clock: Clock
    followed: int = 0
    launchable: int = 0
    completed_at: float = 0.0
    permits: SharedPermits = field(init=False)
    early_reads: EarlyReads = field(init=False)
    followed_up: dict[Place, Callable[[], None]] = field(default_factory=dict)
    awaited: set[Place] = field(default_factory=set)
    _entries: dict[Place, tuple[int, dict[int, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.permits = SharedPermits(self.buckets)
        self.early_reads = EarlyReads(self.candidates)

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self.clock.now()

    def store(self, change: Change, *, launched: bool = False) -> Watch:
        """Store a change and push its events; return the run as stored.

        Args:
            change: The change.
            launched: Whether Codegen has just given the run its id.

        Raises:
            ConditionFailed: The run was written since it was read; nothing was stored.
            StorageUnavailable: The table cannot be reached.
        """
        written = self.runs.write(*change, launched=launched)
        self._note(written)
        self.publish(written, change)
        return written

    def end(self, change: Change) -> Watch:
        """Store a change that ends a run, and leave its events to the caller. Raises what `store` raises."""
        written = self.runs.write(*change)
        self._note(written)
        return written

    def _note(self, watch: Watch) -> None:
        place = (watch.org_id, watch.key)
        if watch.multi_run_id and watch.agent_run_id is not None and not watch.status.terminal:
            self.awaited.add(place)
        else:
            self.awaited.discard(place)

    def publish(self, written: Watch, change: Change) -> None:
        """Push the events of a change that is stored."""
        if change.events:
            self.publisher.publish(written, change.events)

    def follow_up(self, watch: Watch, act: Callable[[], None]) -> None:
        """Have something done for a run that has ended after the steps that are due. If it is lost, it is done again.

        The run stays due until then, so the next tick settles it if this one dies.
        """
        self.followed_up[watch.org_id, watch.key] = act

    def take_followed_up(self) -> dict[Place, Callable[[], None]]:
        """Return what is still to be done for runs that have ended; the caller does it."""
        taken, self.followed_up = self.followed_up, {}
        return taken

    def take_permit(self, limit: str) -> bool:
        """Take a permit for one call, if there is one."""
        return self.permits.take(limit)

    def known_entries(self, watch: Watch) -> dict[int, str]:
        """Return the fingerprints of the log entries in a run's event log, by position.

        They are read once for a look, because its pages follow each other.
        """
        rev, known = self._entries.pop((watch.org_id, watch.key), (None, {}))
        if rev == watch.rev:
            return known
        return fingerprints(self.runs.imprints(watch.org_id, watch.key, watch.epoch))

    def keep_entries(self, watch: Watch, known: Mapping[int, str], events: Iterable[Event]) -> None:
        """Keep the fingerprints for the next page of a look, with those of the events that this page appended."""
        if watch.look_at is not None:
            new = fingerprints(event.imprint for event in events if event.imprint and event.epoch == watch.epoch)
            is_same_log = not any(event.type == "stream.reset" for event in events)
            self._entries[watch.org_id, watch.key] = (watch.rev, {**known, **new} if is_same_log else new)

    def call(self, watch: Watch) -> AbstractContextManager[None]:
        """Make the block's one call to Codegen, which shows whether Codegen responds."""
        return self.outages.call(watch.key, of=self.followed + self.launchable)

    def viewed_until(self, watch: Watch) -> int | None:
        """Return until when somebody watches the run, in epoch milliseconds.

        Viewers who are connected do not repeat that they watch, so the time is extended for them before it is over.
        """
        now = self.now()
        if watch.viewed_until is None or watch.viewed_until > milliseconds(now + VIEW_SECONDS / 3):
            return watch.viewed_until
        if self.publisher.watched(watch):
            return milliseconds(now + VIEW_SECONDS)
        return watch.viewed_until if watch.viewed_until > milliseconds(now) else None

    def shortest_interval(self) -> float:
        """Return the seconds between two reads of a run that keep all followed runs together within the limit."""
        return _interval_of(self.followed)

    def shortest_interval_of_awaited(self) -> float:
        """Return the seconds between two reads of a run that keep those together within the limit that are awaited."""
        return _interval_of(len(self.awaited))


def _interval_of(runs: int) -> float:
    logs = limit_of("logs")
    return runs * logs.seconds / logs.calls
