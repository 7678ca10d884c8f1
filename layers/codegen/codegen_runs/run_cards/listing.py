"""List runs: the upstream's list, with the data of this deployment and the runs that wait for their launch.

| filter                 | upstream calls                                                                          |
|------------------------|-----------------------------------------------------------------------------------------|
| none, or one source    | one; more if waiting runs make the slice span over 100 upstream runs. In an             |
|                        | organization with multi-runs that are folded: as with any other filter                  |
| any other              | one per 100 runs read, until the slice is full or `MOST_SCANNED` runs were read         |
| a latest creation date | as above, after 1 + log2(upstream pages) calls to find the first page                   |

The tables are read in batches, per slice and per 100 runs read.
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
from codegen_runs.run_cards.record import Entry, Found, Record
from codegen_runs.runs.client_run_ids import client_run_id
from codegen_runs.storage.runs import Watch
from codegen_runs.upstream.unreadable import is_identified

PAGE = 100
"""The most runs that the upstream lists in one response."""

MOST_SCANNED = 1000
"""The most runs that are read for one slice of a filtered list."""


class RunCards(BaseModel):
    """A slice of a list of runs, newest first."""

    items: list[RunCard]
    total: int = Field(
        description="The number of matching runs; unless `total_exact` is true, only of those found so far."
    )
    total_exact: bool = Field(True, description="Whether the list was read to its end, so that `total` is exact.")
    has_more: bool
    truncated: bool = Field(
        False, description=f"Whether the search stopped after {MOST_SCANNED} runs. Older runs may match."
    )


class RunCardPage(RunCards):
    """One page of a list of runs, newest first."""

    page: int
    size: int
    pages: int


class RunCardRange(RunCards):
    """A slice of a list of runs by offset, newest first."""

    limit: int
    offset: int


class Listing:
    """The list of an organization's runs that match a caller's filters.

    Without `children`, each multi-run is one entry, at the place of its newest run that matches. Starred runs are never
    folded: the star belongs to the run.

    Its methods raise `CodegenAPIError` and `StorageUnavailable`.
    """

    def __init__(self, filters: Filters, *, org_id: int, caller: Caller, backend: Backend, children: bool) -> None:
        self._filters = filters
        self._children = children or filters.starred is True
        self._org_id = org_id
        self._backend = backend
        self._record = Record(org_id=org_id, caller=caller, backend=backend)

    def page(self, number: int, size: int) -> RunCardPage:
        """Read one page, counted from 1; a page beyond the end is empty."""
        cards = self._read((number - 1) * size, size)
        return RunCardPage(**dict(cards), page=number, size=size, pages=-(-cards.total // size))

    def range(self, offset: int, limit: int) -> RunCardRange:
        """Read up to `limit` runs after the first `offset` runs."""
        return RunCardRange(**dict(self._read(offset, limit)), limit=limit, offset=offset)

    def _read(self, start: int, count: int) -> RunCards:
        is_plain = not self._filters.scan and (self._children or not self._record.has_multi_runs())
        return self._plain(start, count) if is_plain else self._scan(start, count)

    def _plain(self, start: int, count: int) -> RunCards:
        """Read only the runs that can be in the slice.

        Each waiting run shifts the upstream's runs by at most one place. So the read begins that many places earlier,
        and the slice is cut from the merged list.
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
        slice_ = _merged(runs, waiting)[start - skip :][:count]
        total = answer.total + len(waiting)
        return RunCards(items=self._record.cards(slice_), total=total, has_more=start + count < total)

    def _scan(self, start: int, count: int) -> RunCards:
        """Read runs from the newest on until enough of them match."""
        matching: list[Entry] = []
        shown: set[str] = set()
        full = last = False
        for batch, is_last in self._batches():
            admitted = self._admitted(batch)
            matching += admitted if self._children else self._record.folded(admitted, shown)
            full, last = len(matching) > start + count, is_last
            if full:
                break
        return RunCards(
            items=self._record.cards(matching[start : start + count]),
            total=len(matching),
            total_exact=last,
            has_more=full,
            truncated=not (full or last),
        )

    def _batches(self) -> Iterator[tuple[list[Found], bool]]:
        """Yield parts of the list, newest first, each with whether no run after it can match."""
        waiting = self._record.unlaunched()
        seen: set[int] = set()
        first = self._first_page()
        for number in range(first, first + MOST_SCANNED // PAGE):
            answer = self._page(number * PAGE, PAGE)
            # New runs push others onto the next page.
            runs = [run for run in answer.items if not is_identified(run) or run.id not in seen]
            seen |= {run.id for run in runs}
            waiting = _still_unknown(waiting, runs)
            oldest = answer.items[-1].created_at if answer.items else None
            last = (number + 1) * PAGE >= answer.total or self._filters.past(oldest) or self._has_all_stars(seen)
            due = [watch for watch in waiting if last or (oldest and watch.created_at >= oldest.timestamp() * 1000)]
            waiting = waiting[len(due) :]
            yield _merged(runs, due), last
            if last:
                return

    def _first_page(self) -> int:
        """Return the number of the upstream page with the newest run before `created_before`, by binary search."""
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

    def _admitted(self, entries: Sequence[Found]) -> list[Found]:
        filters, record = self._filters, self._record
        starred = record.starred if filters.starred is not None else frozenset()
        candidates = [entry for entry in entries if isinstance(entry, Watch) or filters.admits(entry, starred)]
        ids = [entry.id for entry in candidates if isinstance(entry, AgentRun)]
        followed = record.watches(ids) if filters.needs_record else {}
        names = record.names() if filters.repo and candidates else {}
        return [
            entry
            for entry in candidates
            if (
                filters.admits_unlaunched(entry, names)
                if isinstance(entry, Watch)
                else filters.admits_record(entry, followed.get(entry.id), names)
            )
        ]

    def _page(self, skip: int, limit: int) -> Page[AgentRun]:
        source_type = self._filters.source_type
        answer = self._backend.codegen.runs.list(
            org_id=self._org_id, source_type=source_type, skip=skip, limit=limit
        ).first
        if answer.known_total is not None:
            return answer
        # Without a total, a full page shows that there may be more.
        found = skip + len(answer.items)
        return answer.model_copy(update={"total": found + 1 if len(answer.items) == limit else found})


def _still_unknown(waiting: Sequence[Watch], runs: Sequence[AgentRun]) -> list[Watch]:
    """Drop the waiting runs that the upstream already lists, because their launch has succeeded meanwhile."""
    launched = {client_run_id(run) for run in runs}
    return [watch for watch in waiting if watch.key not in launched]


def _merged(runs: Sequence[AgentRun], waiting: Sequence[Watch]) -> list[Found]:
    """Merge waiting runs into the upstream's list, newest first; an upstream run without a date keeps its place."""
    merged: list[Found] = []
    left = list(waiting)
    for run in runs:
        while left and run.created_at and left[0].created_at >= run.created_at.timestamp() * 1000:
            merged.append(left.pop(0))
        merged.append(run)
    return merged + left


def _is_newer(run: AgentRun, moment: datetime) -> bool:
    return run.created_at is not None and run.created_at >= moment
