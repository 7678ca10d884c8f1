"""Reading the event log of a run.

A *reader* is one viewer's place in a run's event log, for as long as one answer takes: a long poll, a stream or a chat
turn. A WebSocket viewer's place is stored instead, as a `storage.connections.Subscription`.

A *cursor* names a place in the log by the last event that the viewer has seen: `(epoch, seq)`, or `"{epoch}-{seq}"` in
requests and answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.cursors import InvalidCursor
from codegen_runs.events import Event, is_terminal
from codegen_runs.links import link_to_run
from codegen_runs.problems import Gone, NotFound
from codegen_runs.runs.finding import follow_run
from codegen_runs.runs.following import view
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.storage.runs import Watch

PAGE = 100

START = (0, 0)

# Seconds between two reads while a reader waits for events.
INTERVAL = 1.0

# After the tilde there is a stream key (see `tickets`), which is not part of the cursor.
_CURSOR = re.compile(r"([0-9]{1,4})-([0-9]{1,10})(?:~[A-Za-z0-9_-]*)?")


class RunNotFollowed(NotFound):
    """The run is not followed, and the caller has no token to read it from the Codegen API."""

    code = "run_not_followed"
    remedy = "Send a token instead of a ticket."


class CursorExpired(Gone):
    """Events that follow the cursor are no longer stored."""

    code = "cursor_expired"
    remedy = "Read the run, or start again without a cursor to get the events that are still stored."

    def __init__(self, watch: Watch) -> None:
        run = link_to_run(watch.org_id, watch.agent_run_id)
        super().__init__("Events after the cursor are no longer stored.", links={"run": run})


@dataclass
class Reader:
    """One viewer's place in the event log of one run."""

    backend: Backend
    watch: Watch
    after: tuple[int, int] = START
    """(epoch, seq) of the last event that the viewer has seen."""
    ended: bool = False
    """Whether the run has ended and the viewer has seen all its events so far. See `RunSnapshot.log_final_at`."""
    expired: int = 0
    """How many events are missing at the start of the log, because they are no longer stored."""
    _terminal: bool = False
    """Whether a terminal event has been read."""

    @property
    def cursor(self) -> str:
        """The cursor of the last event that the viewer has seen, as text."""
        return "{}-{}".format(*self.after)

    @property
    def behind(self) -> bool:
        """Whether the run, as last read, has events that the viewer has not seen."""
        return self.after < (self.watch.epoch, self.watch.seq)

    @property
    def settled(self) -> bool:
        """Whether the run, as last read, has ended and the viewer has seen all its events so far."""
        return self.watch.settled and not self.behind

    def snapshot(self) -> RunSnapshot:
        """Return the snapshot of the run as last read."""
        return run_snapshot(self.watch, now=self.backend.clock.now())

    def next(self, limit: int = PAGE) -> Sequence[Event]:
        """Read the next events, at most `limit`; an empty list if there are none yet.

        Sets `ended` if no more events will follow. A run's events are numbered without gaps, so a gap means that events
        are no longer stored. After a cursor, a gap raises `CursorExpired`; at the start of the log, `expired` is set to
        the number of missing events.
        """
        events = self.backend.runs.events(
            self.watch.org_id, self.watch.key, after=self.after, limit=limit, now=self.backend.clock.now()
        )
        next_seq = events[0].seq if events else self.watch.seq + 1
        if (missing := next_seq - self.after[1] - 1) > 0:
            if self.after != START:
                raise CursorExpired(self.watch)
            self.expired = missing
        if not events:
            self.after = max(self.after, (self.watch.epoch, self.watch.seq))
            self.ended = self._has_ended()
            return []
        adjacent = takewhile(lambda pair: pair[1].seq == pair[0].seq + 1, pairwise(events))
        events = [events[0], *(event for _, event in adjacent)]
        self.after = (events[-1].epoch, events[-1].seq)
        self._terminal |= any(is_terminal(event.type) for event in events)
        return events

    def wait(self, until: float, limit: int = PAGE, interval: float = INTERVAL) -> Sequence[Event]:
        """Read the next events. If there are none yet, wait for them until the epoch second `until`.

        Returns an empty list when the time is over or no more events will follow. Raises `CursorExpired`.
        """
        clock = self.backend.clock
        while not (events := self.next(limit)) and not self.ended and (left := until - clock.now()) > 0:
            clock.sleep(min(interval, left))
        return events

    def refresh(self) -> None:
        """Read the run again, and record that it has a viewer."""
        self.watch = self.backend.runs.get(self.watch.org_id, self.watch.key) or self.watch
        view(self.watch, backend=self.backend)

    def _has_ended(self) -> bool:
        # Until a terminal event has been read, the run has not ended, so the watch need not be read again on each call.
        if not (self._terminal or self.watch.status.terminal):
            return False
        current = self.backend.runs.get(self.watch.org_id, self.watch.key)
        self.watch = current or self.watch
        return current is None or self.settled


def open_reader(
    *,
    org_id: int,
    agent_run_id: int,
    after: str | None,
    caller: Caller,
    may_follow: bool = True,
    views: bool = True,
    backend: Backend,
) -> Reader:
    """Return a reader of a run's events, and record that the run has a viewer.

    A run that is not followed yet is followed from now on, if it exists at the upstream.

    Args:
        org_id: The organization, which the caller is in.
        agent_run_id: The upstream's run id.
        after: The id of the last event that the viewer has seen; None for all events.
        caller: The caller who reads.
        may_follow: Whether a run that is not followed yet may be read from the upstream.
        views: Whether the caller views the run. Otherwise, no viewer is recorded.
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
        watch = follow_run(run, org_id=org_id, caller=caller, backend=backend)
    cursor = parse_cursor(after, watch) if after else START
    if views:
        view(watch, backend=backend)
    return Reader(backend, watch, cursor)


def parse_cursor(text: str, watch: Watch) -> tuple[int, int]:
    """Return a cursor of a run. Raises `InvalidCursor` if the run has no such event."""
    match = _CURSOR.fullmatch(text)
    if not match:
        raise InvalidCursor("The cursor does not have the form epoch-number.")
    cursor = (int(match[1]), int(match[2]))
    if cursor > (watch.epoch, watch.seq) or cursor[1] > watch.seq:
        raise InvalidCursor("The cursor names an event that this run does not have.")
    return cursor
