"""What the steps of the poller work with, shared by the threads of a tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        self.publish(written, change)
        return written

    def publish(self, written: Watch, change: Change) -> None:
        """Push the events of a change that is stored."""
        if change.events:
            self.publisher.publish(written, change.events)

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
        logs = limit_of("logs")
        return self.followed * logs.seconds / logs.calls
