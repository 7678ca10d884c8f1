"""What an answer to `logs` means for a followed run: its new events and checkpoints, and whether its turn has ended.

Nothing here reads a clock or a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from codegen_api import AgentRun, AgentRunLogs, PullRequest
from codegen_runs import statuses
from codegen_runs.checkpoints import recorder
from codegen_runs.checkpoints.recorder import MILESTONES_PER_POLL, Recorder
from codegen_runs.clock import milliseconds
from codegen_runs.events import Writer, shorten
from codegen_runs.redaction import redact
from codegen_runs.runs import transitions
from codegen_runs.runs.following import DEADLINE
from codegen_runs.runs.schedule import is_overdue, read_interval
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import EVENTS_PER_WRITE, OpenedPullRequest, Watch
from codegen_runs.upstream.unreadable import is_identified

PULL_REQUESTS_PER_POLL = 4

# Everything that one poll can find fits one write: the entries, the pull requests, a change of status, the end, and the
# checkpoints with their events: at the start and the end of the turn, and at milestones.
LOGS_PER_POLL = EVENTS_PER_WRITE - PULL_REQUESTS_PER_POLL - 1 - 1 - 2 * (2 + MILESTONES_PER_POLL)

# The most that Codegen returns at once.
LOOK_PAGE = 100

# A look has no other events than those of entries and of pull requests, and that of a late result.
ENTRIES_PER_LOOK = EVENTS_PER_WRITE - PULL_REQUESTS_PER_POLL - 1

# How many pull requests a watch describes, and the most characters of a title, a URL or a branch. A DynamoDB item has
# at most 400 KB, and the result and the prompts may take most of it.
MOST_DESCRIBED = 10
DESCRIBED_CHARACTERS = 250

_NUMBER = re.compile(r".{0,250}/(?:pull|pull-requests|merge_requests)/([0-9]{1,9})(?:[/?#]|$)")

# The fields of a pull request that its event carries.
_PULL_REQUEST = {"id", "title", "url", "created_at", "head_branch_name"}


class Observation:
    """One answer to `logs`, compared with what is stored of the run.

    Args:
        watch: A launched run.
        answer: What Codegen returned for `skip`, and `limit=LOGS_PER_POLL` or more.
        now: The time in epoch seconds.
        skip: The position of the first entry; `watch.position.skip` by default.
    """

    def __init__(
        self,
        watch: Watch,
        answer: AgentRunLogs,
        *,
        now: float,
        skip: int | None = None,
    ) -> None:
        skip = watch.position.skip if skip is None else skip
        self._watch = watch
        self._answer = answer
        self._now = now
        self._status = statuses.from_upstream(answer.status)
        self._writer = Writer(watch.position, run_id=watch.agent_run_id, now=now)
        self._recorder = Recorder(watch, self._writer, now=now)
        self._recorder.begin()
        begun = len(self._writer.events)
        fitting = recorder.fitting(answer, watch.log_count - skip)
        # An answer whose log cannot be read shows the status and nothing about the log.
        self._more = _has_log(answer) and self._writer.logs(fitting, skip=skip, most=LOGS_PER_POLL)
        # The last entries are compared before the end, too.
        self._more |= self._status.terminal and self._writer.read_to < watch.log_count
        self._looked_back = skip < watch.position.skip
        self._entries = self._writer.events[begun:]
        self._recorder.milestones(self._entries)

    @property
    def read_at(self) -> float:
        """The time in epoch seconds."""
        return self._now

    @property
    def needs_details(self) -> bool:
        """Whether the run's pull requests and summary, which its logs do not contain, have to be read as well."""
        is_end = self._is_end and not self._watch.is_internal
        return is_end or any(map(recorder.opens_pull_request, self._entries))

    def change(self, details: AgentRun | None, *, viewed_until: int | None, at_least: float) -> Change:
        """Return the run as it is to be stored.

        Args:
            details: The run as Codegen returns it; None where it was not read.
            viewed_until: Until when somebody watches the run, in epoch milliseconds.
            at_least: The shortest interval, in seconds, at which the run may be read.
        """
        watch = self._with_pull_requests(self._with_status(self._as_read(viewed_until)), details)
        is_extra = self._looked_back and (self._more or watch.quiet_polls == 0)
        watch = watch.model_copy(
            update={
                "quiet_polls": 0 if self._writer.events else watch.quiet_polls + 1,
                "extra_reads": watch.extra_reads + is_extra,
            }
        )
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
                "outage_since": None,
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
        return watch.model_copy(update=_pull_requests(watch, details, self._writer))

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


