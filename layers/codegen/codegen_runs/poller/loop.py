"""One poller for every run: it launches what is queued, follows what runs, and tells the state machines.

One tick takes the lease, then makes one upstream call per due watch and writes what it learned in one transaction,
until the time is over or nothing will be due in it. Each step can be repeated: whatever fails in the middle is found by
the next tick as it was left.

| a due watch is          | the step                                                                             |
|-------------------------|--------------------------------------------------------------------------------------|
| queued, held or recalled | pause it until its deadline, or cancel it                                           |
| launching               | the answer was lost: adopt the upstream run that carries our key, or launch it again  |
| launched, but recalled  | ask the upstream to stop it, if that was allowed                                      |
| anything not terminal   | read status, result and new logs in one call; append events                          |
| terminal, with a token  | tell the state machine, forget the token                                             |
| cancelled a while ago   | see whether the upstream says otherwise by now                                       |

Queued watches wait in the launch queue, by rank. As many as there are permits are launched at a time: marked
`launching`, created upstream, their id stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from codegen_api import (
    AgentRun,
    AgentRunLog,
    APIConnectionError,
    CodegenAPI,
    CodegenAPIError,
    NotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from codegen_runs import prompts, statuses
from codegen_runs.checkpoints import recorder
from codegen_runs.checkpoints.recorder import Recorder
from codegen_runs.clock import Clock
from codegen_runs.events import Event, Writer, shorten
from codegen_runs.limits.buckets import RESERVED_CREATES, Buckets, limit_of
from codegen_runs.poller.task_tokens import TaskTokens
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs import transitions
from codegen_runs.runs.following import VIEW_SECONDS, VIEWED_INTERVAL
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import DEFAULT_BUDGET, MAX_CLOCK_SKEW, Launch, Lease, RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)

LEASE = "poller"
LEASE_SECONDS = 30.0

# A batch at the client's slowest stays within the lease.
CONCURRENCY = 8
BATCH = 8

MOST_FOLLOWED = 500

# The metadata entry by which a run we asked for is recognised when the answer was lost.
CLIENT_RUN_ID = "client_run_id"

# Seconds after which a launch that left no trace upstream is made again.
LAUNCH_GRACE = 30.0
ADOPTION_INTERVAL = 5.0

# The upstream lists runs newest first, 100 on a page.
ADOPTION_PAGES = 10

# 82 entries, the watch, the end and the pull requests fit one DynamoDB transaction, and so do six checkpoints with
# their events: of the turn's beginning and end, and `MILESTONES_PER_POLL` of entries.
LOGS_PER_POLL = 82
PULL_REQUESTS_PER_POLL = 4

NOT_FOUND_MEANS_GONE = 3

# DynamoDB's item limit is 400 KB, and a character can take 4 bytes; the prompt takes its share.
MAX_RESULT_CHARACTERS = 60_000
MAX_PREVIEW_CHARACTERS = 500

# Seconds between two looks at a run, by how often nothing was new.
INTERVALS = (2.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0)

# Seconds to wait after a 429 without Retry-After, after the plan's runs are used up, after our credentials were
# refused, and after the first, second, ... failure in a row.
DEFAULT_RETRY_AFTER = 10.0
QUOTA_PAUSE = 300.0
CREDENTIALS_PAUSE = 30.0
RETRY_INTERVALS = (2.0, 5.0, 15.0, 30.0, 60.0)

# What is told of a pull request.
_PULL_REQUEST = {"id", "title", "url", "created_at", "head_branch_name"}

Step = Callable[[Watch], None]


class Publisher(Protocol):
    """How those who watch a run hear of its events at once."""

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """Push events that have just been stored. Raises nothing: who misses one reads it from the log."""

    def watched(self, watch: Watch) -> bool:
        """Tell whether somebody is connected who hears of the run's events in this way. Raises nothing."""


class NoViewers:
    """Tell nobody."""

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """See `Publisher.publish`."""

    def watched(self, watch: Watch) -> bool:  # noqa: ARG002 - nobody watches any
        """See `Publisher.watched`."""
        return False


