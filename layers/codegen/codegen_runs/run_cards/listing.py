"""Listing runs: the upstream's list is the base, what is known here enriches it, and what waits here is added to it.

| asked for                         | upstream calls                                                              |
|-----------------------------------|-----------------------------------------------------------------------------|
| all runs, or those of one source  | one; more where runs that wait for their launch push the stretch over 100    |
| what other filters let through    | one per 100 runs looked at, until the stretch is full; `MOST_SCANNED` at most |
| runs before a date                | the same, after 1 + log2(hundreds of runs) calls to find the first of them    |

The tables are read in batches, per stretch and per 100 runs looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from codegen_api import AgentRun, Page
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.run_cards.cards import RunCard
from codegen_runs.run_cards.filters import Filters
from codegen_runs.run_cards.record import Entry, Record
from codegen_runs.runs.client_run_ids import client_run_id
from codegen_runs.storage.runs import Watch

PAGE = 100
"""The most runs that the upstream lists in one answer."""

MOST_SCANNED = 1000
"""Runs that are looked at for one stretch of a filtered list."""


class RunCards(BaseModel):
    """A stretch of a list of runs, newest first."""

    items: list[RunCard]
    total: int = Field(description="How many there are; only how many were found, unless `total_exact`.")
    total_exact: bool = Field(True, description="False where nobody looked on to the end of the list.")
    has_more: bool
    truncated: bool = Field(False, description=f"Whether the filter gave up, having looked at {MOST_SCANNED} runs.")


class RunCardPage(RunCards):
    """One page of a list of runs, newest first."""

    page: int
    size: int
    pages: int


class RunCardRange(RunCards):
    """Some of a list of runs, newest first."""

    limit: int
    offset: int


class Listing:
    """The list of an organization's runs that one caller asks for.

    Its methods raise `CodegenAPIError` and `StorageUnavailable`.
    """

    def __init__(self, filters: Filters, *, org_id: int, caller: Caller, backend: Backend) -> None:
        self._filters = filters
        self._org_id = org_id
        self._backend = backend
        self._record = Record(org_id=org_id, caller=caller, backend=backend)

    def page(self, number: int, size: int) -> RunCardPage:
        """Read one page, counted from 1; one beyond the end is empty."""
        found = self._read((number - 1) * size, size)
        return RunCardPage(**dict(found), page=number, size=size, pages=-(-found.total // size))

    def range(self, offset: int, limit: int) -> RunCardRange:
        """Read what comes after the first `offset` runs."""
        return RunCardRange(**dict(self._read(offset, limit)), limit=limit, offset=offset)

    def _read(self, start: int, count: int) -> RunCards:
        return self._scan(start, count) if self._filters.scan else self._plain(start, count)

    def _plain(self, start: int, count: int) -> RunCards:
        """Read just the runs that can be in the stretch.

        Each of those that wait pushes the upstream's back by one at most. So what begins so many places earlier, merged
        with them, has the stretch so many places in.
        """
        waiting = self._record.unlaunched() if self._filters.admits_source("API") else []
        skip = max(0, start - len(waiting))
        runs: list[AgentRun] = []
        while True:
            answer = self._page(skip + len(runs), min(PAGE, start + count - skip - len(runs)))
            runs += answer.items
            if not answer.items or len(runs) >= min(start + count, answer.total) - skip:
                break
        waiting = _still_unknown(waiting, runs)
        stretch = _merged(runs, waiting)[start - skip :][:count]
        total = answer.total + len(waiting)
        return RunCards(items=self._record.cards(stretch), total=total, has_more=start + count < total)

    def _scan(self, start: int, count: int) -> RunCards:
        found: list[Entry] = []
        full = last = False
        for batch, ends in self._batches():
            found += self._admitted(batch)
            full, last = len(found) > start + count, ends
            if full:
                break
        return RunCards(
            items=self._record.cards(found[start : start + count]),
            total=len(found),
            total_exact=last,
            has_more=full,
            truncated=not (full or last),
        )

    def _batches(self) -> Iterator[tuple[list[Entry], bool]]:
        """Yield stretches of the list, newest first, and whether nothing that is asked for comes after each."""
        waiting = self._record.unlaunched()
        seen: set[int] = set()
        first = self._first_page()
        for number in range(first, first + MOST_SCANNED // PAGE):
            answer = self._page(number * PAGE, PAGE)
            runs = [run for run in answer.items if run.id not in seen]  # new runs push others onto the next page
            seen |= {run.id for run in runs}
            waiting = _still_unknown(waiting, runs)
            oldest = answer.items[-1].created if answer.items else None
            last = (number + 1) * PAGE >= answer.total or self._filters.past(oldest) or self._has_all_stars(seen)
            due = [watch for watch in waiting if last or (oldest and watch.created_at >= oldest.timestamp() * 1000)]
            waiting = waiting[len(due) :]
            yield _merged(runs, due), last
            if last:
                return

    def _first_page(self) -> int:
        """Find the page of the upstream that has the newest run before the moment asked for."""
        before = self._filters.created_before
        if before is None:
            return 0
        low, high = 0, max(0, self._page(0, 1).total - 1) // PAGE
        while low < high:
            middle = (low + high + 1) // 2
            items = self._page(middle * PAGE, 1).items
            if items and _is_newer(items[0], before):
                low = middle
            else:
                high = middle - 1
        return low

    def _has_all_stars(self, seen: set[int]) -> bool:
        return self._filters.starred is True and self._record.starred <= seen

    def _admitted(self, entries: Sequence[Entry]) -> list[Entry]:
        filters, record = self._filters, self._record
        starred = record.starred if filters.starred is not None else frozenset()
        in_question = [entry for entry in entries if isinstance(entry, Watch) or filters.admits(entry, starred)]
        ids = [entry.id for entry in in_question if isinstance(entry, AgentRun)]
        followed = record.watches(ids) if filters.needs_record else {}
        names = record.names() if filters.repo and in_question else {}
        return [
            entry
            for entry in in_question
            if (
                filters.admits_unlaunched(entry, names)
                if isinstance(entry, Watch)
                else filters.admits_record(entry, followed.get(entry.id), names)
            )
        ]

    def _page(self, skip: int, limit: int) -> Page[AgentRun]:
        source_type = self._filters.source_type
        return self._backend.codegen.runs.list(org_id=self._org_id, source_type=source_type, skip=skip, limit=limit)


def _still_unknown(waiting: Sequence[Watch], runs: Sequence[AgentRun]) -> list[Watch]:
    """Leave out those whose launch the upstream has just taken, and whose id is on its way to us."""
    taken = {client_run_id(run) for run in runs}
    return [watch for watch in waiting if watch.key not in taken]


def _merged(runs: Sequence[AgentRun], waiting: Sequence[Watch]) -> list[Entry]:
    """Put runs into the upstream's order, newest first; one without a date stays where it is."""
    merged: list[Entry] = []
    left = list(waiting)
    for run in runs:
        while left and run.created and left[0].created_at >= run.created.timestamp() * 1000:
            merged.append(left.pop(0))
        merged.append(run)
    return merged + left


def _is_newer(run: AgentRun, moment: datetime) -> bool:
    return run.created is not None and run.created >= moment
