"""Reading the event log of a run, or of a multi-run (`live.multi_runs`).

A *reader* is one viewer's place in an event log, for as long as one answer takes: a long poll, a stream or a chat turn.
A WebSocket viewer's place is stored instead, as a `storage.connections.Subscription`.

A *cursor* names a place in the log by the last event that the viewer has seen: `(epoch, seq)`, or `"{epoch}-{seq}"` in
requests and answers.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from codegen_runs import forms
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.cursors import InvalidCursor
from codegen_runs.events import Event, is_terminal
from codegen_runs.links import link_to_run
from codegen_runs.problems import Gone, NotFound
from codegen_runs.runs.finding import follow_run
from codegen_runs.runs.following import first_watch, view
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.storage.runs import Watch

PAGE = 100

START = (0, 0)

# Seconds between two reads while a reader waits for events.
INTERVAL = 1.0

_CURSOR = re.compile(forms.AFTER)


class RunNotFollowed(NotFound):
    """The run is not followed, and the caller has no token to read it from the Codegen API."""

    code = "run_not_followed"
    remedy = "Send a token instead of a ticket."


class CursorExpired(Gone):
    """Events that follow the cursor are no longer stored."""

    code = "cursor_expired"
    remedy = "Read the run, or start again without a cursor to get the events that are still stored."

    def __init__(self, links: Mapping[str, str]) -> None:
        super().__init__("Events after the cursor are no longer stored.", links=links)


class Status(Protocol):
    """A status."""

    @property
    def terminal(self) -> bool:
        """Whether nothing more is expected."""


class Followed(Protocol):
    """What has an event log: a run, as its watch, or a multi-run, as its record."""

    @property
    def org_id(self) -> int:
        """The organization."""

    @property
    def key(self) -> str:
        """The key of the event log."""

    @property
    def status(self) -> Status:
        """The status."""

    @property
    def settled(self) -> bool:
        """Whether it has ended, and all its events so far are stored."""

    @property
    def epoch(self) -> int:
        """The epoch of the last event."""

    @property
    def seq(self) -> int:
        """The number of the last event."""


T = TypeVar("T", bound=Followed)


@dataclass
class Reader(ABC, Generic[T]):
    """One viewer's place in one event log."""

    backend: Backend
    followed: T
    """The run or the multi-run as last read."""
    after: tuple[int, int] = START
    """(epoch, seq) of the last event that the viewer has seen."""
    ended: bool = False
    """Whether it has ended and the viewer has seen all its events so far. See `RunSnapshot.log_final_at`."""
    expired: int = 0
    """How many events are missing at the start of the log, because they are no longer stored."""
    views: bool = True
    """Whether there is a viewer to record."""
    _terminal: bool = False
    """Whether a terminal event has been read."""

    @property
    def cursor(self) -> str:
        """The cursor of the last event that the viewer has seen, as text."""
        return "{}-{}".format(*self.after)

    @property
    def behind(self) -> bool:
        """Whether it had events, when it was last read, that the viewer has not seen."""
        return self.after < (self.followed.epoch, self.followed.seq)

    @property
    def settled(self) -> bool:
        """Whether it had ended, when it was last read, and the viewer has seen all its events so far."""
        return self.followed.settled and not self.behind

    @property
    @abstractmethod
    def links(self) -> Mapping[str, str]:
        """The link to it, for the answer to an expired cursor."""

    @abstractmethod
    def snapshot(self) -> BaseModel:
        """Return the snapshot of what was last read."""

    @abstractmethod
    def refresh(self) -> None:
        """Read it again, and record that it has a viewer."""

    @abstractmethod
    def current(self) -> T | None:
        """Read it; None if it is no longer stored."""

    def next(self, limit: int = PAGE) -> Sequence[Event]:
        """Read the next events, at most `limit`; an empty list if there are none yet.

        Sets `ended` if no more events will follow. The events of a log are numbered without gaps, so a gap means that
        events are no longer stored. After a cursor, a gap raises `CursorExpired`; at the start of the log, `expired` is
        set to the number of missing events.
        """
        followed = self.followed
        events = self.backend.runs.events(
            followed.org_id, followed.key, after=self.after, limit=limit, now=self.backend.clock.now()
        )
        next_seq = events[0].seq if events else followed.seq + 1
        if (missing := next_seq - self.after[1] - 1) > 0:
            if self.after != START:
                raise CursorExpired(self.links)
            self.expired = missing
        if not events:
            self.after = max(self.after, (followed.epoch, followed.seq))
            self.ended = self._has_ended()
            return []
        adjacent = takewhile(lambda pair: pair[1].seq == pair[0].seq + 1, pairwise(events))
        events = [events[0], *(event for _, event in adjacent)]
        self.after = (events[-1].epoch, events[-1].seq)
        self._terminal |= any(self.ends(event) for event in events)
        return events

    def before(self, cursor: tuple[int, int], limit: int = PAGE) -> tuple[Sequence[Event], bool]:
        """Read the newest events before a cursor, oldest first, and whether there are earlier ones."""
        followed, now = self.followed, self.backend.clock.now()
        events = self.backend.runs.events_before(followed.org_id, followed.key, before=cursor, limit=limit + 1, now=now)
        self.after = (events[-1].epoch, events[-1].seq) if events else START
        return events[-limit:], len(events) > limit

    def wait(self, until: float, limit: int = PAGE, interval: float = INTERVAL) -> Sequence[Event]:
        """Read the next events. If there are none yet, wait for them until the epoch second `until`.

        Returns an empty list when the time is over or no more events will follow. Raises `CursorExpired`.
        """
        clock = self.backend.clock
        while not (events := self.next(limit)) and not self.ended and (left := until - clock.now()) > 0:
            clock.sleep(min(interval, left))
        return events

    @staticmethod
    @abstractmethod
    def ends(event: Event) -> bool:
        """Return whether nothing is expected after an event."""

    def _has_ended(self) -> bool:
        # Until a terminal event has been read, it has not ended, so it need not be read again on each call.
        if not (self._terminal or self.followed.status.terminal):
            return False
        current = self.current()
        self.followed = current or self.followed
        return current is None or self.settled