class Look:
    """One page of the log of a run that has ended, compared with what is stored of it.

    Args:
        watch: A run that has ended.
        answer: What Codegen returned for `skip=watch.look_at` and `limit=LOOK_PAGE`.
        known: The fingerprints of the entries in the event log, by position.
        now: The time in epoch seconds.
    """

    def __init__(self, watch: Watch, answer: AgentRunLogs, known: Mapping[int, str], *, now: float) -> None:
        self._watch = watch
        self._answer = answer
        self._now = now
        self._writer = Writer(watch.position, run_id=watch.agent_run_id, now=now)
        status = statuses.from_upstream(answer.status)
        # The log of a run whose turn had ended at Codegen and that is at work again belongs to its next turn.
        self._is_resumed = not status.terminal and statuses.from_upstream(watch.upstream_status).terminal
        self._more = (
            not self._is_resumed
            and _has_log(answer)
            and self._writer.logs(answer, skip=watch.look_at or 0, known=known, most=ENTRIES_PER_LOOK)
        )

    @property
    def needs_details(self) -> bool:
        """Whether the run's pull requests, which its logs do not contain, have to be read as well."""
        return any(map(recorder.opens_pull_request, self._writer.events))

    def change(self, details: AgentRun | None) -> Change:
        """Return the run as it is to be stored.

        Args:
            details: The run as Codegen returns it; None where it was not read.
        """
        watch, answer, writer = self._watch, self._answer, self._writer
        if self._is_resumed:
            # Only a follow-up does that. The outcome of a cancelled run or of a multi-run's stays as it is.
            if watch.status is Status.CANCELLED or watch.multi_run_id is not None:
                return transitions.closed(watch, now=self._now)
            return transitions.reopened(watch, None, deadline=self._now + DEADLINE, now=self._now)
        changes: dict[str, Any] = _pull_requests(watch, details, writer)
        if answer.result and watch.result is None and watch.status is not Status.CANCELLED:
            changes |= transitions.late_result(watch, answer.result, writer)
        if any(event.type == "run.log" for event in writer.events):
            changes |= {
                "last_log_at": milliseconds(self._now),
                "logged_at": _newest(answer) or watch.logged_at,
            }
        # A page may end where the log ended before.
        is_followed = bool(answer.logs) and (answer.total_logs or 0) > writer.read_to
        is_whole = writer.read_to >= watch.log_count and not self._more and not is_followed
        return transitions.looked(watch, None if is_whole else writer.read_to, now=self._now, writer=writer, **changes)


def ended(watch: Watch, status: Status, reason: str, *, now: float) -> Change:
    """End a run's turn for a reason that its logs do not show; if it was launched, with a checkpoint."""
    if watch.agent_run_id is None:
        return transitions.ended(watch, status, now=now, reason=reason)
    writer = Writer(watch.position, run_id=watch.agent_run_id, now=now)
    checkpoints = Recorder(watch, writer, now=now)
    checkpoints.begin()
    checkpoints.end(status, None, reason)
    return _with_checkpoints(transitions.ended(watch, status, now=now, reason=reason, writer=writer), checkpoints)


def _pull_requests(watch: Watch, details: AgentRun | None, writer: Writer) -> dict[str, Any]:
    """Add an event for each new pull request, a few at a time; return the changes of the watch."""
    found = (details.github_pull_requests if details else None) or []
    unknown = [each for each in found if each.id not in watch.pull_requests]
    # One without a readable id cannot be told apart from others.
    distinct = {each.id if is_identified(each) else f"#{place}": each for place, each in enumerate(unknown)}
    new = list(distinct.values())[:PULL_REQUESTS_PER_POLL]
    for pull_request in new:
        shown = pull_request.model_dump(mode="json", include=_PULL_REQUEST)
        writer.add("run.pr_opened", {"turn": watch.turn, "pull_request": shown})
    opened = (*watch.opened, *map(_opened, new))[:MOST_DESCRIBED]
    return {"pull_requests": (*watch.pull_requests, *(each.id for each in new)), "opened": opened}


def _opened(pull_request: PullRequest) -> OpenedPullRequest:
    title, _ = shorten(redact(pull_request.title), DESCRIBED_CHARACTERS)
    # The beginning of a URL or of a branch would be another one.
    places = redact([pull_request.url, pull_request.head_branch_name])
    url, branch = (place if place and len(place) <= DESCRIBED_CHARACTERS else None for place in places)
    found = _NUMBER.match(url or "")
    number = int(found[1]) if found else None
    return OpenedPullRequest(id=pull_request.id, number=number, title=title, url=url, branch_name=branch)


def _with_checkpoints(change: Change, checkpoints: Recorder) -> Change:
    watch = change.watch.model_copy(update={"checkpoint": checkpoints.head})
    return Change(watch, change.events, checkpoints.made)


def _has_log(answer: AgentRunLogs) -> bool:
    return "logs" not in answer.unreadable


def _newest(answer: AgentRunLogs) -> int | None:
    """Return when the newest entry was written, in epoch milliseconds; None where Codegen does not date it."""
    created = answer.logs[-1].created_at if answer.logs else None
    return milliseconds(created.timestamp()) if created else None
