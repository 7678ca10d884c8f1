"""Reading the event log of a run: one reader is one viewer's place in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.cursors import InvalidCursor
from codegen_runs.events import Event, is_terminal
from codegen_runs.problems import Gone, NotFound
from codegen_runs.runs.finding import follow_run
from codegen_runs.runs.following import view
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.storage.runs import Watch

PAGE = 100

START = (0, 0)

# Seconds between two looks for news.
INTERVAL = 1.0

# What follows the tilde is a stream key (see `tickets`), and no part of the place.
_CURSOR = re.compile(r"([0-9]{1,4})-([0-9]{1,10})(?:~[A-Za-z0-9_-]*)?")


class RunNotFollowed(NotFound):
    """Nobody has followed the run, and who asks now cannot ask the Codegen API for it."""

    code = "run_not_followed"
    remedy = "Send a token instead of a ticket."


class CursorExpired(Gone):
    """What followed the cursor is not kept any more."""

    code = "cursor_expired"
    remedy = "Read the run, or start again without a cursor to get the events that are still stored."

    def __init__(self, watch: Watch) -> None:
        run = run_path(watch.org_id, watch.agent_run_id)
        super().__init__("Events after the cursor are no longer stored.", links={"run": run})


@dataclass
class Reader:
    """A place in the event log of one run."""

    backend: Backend
    watch: Watch
    after: tuple[int, int] = START
    """(epoch, seq) of the last event that the viewer has seen."""
    ended: bool = False
    """Whether the viewer has seen all there is, and no more is expected."""
    expired: int = 0
    """How many events were left out at the start, because they are kept no longer."""
    _terminal: bool = False
    """Whether some event that was read ended a turn."""

    @property
    def cursor(self) -> str:
        """The place, as a viewer names it."""
        return "{}-{}".format(*self.after)

    @property
    def behind(self) -> bool:
        """Whether events are known that the viewer has not seen."""
        return self.after < (self.watch.epoch, self.watch.seq)

    @property
    def settled(self) -> bool:
        """Whether the run, as it was last read, has ended and the viewer has seen all of it."""
        return self.watch.status.terminal and not self.behind

    def snapshot(self) -> RunSnapshot:
        """Show the run as it was when it was last read."""
        return run_snapshot(self.watch, now=self.backend.clock.now())

    def next(self, limit: int = PAGE) -> Sequence[Event]:
        """Read the events that follow, at most a page of them; none when there are none yet.

        Sets `ended` when there are none to come either. Raises `CursorExpired` rather than leave events out: a run's
        events are numbered without a gap, so a gap is what is not kept any more. From the start, that is no gap.
        """
        found = self.backend.runs.events(
            self.watch.org_id, self.watch.key, after=self.after, limit=limit, now=self.backend.clock.now()
        )
        following = found[0].seq if found else self.watch.seq + 1
        if (missing := following - self.after[1] - 1) > 0:
            if self.after != START:
                raise CursorExpired(self.watch)
            self.expired = missing
        if not found:
            self.after = max(self.after, (self.watch.epoch, self.watch.seq))
            self.ended = self._over()
            return []
        adjacent = takewhile(lambda pair: pair[1].seq == pair[0].seq + 1, pairwise(found))
        events = [found[0], *(event for _, event in adjacent)]
        self.after = (events[-1].epoch, events[-1].seq)
        self._terminal |= any(is_terminal(event.type) for event in events)
        return events

    def wait(self, until: float, limit: int = PAGE, interval: float = INTERVAL) -> Sequence[Event]:
        """Read the events that follow; where there are none yet, wait for them until the epoch second `until`.

        None come back when the time is over, or nothing is left to wait for. Raises `CursorExpired`.
        """
        clock = self.backend.clock
        while not (events := self.next(limit)) and not self.ended and (left := until - clock.now()) > 0:
            clock.sleep(min(interval, left))
        return events

    def refresh(self) -> None:
        """Read the run again, and say that somebody watches it."""
        self.watch = self.backend.runs.get(self.watch.org_id, self.watch.key) or self.watch
        view(self.watch, backend=self.backend)

    def _over(self) -> bool:
        # A run that has not ended yet is not read again for each look: its terminal event tells.
        if not (self._terminal or self.watch.status.terminal):
            return False
        current = self.backend.runs.get(self.watch.org_id, self.watch.key)
        self.watch = current or self.watch
        return current is None or self.settled


def open_reader(
    *, org_id: int, agent_run_id: int, after: str | None, caller: Caller, ask: bool = True, backend: Backend
) -> Reader:
    """Start to read the events of a run, and report a viewer; a run that nobody followed yet is followed from now on.

    Args:
        org_id: The organization, which the caller is in.
        agent_run_id: The upstream's run id.
        after: The id of the last event that the viewer has seen; None for all events.
        caller: Who reads.
        ask: Whether the caller may ask the upstream for a run that nobody followed yet.
        backend: What to work with.

    Raises:
        InvalidCursor: `after` is no cursor of this run.
        RunNotFollowed: Nobody followed the run yet, and the caller may not ask for it.
        codegen_api.NotFoundError: There is no such run in the organization.
        StorageUnavailable: The runs table does not answer.
    """
    watch = backend.runs.find(org_id, agent_run_id)
    if watch is None:
        if not ask:
            raise RunNotFollowed(f"This deployment does not follow run {agent_run_id}.")
        run = backend.codegen.runs.get(agent_run_id, org_id=org_id)
        watch = follow_run(run, org_id=org_id, caller=caller, backend=backend)
    place = parse_cursor(after, watch) if after else START
    view(watch, backend=backend)
    return Reader(backend, watch, place)


def parse_cursor(cursor: str, watch: Watch) -> tuple[int, int]:
    """Read a cursor of this run. Raises `InvalidCursor` when it names no event that the run has."""
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise InvalidCursor("The cursor does not have the form epoch-number.")
    place = (int(match[1]), int(match[2]))
    if place > (watch.epoch, watch.seq) or place[1] > watch.seq:
        raise InvalidCursor("The cursor names an event that this run does not have.")
    return place


def run_path(org_id: int, agent_run_id: int | None) -> str:
    """Return where a run is read."""
    return f"/v1/organizations/{org_id}/agent/run/{agent_run_id}"
