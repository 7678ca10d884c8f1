"""The loop of the poller: one poller follows every run.

A tick takes the lease. Then it takes one step for each due watch, and launches as many queued runs as there are
permits, until its time is over or nothing will be due before that. A step makes one call to Codegen and stores the
result in one transaction. If a tick dies, the next one takes the same step again.

Queued runs are launched in turn, by organization and then by caller (`storage.turns`). To choose them, a round of the
loop reads the bucket, at most eight watches, and the queue's index in pages of a hundred entries. A page that ends in a
long line is followed by the next caller's line. So a round reads at most two pages for each caller with queued runs and
one more, however many runs they have; it is one page while fewer than a hundred runs wait.

| a due watch                      | its step                                                                    |
|----------------------------------|-----------------------------------------------------------------------------|
| has ended                        | `settling`: complete its task; read a cancelled run once more               |
| has ended lately                 | `observing`: compare its whole log once more                                |
| its multi-run does not wait for  | `settling`: complete its task; it continues                                 |
| is not launched, and cancelled   | end it                                                                      |
| is not launched at its deadline  | end it                                                                      |
| is not launched                  | hold it if it is paused, or for a while if its launch failed; otherwise     |
|                                  | leave it to the launch queue                                                |
| is launching                     | `launching`: the answer was lost; adopt the run, or launch it again         |
| is launched, and to be cancelled | `stopping`: stop the run at Codegen, if the cancel allows it                |
| is launched                      | `observing`: read its status, its result and its new log entries            |
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType

from codegen_api import CodegenAPI
from codegen_runs import correlation
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.limits.buckets import Buckets
from codegen_runs.limits.outages import Outages
from codegen_runs.poller.backoff import within_limit
from codegen_runs.poller.candidates import Candidates, NoMultiRuns
from codegen_runs.poller.early_reads import Place
from codegen_runs.poller.launching import adopt, launch, probe
from codegen_runs.poller.lease import PollerLease
from codegen_runs.poller.observing import look, observe
from codegen_runs.poller.publisher import NoViewers, Publisher
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end, let_go, settle
from codegen_runs.poller.stopping import stop
from codegen_runs.poller.task_tokens import TaskTokens
from codegen_runs.runs import transitions
from codegen_runs.runs.schedule import INTERVALS, is_overdue
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import DEFAULT_QUOTA, Queued, RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)

# A batch takes less time than the lease lasts, even if each call takes as long as the client allows.
CONCURRENCY = 8
BATCH = 8

# How many ended runs are followed up at the same time.
FOLLOWERS = 4

# Among so many due watches, those that a multi-run waits for come first.
LOOKED_OVER = 5 * BATCH

MOST_FOLLOWED = 500

# The most seconds between two rounds. Work may be added at any time. A state machine whose task was completed is likely
# to add the next run within a few seconds, and somebody waits for it.
LONGEST_PAUSE = 1.0
SHORT_PAUSE = 0.1
SHORT_PAUSES_FOR = 3.0


@dataclass(frozen=True)
class Report:
    """What a tick did."""

    held_lease: bool
    polls: int = 0
    lag: float = 0.0
    """The most seconds for which a due step had to wait."""


class Poller:
    """Follows runs until a given time. One instance takes one tick after another, in one process.

    Args:
        runs: The runs table.
        codegen: Acts as the deployment.
        tokens: Completes the tasks of state machines.
        clock: The time.
        holder: Names this poller in the lease.
        quota: Names the token whose limits the poller uses.
        publisher: Pushes events to connected viewers.
        candidates: Records the ends of candidates.
        concurrency: How many steps are taken at the same time.
    """

    def __init__(
        self,
        *,
        runs: RunsTable,
        codegen: CodegenAPI,
        tokens: TaskTokens,
        clock: Clock,
        holder: str,
        quota: str = DEFAULT_QUOTA,
        publisher: Publisher | None = None,
        candidates: Candidates | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        buckets = Buckets(runs, quota, clock)
        self._runs = runs
        self._clock = clock
        self._buckets = buckets
        self._lease = PollerLease(runs, clock, holder)
        self._outages = Outages(runs, clock)
        self._resources = Resources(
            runs,
            codegen,
            buckets,
            self._outages,
            tokens,
            publisher or NoViewers(),
            candidates or NoMultiRuns(),
            clock,
        )
        self._concurrency = concurrency
        self._polls = 0
        self._lag = 0.0
        self._launches_resume_at: int | None = None
        self._failed: dict[Place, BaseException] = {}

    def tick(self, until: float, *, patient: bool = False) -> Report:
        """Poll due watches until the epoch second `until`, or until nothing will be due before it.

        Args:
            until: When to end, in epoch seconds.
            patient: Whether to wait for the lease while another tick holds it, so that scheduled ticks leave no gap
                between them. Any other tick leaves the work to the holder.

        Raises:
            BaseExceptionGroup: Some steps failed unexpectedly. All other work was done.
        """
        self._polls, self._lag = 0, 0.0
        self._failed = {}
        held_lease = False
        while self._lease.acquire() or (patient and self._lease.wait(until)):
            held_lease = True
            try:
                self._drain(until)
            finally:
                self._lease.release()
            # A tick that a kick started in the meantime found the lease taken and left its work to this one.
            if self._clock.now() >= until or not (self._due() or self._can_launch()):
                break
        if self._failed:
            raise BaseExceptionGroup("Some runs could not be polled.", list(self._failed.values()))
        return Report(held_lease=held_lease, polls=self._polls, lag=self._lag)

    def poll(self, org_id: int, key: str) -> None:
        """Take the step that is due for a watch."""
        self._resources.early_reads.forget((org_id, key))
        watch = self._runs.get(org_id, key)
        if watch is None or watch.due_at is None:
            return
        try:
            with correlation.of(watch.request_id):
                self._step(watch)
        except ConditionFailed:
            logger.info("Another writer was faster.", extra={"run_key": key})
        finally:
            self._outages.done()

    def _step(self, watch: Watch) -> None:
        resources, now = self._resources, self._clock.now()
        if watch.status.terminal and watch.looks_left and not watch.task_token:
            within_limit("logs", look, watch, resources)
        elif watch.status.terminal:
            settle(watch, resources)
        elif watch.unawaited and watch.task_token:
            let_go(watch, resources)
        elif watch.unlaunched and watch.cancel:
            end(transitions.cancelled(watch, watch.cancel, now=now), resources)
        elif watch.agent_run_id is None and is_overdue(watch, now=now):
            waiting = "still paused at" if watch.paused_at else "not launched before"
            reason = f"The run was {waiting} its deadline."
            end(transitions.ended(watch, Status.TIMED_OUT, reason=reason, now=now), resources)
        elif watch.unlaunched and watch.paused_at:
            resources.store(transitions.paused(watch, now=now))
        elif watch.unlaunched and watch.held_until and milliseconds(now) < watch.held_until:
            resources.store(transitions.postponed(watch, min(watch.held_until, watch.deadline_at), now=now))
        elif watch.unlaunched and watch.held_until:
            resources.store(transitions.returned(watch, now=now))
        elif watch.unlaunched:
            resources.store(transitions.postponed(watch, watch.deadline_at, now=now))
        elif watch.status is Status.LAUNCHING:
            within_limit("standard", adopt, watch, resources)
        elif watch.cancel and watch.status is not Status.CANCELLING:
            within_limit("standard", stop, watch, resources)
        else:
            within_limit("logs", observe, watch, resources)

    def _drain(self, until: float) -> None:
        """Take steps until nothing will be due before `until`."""
        self._outages.read()
        # Steps do not wait for what follows the ends of runs, nor does the launch of what comes next.
        with ThreadPoolExecutor(self._concurrency) as threads, self._followers(threads) as followers:
            following: dict[Place, Future[None]] = {}
            while self._clock.now() < until and self._lease.acquire():
                self._follow_up(following, followers)
                early = self._resources.early_reads.planned(at_least=self._resources.shortest_interval_of_awaited())
                due = self._due(early, besides=following)
                queued = self._next_to_launch(threads)
                launches = self._take_permits(queued) if queued else []
                outlook = self._runs.outlook(most=MOST_FOLLOWED)
                if outlook:
                    self._lag = max(self._lag, self._clock.now() - outlook[0] / 1000)
                self._resources.followed, self._resources.launchable = self._followed(outlook), len(queued)
                steps = {each.place: threads.submit(self._launch, queued[each]) for each in launches}
                if queued and not due and self._outages.is_probe_due():
                    first = next(iter(queued))
                    steps = {first.place: threads.submit(self._probe, queued[first])}
                steps |= {place: threads.submit(self.poll, *place) for place in due if place not in steps}
                # A watch whose step fails unexpectedly is left out of this tick, so that the others go on.
                self._failed |= {place: error for place, step in steps.items() if (error := step.exception())}
                self._polls += len(steps)
                if steps:
                    continue
                if following:
                    wait(following.values(), return_when=FIRST_COMPLETED)
                    continue
                next_turns = [*outlook[:1], *map(milliseconds, early.values())]
                if queued and self._launches_resume_at is not None:
                    next_turns.append(self._launches_resume_at)
                if not next_turns or len(outlook) <= len(self._failed) or min(next_turns) / 1000 >= until:
                    break
                self._clock.sleep(min(self._longest_pause(), max(0.05, min(next_turns) / 1000 - self._clock.now())))
            while self._resources.followed_up or following:
                self._follow_up(following, followers)
                wait(following.values())

    def _followers(self, threads: ThreadPoolExecutor) -> AbstractContextManager[ThreadPoolExecutor]:
        """Return the threads that do what follows the ends of runs: the same one if there is only one."""
        return nullcontext(threads) if self._concurrency == 1 else ThreadPoolExecutor(FOLLOWERS)

    def _follow_up(self, following: dict[Place, Future[None]], followers: ThreadPoolExecutor) -> None:
        """Begin what follows the ends of runs, and take note of what is done."""
        for place in [place for place, each in following.items() if each.done()]:
            if error := following.pop(place).exception():
                self._failed[place] = error
        acts = self._resources.take_followed_up()
        following |= {place: followers.submit(self._finish, act) for place, act in acts.items()}

    def _longest_pause(self) -> float:
        is_expecting = self._clock.now() < self._resources.completed_at + SHORT_PAUSES_FOR
        return SHORT_PAUSE if is_expecting else LONGEST_PAUSE

    def _followed(self, outlook: Sequence[int]) -> int:
        """Return how many runs are at work. Those that wait for something else are due later than these."""
        horizon = max(INTERVALS[-1], self._resources.shortest_interval())
        return bisect_right(outlook, milliseconds(self._clock.now() + horizon))

    def _due(self, early: Mapping[Place, float] = MappingProxyType({}), besides: Collection[Place] = ()) -> list[Place]:
        """List the watches that are due, and those of `early` whose time has come, at most a batch.

        Runs that their multi-run waits for come first, as far as this tick knows them, but one place is for the others.
        Those of `besides` are left out.
        """
        now = self._clock.now()
        due = self._runs.due(milliseconds(now), LOOKED_OVER + len(self._failed) + len(besides))
        due += [place for place, at in early.items() if at <= now and place not in due]
        due = [place for place in due if place not in self._failed and place not in besides]
        awaited = [place for place in due if place in self._resources.awaited]
        others = [place for place in due if place not in self._resources.awaited]
        first = awaited[: BATCH - 1] if others else awaited
        return self._outages.in_turn([*first, *others][:BATCH])

    def _queued(self) -> list[Queued]:
        """List the first runs of each caller that waits for launches."""
        return [queued for queued in self._runs.heads(BATCH) if queued.place not in self._failed]

    def _next_to_launch(self, threads: ThreadPoolExecutor) -> dict[Queued, Watch]:
        """Read the watches whose turn comes next. The index may be a moment behind, so each is checked again."""
        following = self._buckets.next_launches(self._queued(), BATCH)
        reads = {queued: threads.submit(self._runs.get, *queued.place) for queued in following}
        self._failed |= {queued.place: error for queued, read in reads.items() if (error := read.exception())}
        watches = {queued: read.result() for queued, read in reads.items() if queued.place not in self._failed}
        now = self._clock.now()
        return {
            queued: watch
            for queued, watch in watches.items()
            if watch and watch.rank is not None and not is_overdue(watch, now=now)
        }

    def _can_launch(self) -> bool:
        resumes_at = max(self._buckets.launches_open_at(), self._outages.current.probe_at)
        return resumes_at <= milliseconds(self._clock.now()) and self._buckets.can_launch(self._queued())

    def _take_permits(self, queued: Iterable[Queued]) -> list[Queued]:
        """Take permits for launches; return the runs that got one."""
        if self._outages.current.since is not None:
            self._launches_resume_at = self._outages.current.probe_at
            return []
        permitted = self._buckets.take_for_launches(list(queued))
        self._launches_resume_at = self._buckets.launches_open_at()
        return permitted

    def _probe(self, watch: Watch) -> None:
        try:
            probe(watch, self._resources)
        finally:
            self._outages.done()

    def _finish(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ConditionFailed:
            logger.info("Another writer was faster.")

    def _launch(self, watch: Watch) -> None:
        try:
            with correlation.of(watch.request_id):
                launch(watch, self._resources)
        except ConditionFailed:
            logger.info("Another writer was faster.", extra={"run_key": watch.key})
        finally:
            self._outages.done()