class RunReader(Reader[Watch]):
    """One viewer's place in the event log of one run."""

    @property
    def watch(self) -> Watch:
        """The run as last read."""
        return self.followed

    @property
    def links(self) -> Mapping[str, str]:
        """See `Reader.links`."""
        return {"run": link_to_run(self.watch.org_id, self.watch.agent_run_id)}

    def snapshot(self) -> RunSnapshot:
        """See `Reader.snapshot`."""
        return run_snapshot(self.watch, now=self.backend.clock.now())

    def refresh(self) -> None:
        """See `Reader.refresh`."""
        self.followed = self.current() or self.followed
        if self.views:
            view(self.watch, backend=self.backend)

    def current(self) -> Watch | None:
        """See `Reader.current`."""
        return self.backend.runs.get(self.watch.org_id, self.watch.key)

    @staticmethod
    def ends(event: Event) -> bool:
        """See `Reader.ends`."""
        return is_terminal(event.type)


def open_reader(
    *,
    org_id: int,
    agent_run_id: int,
    after: str | None,
    caller: Caller,
    may_follow: bool = True,
    views: bool = True,
    backend: Backend,
) -> RunReader:
    """Return a reader of a run's events, and record that the run has a viewer.

    A run that is not followed yet is followed from now on, if it exists at the upstream and has a viewer.

    Args:
        org_id: The organization, which the caller is in.
        agent_run_id: The upstream's run id.
        after: The id of the last event that the viewer has seen; None for all events.
        caller: The caller who reads.
        may_follow: Whether a run that is not followed yet may be read from the upstream.
        views: Whether the caller views the run. Otherwise nothing is written.
        backend: What to work with.

    Raises:
        InvalidCursor: `after` is no cursor of this run.
        RunNotFollowed: The run is not followed, and `may_follow` is false.
        codegen_api.NotFoundError: The organization has no such run.
        StorageUnavailable: The runs table does not answer.
    """
    watch = backend.runs.find(org_id, agent_run_id)
    if watch is None:
        if not may_follow:
            raise RunNotFollowed(f"This deployment does not follow run {agent_run_id}.")
        run = backend.codegen.runs.get(agent_run_id, org_id=org_id)
        if views:
            watch = follow_run(run, org_id=org_id, caller=caller, backend=backend)
        else:
            watch = first_watch(org_id=org_id, agent_run_id=run.id, status=run.status, now=backend.clock.now())
    cursor = parse_cursor(after, watch) if after else START
    if views:
        view(watch, backend=backend)
    return RunReader(backend, watch, cursor, views=views)


LATEST = (9999, 0)
"""The cursor after all events."""


def parse_cursor(text: str, followed: Followed) -> tuple[int, int]:
    """Return a cursor of an event log. Raises `InvalidCursor` if the log has no such event."""
    match = _CURSOR.fullmatch(text)
    if not (match and match[1]):
        raise InvalidCursor("The cursor does not have the form epoch-number.")
    cursor = (int(match[2]), int(match[3]))
    if cursor > (followed.epoch, followed.seq) or cursor[1] > followed.seq:
        raise InvalidCursor("The cursor names an event that this run does not have.")
    return cursor
