"""One viewer of one run: from where she reads on, and what comes next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from codegen_api import CodegenAPI
from codegen_runs import watches
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock
from codegen_runs.cursors import InvalidCursor
from codegen_runs.events import Event, is_terminal
from codegen_runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.storage.runs import RunsTable, Watch

PAGE = 100

START = (0, 0)

_CURSOR = re.compile(r"(\d{1,4})-(\d{1,10})")


@dataclass
class Subscription:
    """A place in the event log of one run."""

    runs: RunsTable
    watch: Watch
    after: tuple[int, int] = START
    """(epoch, seq) of the last event that the viewer has seen."""
    ended: bool = False
    """Whether the last event that was read ended the run."""

    def snapshot(self) -> RunSnapshot:
        """Show the run as it is now."""
        return run_snapshot(self.watch)

    def next(self) -> Sequence[Event]:
        """Read the events that follow, at most a page of them; none when there are none yet."""
        events = self.runs.events(self.watch.org_id, self.watch.key, after=self.after, limit=PAGE)
        if events:
            last = events[-1]
            self.after, self.ended = (last.epoch, last.seq), is_terminal(last.type)
        return events

    def over(self) -> bool:
        """Tell whether the viewer has seen all there is, and no more is expected."""
        current = self.runs.get(self.watch.org_id, self.watch.key)
        return current is None or (current.status.terminal and self.after >= (current.epoch, current.seq))


def subscribe(
    *,
    org_id: int,
    agent_run_id: int,
    after: str | None,
    caller: Caller,
    codegen: CodegenAPI,
    clock: Clock | None = None,
) -> Subscription:
    """Start to watch a run; one that nobody followed yet is followed from now on.

    Raises `InvalidCursor`, `codegen_api.NotFoundError`, `StorageUnavailable`.
    """
    runs = watches.table()
    watch = runs.find(org_id, agent_run_id)
    if watch is None:
        run = codegen.runs.get(agent_run_id, org_id=org_id)
        watch = watches.follow(
            org_id=org_id,
            agent_run_id=run.id,
            status=run.status,
            web_url=run.web_url,
            created_by=caller.id,
            clock=clock,
        )
    return Subscription(runs, watch, parse_cursor(after, watch) if after else START)


def parse_cursor(cursor: str, watch: Watch) -> tuple[int, int]:
    """Read a cursor of this run. Raises `InvalidCursor` when it names no event that the run has."""
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise InvalidCursor("The cursor is not of the form epoch-number.")
    place = (int(match[1]), int(match[2]))
    if place > (watch.epoch, watch.seq):
        raise InvalidCursor("The cursor names an event that this run does not have.")
    return place