@dataclass(frozen=True)
class Report:
    """What a tick did."""

    held_lease: bool
    polls: int = 0


class Poller:
    """Follow runs until a time. One instance serves one tick after another, in one process."""

    def __init__(
        self,
        *,
        runs: RunsTable,
        codegen: CodegenAPI,
        tokens: TaskTokens,
        clock: Clock,
        holder: str,
        budget: str = DEFAULT_BUDGET,
        publisher: Publisher | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._runs = runs
        self._codegen = codegen
        self._buckets = Buckets(runs, budget, clock)
        self._tokens = tokens
        self._publisher = publisher or NoViewers()
        self._clock = clock
        self._holder = holder
        self._concurrency = concurrency
        self._polls = 0
        self._followed = 0
        self._queued = 0
        self._launches_resume_at: int | None = None
        # Another's lease, and since when we see it as it is.
        self._seen: Lease | None = None
        self._seen_at = 0
        # The threads of a tick share its buckets: one at a time, rather than each against the others' writes.
        self._one_taker = Lock()
        self._set_aside: dict[tuple[int, str], BaseException] = {}

    def tick(self, until: float, *, patient: bool = False) -> Report:
        """Poll due watches until the epoch second `until`, or until nothing will be due before it.

        Where another tick holds the lease, a patient one waits to go on from where that ends, so that ticks with
        different beginnings leave no gap between them; any other one leaves the work to the holder. Raises an
        `ExceptionGroup` of what went wrong unexpectedly, after everything else was done.
        """
        self._polls = 0
        self._set_aside = {}
        held_lease = False
        while self._acquire() or (patient and self._wait_for_lease(until)):
            held_lease = True
            try:
                self._drain(until)
            finally:
                self._runs.release_lease(LEASE, self._holder)
            # Work that was added while the lease was held found it taken: look once more, now that it is free.
            if self._clock.now() >= until or not (self._due() or self._launchable()):
                break
        if self._set_aside:
            raise BaseExceptionGroup("Some runs could not be polled.", list(self._set_aside.values()))
        return Report(held_lease=held_lease, polls=self._polls)

    def poll(self, org_id: int, key: str) -> None:
        """Make the one step that a due watch asks for."""
        watch = self._runs.get(org_id, key)
        if watch is None or watch.due_at is None:
            return
        try:
            if watch.status.terminal:
                self._settle(watch)
            elif watch.unlaunched and watch.cancel:
                self._settle(self._apply(transitions.cancelled(watch, watch.cancel, now=self._clock.now())))
            elif watch.agent_run_id is None and self._overdue(watch):
                waiting = "still paused at" if watch.paused_at else "not launched before"
                self._end(watch, Status.TIMED_OUT, reason=f"The run was {waiting} its deadline.")
            elif watch.unlaunched and watch.paused_at:
                self._apply(transitions.paused(watch, now=self._clock.now()))
            elif watch.unlaunched:
                self._write(watch, due_at=watch.deadline_at)  # its turn comes by the queue
            elif watch.status is Status.LAUNCHING:
                self._within_limit("standard", self._adopt, watch)
            elif watch.cancel and watch.status is not Status.CANCELLING:
                self._within_limit("standard", self._stop, watch)
            else:
                self._within_limit("logs", self._observe, watch)
        except ConditionFailed:
            logger.info("Another writer was faster.", extra={"run_key": key})

    # --- the loop ---

    def _drain(self, until: float) -> None:
        with ThreadPoolExecutor(self._concurrency) as threads:
            while self._clock.now() < until and self._acquire():
                queued = self._next_to_launch(threads)
                launches = queued[: self._permits_to_launch(len(queued))]
                due = self._due()
                self._followed, first_due = self._runs.outlook(most=MOST_FOLLOWED)
                self._followed -= self._queued
                steps = {_place(watch): threads.submit(self._launch, watch) for watch in launches}
                steps |= {place: threads.submit(self.poll, *place) for place in due if place not in steps}
                # A watch that breaks the poller must not keep it from the others: it is left out of this tick.
                self._set_aside |= {place: error for place, step in steps.items() if (error := step.exception())}
                self._polls += len(steps)
                if steps:
                    continue
                next_turns = [at for at in (first_due, self._launches_resume_at if queued else None) if at is not None]
                if (
                    not next_turns
                    or self._followed + self._queued <= len(self._set_aside)
                    or min(next_turns) / 1000 >= until
                ):
                    break
                # Short, because work may be added at any time.
                self._clock.sleep(min(1.0, max(0.05, min(next_turns) / 1000 - self._clock.now())))

    def _wait_for_lease(self, until: float) -> bool:
        while self._clock.now() < until:
            self._clock.sleep(1.0)
            if not self._lease_is_held() and self._acquire():
                return True
        return False

    def _due(self) -> list[tuple[int, str]]:
        due = self._runs.due(self._ms(), BATCH + len(self._set_aside))
        return [each for each in due if each not in self._set_aside]

    def _next_to_launch(self, threads: ThreadPoolExecutor) -> list[Watch]:
        """Read those whose turn comes next; the index may be a moment behind, so each is asked for its own word."""
        places = self._queue()
        self._queued = len(places)
        reads = {place: threads.submit(self._runs.get, *place) for place in places[:BATCH]}
        self._set_aside |= {place: error for place, read in reads.items() if (error := read.exception())}
        watches = [read.result() for place, read in reads.items() if place not in self._set_aside]
        return [watch for watch in watches if watch and watch.rank is not None and not self._overdue(watch)]

    def _queue(self) -> list[tuple[int, str]]:
        return [place for place in self._runs.queue(MOST_FOLLOWED) if place not in self._set_aside]

    def _launchable(self) -> bool:
        resumes_at = self._buckets.opens_at("create", reserve=RESERVED_CREATES)
        return resumes_at <= self._ms() and bool(self._queue())

    def _permits_to_launch(self, wanted: int) -> int:
        if not wanted:
            return 0
        granted = self._buckets.take("create", wanted, reserve=RESERVED_CREATES)
        self._launches_resume_at = self._buckets.opens_at("create", reserve=RESERVED_CREATES)
        return granted

    def _acquire(self) -> bool:
        """Take or extend the lease; another's only if it was not extended while we looked on for as long as it lasts.

        Clocks differ, so that the time on a lease says little to others than its holder.
        """
        abandoned = self._seen if self._ms() >= self._seen_at + LEASE_SECONDS * 1000 else None
        if self._runs.acquire_lease(LEASE, self._holder, self._ms(), self._ms(LEASE_SECONDS), abandoned=abandoned):
            return True
        self._lease_is_held()
        return False

    def _lease_is_held(self) -> bool:
        """Look whether somebody has the lease, as far as can be seen."""
        found = self._runs.lease(LEASE)
        if found != self._seen:
            self._seen, self._seen_at = found, self._ms()
        return found is not None and self._ms() < self._seen_at + LEASE_SECONDS * 1000

    # --- the steps ---

    def _launch(self, watch: Watch) -> None:
        """Launch a run whose turn it is. Call with a permit."""
        if self._buckets.read("create").blocked_until > self._ms():
            return  # since the permit was given, the upstream has refused another launch
        try:
            self._create(watch)
        except ConditionFailed:
            logger.info("Another writer was faster.", extra={"run_key": watch.key})

    def _create(self, watch: Watch) -> None:
        launch = watch.launch or Launch()
        watch = self._write(
            watch,
            Status.LAUNCHING,
            launching_since=self._ms(),
            quiet_polls=0,
            due_at=self._ms(ADOPTION_INTERVAL),
        )
        try:
            run = self._codegen.runs.create(
                watch.prompt or "",
                org_id=watch.org_id,
                repo_id=launch.repo_id,
                model=launch.model,
                agent_type=launch.agent_type,
                metadata=launch.metadata | {CLIENT_RUN_ID: watch.key},
            )
        except RateLimitError as error:
            self._requeue(watch, error, error.retry_after or DEFAULT_RETRY_AFTER)
        except CredentialsRefused as error:
            self._requeue(watch, error, CREDENTIALS_PAUSE)
        except CodegenAPIError as error:
            if error.effect_unknown:
                logger.warning("The answer to a launch was lost.", extra={"run_key": watch.key}, exc_info=True)
            elif isinstance(error, (APIConnectionError, ServerError)):
                self._requeue(watch, error, _nth(RETRY_INTERVALS, watch.failures))
            else:
                if isinstance(error, QuotaExceededError):  # whoever is next would hear the same
                    self._buckets.block("create", QUOTA_PAUSE, str(error))
                self._end(watch, Status.FAILED, reason=f"The Codegen API refused the run: {error}")
        else:
            self._launched(watch, run)

    def _requeue(self, watch: Watch, error: Exception, pause: float) -> None:
        """Put a run that the upstream did not take back to its place, and launch nothing for a while."""
        self._buckets.block("create", pause, str(error))
        self._write(
            watch,
            Status.QUEUED,
            failures=watch.failures + 1,
            status_reason=f"The Codegen API could not be asked: {error}",
            due_at=watch.deadline_at,
        )

    def _adopt(self, watch: Watch) -> None:
        if run := self._trace(watch):
            self._launched(watch, run)
            return
        looks, waited = watch.quiet_polls + 1, self._ms() - (watch.launching_since or 0)
        # Both, because the launch may have been written by a function whose clock is behind ours.
        if looks >= LAUNCH_GRACE / ADOPTION_INTERVAL and waited >= LAUNCH_GRACE * 1000:
            held = watch.cancel or watch.paused_at
            self._write(watch, Status.QUEUED, quiet_polls=0, due_at=self._ms() if held else watch.deadline_at)
        else:
            self._write(watch, quiet_polls=looks, due_at=self._ms(ADOPTION_INTERVAL))

    def _trace(self, watch: Watch) -> AgentRun | None:
        """Look for the upstream run that carries our key, among all that are no older than the launch."""
        oldest = (watch.launching_since or 0) / 1000 - MAX_CLOCK_SKEW
        for number in range(ADOPTION_PAGES):
            page = self._codegen.runs.list(org_id=watch.org_id, skip=number * 100)
            for run in page.items:
                if (run.metadata or {}).get(CLIENT_RUN_ID) == watch.key:
                    return run
            last = page.items[-1].created if page.items else None
            if last is None or last.timestamp() < oldest:
                break
        return None

    def _launched(self, watch: Watch, run: AgentRun) -> None:
        watch = watch.model_copy(update={"quiet_polls": 0})
        if self._publisher.watched(watch):
            watch = watch.model_copy(update={"viewed_until": self._ms(VIEW_SECONDS)})
        writer = Writer(watch.position, run_id=run.id, now=self._clock.now())
        writer.add("run.started", {"turn": watch.turn, "upstream_status": run.status, "web_url": run.web_url})
        self._write(
            watch.at(writer.position),
            Status.RUNNING,
            writer=writer,
            launched=True,
            agent_run_id=run.id,
            upstream_status=run.status,
            status_reason=None,
            web_url=run.web_url,
            prompts=prompts.kept(watch.prompts),
            launch=None,
            failures=0,
            due_at=self._ms(0 if watch.cancel else self._interval(watch)),
        )

    def _stop(self, watch: Watch) -> None:
        """Carry out a cancel that was asked for while nobody knew whether the run existed."""
        assert watch.cancel is not None  # noqa: S101 - that is how it came here
        assert watch.agent_run_id is not None  # noqa: S101 - a launched watch has one
        if not watch.cancel.allow_pr_ban:
            reason = "The run had been launched, and its pull request may not be banned."
            self._apply(transitions.cancel_unconfirmed(watch, watch.status, reason, now=self._clock.now()))
            return
        # Written first: whoever reads the run sees that it is being stopped, and nobody asks for it twice.
        cancelling = self._apply(transitions.cancelling(watch, watch.cancel, now=self._clock.now()))
        try:
            self._codegen.runs.ban(watch.agent_run_id, org_id=watch.org_id)
        except RateLimitError as error:
            until = self._limited("standard", error)
            self._write(cancelling, watch.status, cancel_deadline_at=None, due_at=until)
        except (CodegenAPIError, CredentialsRefused) as error:
            if isinstance(error, CodegenAPIError) and error.effect_unknown:
                logger.warning("The answer to a ban was lost.", extra={"run_key": watch.key}, exc_info=True)
            else:
                reason = f"The Codegen API refused to stop the run: {error}"
                self._apply(transitions.cancel_unconfirmed(cancelling, watch.status, reason, now=self._clock.now()))

    def _observe(self, watch: Watch) -> None:
        if recorder.may_be_known(watch):
            watch = recorder.continued(watch, self._runs.last_checkpoint(watch.org_id, watch.key))
        assert watch.agent_run_id is not None  # noqa: S101 - a launched watch has one
        writer = Writer(watch.position, run_id=watch.agent_run_id, now=self._clock.now())
        answer = self._codegen.runs.logs(
            watch.agent_run_id, org_id=watch.org_id, skip=watch.position.skip, limit=LOGS_PER_POLL
        )
        checkpoints = Recorder(watch, writer, now=self._clock.now())
        checkpoints.begin()
        begun = len(writer.events)
        more = writer.logs(recorder.fitting(answer, len(watch.tail)))
        grown = len(writer.events) > begun
        checkpoints.milestones(writer.events)
        status = statuses.from_upstream(answer.status)
        if more:  # the end is told after the last log
            status = watch.status
        elif watch.status is Status.CANCELLING and not status.terminal:
            if self._ms() < (watch.cancel_deadline_at or 0):
                status = watch.status
            else:
                reason = "The Codegen API did not confirm in time that the run was stopped."
                told = {"turn": watch.turn, "upstream_status": answer.status, "reason": reason}
                writer.add("run.cancel_unconfirmed", told)
                watch = watch.model_copy(update={"cancel": None, "cancel_deadline_at": None})
        else:
            writer.status(watch.status, watch.upstream_status, status, answer.status, watch.turn)
        is_end = status.terminal and not more
        run = None
        if is_end or any(map(recorder.opens_pull_request, writer.events[begun:])):
            run = self._details(watch)
        watch = self._pull_requests(watch, run, writer)
        quiet = 0 if writer.events else watch.quiet_polls + 1
        watch = watch.model_copy(
            update={
                "upstream_status": answer.status,
                "status_reason": None,
                "web_url": answer.web_url or watch.web_url,
                "last_log_at": self._ms() if grown else watch.last_log_at,
                "logged_at": _newest(answer.logs) or watch.logged_at,
                "quiet_polls": quiet,
                "failures": 0,
                "viewed_until": self._viewed_until(watch),
            }
        ).at(writer.position)
        if is_end:
            summary = run.summary if run else None
            self._end(watch, status, result=answer.result, summary=summary, writer=writer, checkpoints=checkpoints)
        elif self._overdue(watch) and not more:
            reason = "The run did not end before its deadline."
            self._end(watch, Status.TIMED_OUT, reason=reason, writer=writer, checkpoints=checkpoints)
        else:
            due_at = self._ms(0 if more else self._interval(watch))
            self._write(watch, status, writer=writer, checkpoints=checkpoints, due_at=due_at)

    def _details(self, watch: Watch) -> AgentRun | None:
        """Ask for what the logs do not tell of a run, its pull requests and its summary; None where that fails."""
        assert watch.agent_run_id is not None  # noqa: S101 - a launched watch has one
        with self._one_taker:
            granted = self._buckets.take("standard")
        if not granted:
            return None
        try:
            return self._codegen.runs.get(watch.agent_run_id, org_id=watch.org_id)
        except RateLimitError as error:
            self._limited("standard", error)
        except (CodegenAPIError, CredentialsRefused):
            logger.info("A run's pull requests are not known.", extra={"run_key": watch.key}, exc_info=True)
        return None

    def _pull_requests(self, watch: Watch, run: AgentRun | None, writer: Writer) -> Watch:
        """Tell of the pull requests that are new."""
        found = run.github_pull_requests if run else None
        new = [each for each in found or [] if each.id not in watch.pull_requests][:PULL_REQUESTS_PER_POLL]
        for pull_request in new:
            shown = pull_request.model_dump(mode="json", include=_PULL_REQUEST)
            writer.add("run.pr_opened", {"turn": watch.turn, "pull_request": shown})
        known = (*watch.pull_requests, *(each.id for each in new))
        return watch.model_copy(update={"pull_requests": known}) if new else watch

    def _end(
        self,
        watch: Watch,
        status: Status,
        *,
        reason: str | None = None,
        result: str | None = None,
        summary: str | None = None,
        writer: Writer | None = None,
        checkpoints: Recorder | None = None,
    ) -> None:
        writer = writer or Writer(watch.position, run_id=watch.agent_run_id, now=self._clock.now())
        if watch.agent_run_id is not None:
            checkpoints = checkpoints or Recorder(watch, writer, now=self._clock.now())
            checkpoints.begin()
            checkpoints.end(status, result, reason)
        kept, truncated = shorten(result, MAX_RESULT_CHARACTERS)
        data = {
            "turn": watch.turn,
            "status": status,
            "upstream_status": watch.upstream_status,
            "reason": reason,
            "result_preview": shorten(result, MAX_PREVIEW_CHARACTERS)[0],
            "summary": shorten(summary, MAX_PREVIEW_CHARACTERS)[0],
        }
        writer.ended(status, data)
        ended = self._write(
            watch.at(writer.position),
            status,
            writer=writer,
            checkpoints=checkpoints,
            status_reason=reason,
            result=kept,
            result_truncated=truncated,
            finished_at=self._ms(),
            launch=None,
            due_at=self._ms() if watch.task_token else self._last_look(watch.model_copy(update={"status": status})),
        )
        if ended.task_token:
            self._release(ended)

    def _settle(self, watch: Watch) -> None:
        """Do what is left to do for a run that has ended."""
        if watch.task_token:
            self._release(watch)
        elif self._last_look(watch) is not None:
            self._look_again(watch)
        elif watch.due_at is not None:
            self._write(watch, due_at=None)

    def _look_again(self, watch: Watch) -> None:
        """Tell what else the upstream may say by now of a run that it had stopped; it stays cancelled."""
        assert watch.agent_run_id is not None  # noqa: S101 - only a launched run is stopped
        try:
            run = self._codegen.runs.get(watch.agent_run_id, org_id=watch.org_id)
        except (CodegenAPIError, CredentialsRefused):
            logger.info("A cancelled run could not be looked at again.", extra={"run_key": watch.key}, exc_info=True)
            self._write(watch, cancel_deadline_at=None, due_at=None)
            return
        settled: dict[str, Any] = {"cancel_deadline_at": None, "due_at": None}
        writer = Writer(watch.position, run_id=watch.agent_run_id, now=self._clock.now())
        if run.status != watch.upstream_status:
            told = {"from": watch.status, "to": watch.status, "upstream_status": run.status}
            preview = shorten(run.result, MAX_PREVIEW_CHARACTERS)[0]
            writer.add("run.status_changed", told | {"result_preview": preview})
            result, truncated = shorten(run.result, MAX_RESULT_CHARACTERS)
            settled |= {"upstream_status": run.status, "result": result, "result_truncated": truncated}
        self._write(watch.at(writer.position), writer=writer, **settled)

    def _release(self, watch: Watch) -> None:
        if watch.task_token and watch.status is Status.COMPLETED:
            self._tokens.succeed(watch.task_token, {"run": watch.key, "status": watch.status})
        elif watch.task_token:
            cause = watch.status_reason or f"The run ended {watch.status}."
            self._tokens.fail(watch.task_token, f"Run.{watch.status}", cause)
        self._write(watch, task_token=None, due_at=self._last_look(watch))

    # --- limits and failures of the upstream ---

    def _within_limit(self, limit: str, step: Step, watch: Watch) -> None:
        """Make a step that calls the upstream, if there is a permit; what fails is tried later."""
        with self._one_taker:
            granted = self._buckets.take(limit)
        if not granted:
            self._write(watch, due_at=self._buckets.opens_at(limit))
            return
        try:
            step(watch)
        except RateLimitError as error:
            self._write(watch, due_at=self._limited(limit, error))
        except NotFoundError as error:
            if watch.failures + 1 < NOT_FOUND_MEANS_GONE:  # a run may take a moment to be readable
                self._retry(watch, error)
            else:
                self._end(watch, Status.FAILED, reason="The Codegen API does not know this run any more.")
        except (CodegenAPIError, CredentialsRefused) as error:
            if self._overdue(watch):
                self._end(watch, Status.TIMED_OUT, reason=f"The run could not be read until its deadline: {error}")
            else:
                self._retry(watch, error)

    def _limited(self, limit: str, error: RateLimitError) -> int:
        return self._buckets.block(limit, error.retry_after or DEFAULT_RETRY_AFTER, str(error))

    def _retry(self, watch: Watch, error: Exception) -> None:
        self._write(
            watch,
            failures=watch.failures + 1,
            status_reason=f"The Codegen API could not be asked: {error}",
            due_at=self._ms(_nth(RETRY_INTERVALS, watch.failures)),
        )

    # --- small parts ---

    def _write(
        self,
        watch: Watch,
        status: Status | None = None,
        *,
        writer: Writer | None = None,
        checkpoints: Recorder | None = None,
        launched: bool = False,
        **changes: Any,
    ) -> Watch:
        update = {"status": status or watch.status, "updated_at": self._ms()} | changes
        if checkpoints:
            update["checkpoint"] = checkpoints.head
        events = writer.events if writer else ()
        made = checkpoints.made if checkpoints else ()
        written = self._runs.write(watch.model_copy(update=update), events, made, launched=launched)
        if events:
            self._publisher.publish(written, events)
        return written

    def _apply(self, change: transitions.Change) -> Watch:
        written = self._runs.write(*change)
        if change.events:
            self._publisher.publish(written, change.events)
        return written

    def _last_look(self, watch: Watch) -> int | None:
        """Tell when to look at a run that has ended; None for never.

        An agent that is stopped may still come to its end: the upstream's word is read once more when the time to
        confirm is over.
        """
        return watch.cancel_deadline_at if watch.status is Status.CANCELLED else None

    def _overdue(self, watch: Watch) -> bool:
        return self._ms() >= watch.deadline_at

    def _viewed_until(self, watch: Watch) -> int | None:
        """Until when somebody watches: prolonged in time for those who are connected, and do not say it again."""
        if watch.viewed_until is None or watch.viewed_until > self._ms(VIEW_SECONDS / 3):
            return watch.viewed_until
        if self._publisher.watched(watch):
            return self._ms(VIEW_SECONDS)
        return watch.viewed_until if watch.viewed_until > self._ms() else None

    def _interval(self, watch: Watch) -> float:
        """Seconds until the next look: slower when nothing happens, and so that all runs together keep to the limit."""
        own = _nth(INTERVALS, watch.quiet_polls)
        if (watch.viewed_until or 0) > self._ms():
            own = min(own, VIEWED_INTERVAL)
        logs = limit_of("logs")
        return max(own, self._followed * logs.seconds / logs.calls)

    def _ms(self, seconds_from_now: float = 0) -> int:
        return round((self._clock.now() + seconds_from_now) * 1000)


def _newest(logs: Sequence[AgentRunLog]) -> int | None:
    """Tell when the newest of some log entries was written; None where the upstream does not say."""
    created = logs[-1].created if logs else None
    return round(created.timestamp() * 1000) if created else None


def _place(watch: Watch) -> tuple[int, str]:
    return watch.org_id, watch.key


def _nth(seconds: Sequence[float], number: int) -> float:
    return seconds[min(number, len(seconds) - 1)]
