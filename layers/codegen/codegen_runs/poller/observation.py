"""What an answer to `logs` means for a followed run: its new events and checkpoints, and whether its turn has ended.

Nothing here reads a clock or a table.
"""

from __future__ import annotations

from codegen_api import AgentRun, AgentRunLogs
from codegen_runs import statuses
from codegen_runs.checkpoints import recorder
from codegen_runs.checkpoints.recorder import MILESTONES_PER_POLL, Recorder
from codegen_runs.clock import milliseconds
from codegen_runs.events import Writer
from codegen_runs.runs import transitions
from codegen_runs.runs.schedule import is_overdue, read_interval
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import EVENTS_PER_WRITE, Watch

PULL_REQUESTS_PER_POLL = 4

# Everything that one poll can find fits one write: the entries, the pull requests, a change of status, the end, and the
# checkpoints with their events: at the start and the end of the turn, and at milestones.
LOGS_PER_POLL = EVENTS_PER_WRITE - PULL_REQUESTS_PER_POLL - 1 - 1 - 2 * (2 + MILESTONES_PER_POLL)

# The fields of a pull request that its event carries.
_PULL_REQUEST = {"id", "title", "url", "created_at", "head_branch_name"}


class Observation:
    """One answer to `logs`, compared with what is stored of the run.

    Args:
        watch: A launched run.
        answer: What Codegen returned for `skip=watch.position.skip` and `limit=LOGS_PER_POLL`.
        now: The time in epoch seconds.
    """

    def __init__(self, watch: Watch, answer: AgentRunLogs, *, now: float) -> None:
        self._watch = watch
        self._answer = answer
        self._now = now
        self._status = statuses.from_upstream(answer.status)
        self._writer = Writer(watch.position, run_id=watch.agent_run_id, now=now)
        self._recorder = Recorder(watch, self._writer, now=now)
        self._recorder.begin()
        begun = len(self._writer.events)
        self._more = self._writer.logs(recorder.fitting(answer, len(watch.tail)))
        self._entries = self._writer.events[begun:]
        self._recorder.milestones(self._entries)

    @property
    def needs_details(self) -> bool:
        """Whether the run's pull requests and summary, which its logs do not contain, have to be read as well."""
        return self._is_end or any(map(recorder.opens_pull_request, self._entries))

    def change(self, details: AgentRun | None, *, viewed_until: int | None, at_least: float) -> Change:
        """Return the run as it is to be stored.

        Args:
            details: The run as Codegen returns it; None where it was not read.
            viewed_until: Until when somebody watches the run, in epoch milliseconds.
            at_least: The shortest interval, in seconds, at which the run may be read.
        """
        watch = self._with_pull_requests(self._with_status(self._as_read(viewed_until)), details)
        watch = watch.model_copy(update={"quiet_polls": 0 if self._writer.events else watch.quiet_polls + 1})
        if self._is_end:
            summary = details.summary if details else None
            return self._ended(watch, self._status, result=self._answer.result, summary=summary)
        if is_overdue(watch, now=self._now) and not self._more:
            return self._ended(watch, Status.TIMED_OUT, reason="The run did not end before its deadline.")
        wait = 0 if self._more else read_interval(watch, now=self._now, at_least=at_least)
        times = {"updated_at": milliseconds(self._now), "due_at": milliseconds(self._now + wait)}
        change = Change(watch.model_copy(update=times).at(self._writer.position), self._writer.events)
        return _with_checkpoints(change, self._recorder)

    @property
    def _is_end(self) -> bool:
        return self._status.terminal and not self._more  # the last log entry comes before the end

    def _as_read(self, viewed_until: int | None) -> Watch:
        watch, answer = self._watch, self._answer
        return watch.model_copy(
            update={
                "upstream_status": answer.status,
                "status_reason": None,
                "web_url": answer.web_url or watch.web_url,
                "last_log_at": milliseconds(self._now) if self._entries else watch.last_log_at,
                "logged_at": _newest(answer) or watch.logged_at,
                "failures": 0,
                "viewed_until": viewed_until,
            }
        )

    def _with_status(self, watch: Watch) -> Watch:
        """Apply the status, unless more entries come before it or a cancel still waits to be confirmed."""
        before, status = self._watch, self._status
        if self._more:
            return watch
        if before.status is Status.CANCELLING and not status.terminal:
            if milliseconds(self._now) < (before.cancel_deadline_at or 0):
                return watch
            reason = "The Codegen API did not confirm in time that the run was stopped."
            return transitions.cancel_unconfirmed(watch, status, reason, now=self._now, writer=self._writer).watch
        self._writer.status(before.status, before.upstream_status, status, self._answer.status, before.turn)
        return watch.model_copy(update={"status": status})

    def _with_pull_requests(self, watch: Watch, details: AgentRun | None) -> Watch:
        """Add an event for each new pull request, a few at a time."""
        found = details.github_pull_requests if details else None
        new = [each for each in found or [] if each.id not in watch.pull_requests][:PULL_REQUESTS_PER_POLL]
        for pull_request in new:
            shown = pull_request.model_dump(mode="json", include=_PULL_REQUEST)
            self._writer.add("run.pr_opened", {"turn": watch.turn, "pull_request": shown})
        return watch.model_copy(update={"pull_requests": (*watch.pull_requests, *(each.id for each in new))})

    def _ended(
        self,
        watch: Watch,
        status: Status,
        *,
        reason: str | None = None,
        result: str | None = None,
        summary: str | None = None,
    ) -> Change:
        self._recorder.end(status, result, reason)
        change = transitions.ended(
            watch, status, now=self._now, reason=reason, result=result, summary=summary, writer=self._writer
        )
        return _with_checkpoints(change, self._recorder)


def ended(watch: Watch, status: Status, reason: str, *, now: float) -> Change:
    """End a run's turn for a reason that its logs do not show; if it was launched, with a checkpoint."""
    if watch.agent_run_id is None:
        return transitions.ended(watch, status, now=now, reason=reason)
    writer = Writer(watch.position, run_id=watch.agent_run_id, now=now)
    checkpoints = Recorder(watch, writer, now=now)
    checkpoints.begin()
    checkpoints.end(status, None, reason)
    return _with_checkpoints(transitions.ended(watch, status, now=now, reason=reason, writer=writer), checkpoints)


def _with_checkpoints(change: Change, checkpoints: Recorder) -> Change:
    watch = change.watch.model_copy(update={"checkpoint": checkpoints.head})
    return Change(watch, change.events, checkpoints.made)


def _newest(answer: AgentRunLogs) -> int | None:
    """Return when the newest entry was written, in epoch milliseconds; None where Codegen does not date it."""
    created = answer.logs[-1].created if answer.logs else None
    return milliseconds(created.timestamp()) if created else None
