"""The data that this deployment adds to runs: watches, stars and repository names, each read once and in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from codegen_api import AgentRun
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.run_cards import repos
from codegen_runs.run_cards.cards import RunCard, card, multi_run_card, unlaunched_card
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.starred import Star

MOST_UNLAUNCHED = 200
MOST_STARS = 1000

Found = AgentRun | Watch
"""A run that the upstream lists, or the watch of a run that it does not know yet."""

Entry = Found | MultiRun
"""A run, or a multi-run in place of its runs."""


class Record:
    """The watches, stars and repository names of an organization's runs, as one caller sees them.

    Every method may raise `StorageUnavailable`.
    """

    def __init__(self, *, org_id: int, caller: Caller, backend: Backend) -> None:
        self._org_id = org_id
        self._caller = caller
        self._backend = backend
        self._watches: dict[int, Watch | None] = {}

    def unlaunched(self) -> list[Watch]:
        """Read the runs that the upstream does not know yet, newest first."""
        return self._backend.runs.unlaunched(self._org_id, MOST_UNLAUNCHED)

    def watches(self, ids: Sequence[int]) -> Mapping[int, Watch | None]:
        """Read the watches of upstream runs, by id; None for a run that is not followed."""
        if unread := [run_id for run_id in ids if run_id not in self._watches]:
            self._watches |= dict.fromkeys(unread) | self._backend.runs.find_many(self._org_id, unread)
        return self._watches

    @cached_property
    def starred(self) -> frozenset[int]:
        """The ids of the `MOST_STARS` runs that the caller has starred last."""
        stars, _ = self._backend.stars.newest(self._org_id, self._caller.id, MOST_STARS, None)
        return frozenset(star.agent_run_id for star in stars)

    def names(self) -> Mapping[int, str]:
        """Return repository names, `owner/name`, by id. Raises `CodegenAPIError`."""
        return repos.names(org_id=self._org_id, caller=self._caller, backend=self._backend)

    def cards(self, entries: Sequence[Entry]) -> list[RunCard]:
        """Return the cards of some runs."""
        ids = [entry.id for entry in entries if isinstance(entry, AgentRun)]
        followed = self.watches(ids)
        stars = self._backend.stars.get_many(self._org_id, self._caller.id, ids) if ids else {}
        watches = [followed[entry.id] if isinstance(entry, AgentRun) else entry for entry in entries]
        names: Mapping[int, str] = {}
        if any(watch and watch.repo_id is not None for watch in watches):
            names = repos.names_if_available(org_id=self._org_id, caller=self._caller, backend=self._backend)
        now = self._backend.clock.now()
        return [self._card(entry, stars, names, now) for entry in entries]

    def _card(self, entry: Entry, stars: Mapping[int, Star], names: Mapping[int, str], now: float) -> RunCard:
        if isinstance(entry, MultiRun):
            return multi_run_card(entry, repos=names)
        if isinstance(entry, Watch):
            return unlaunched_card(entry, repos=names, now=now)
        return card(entry, self._watches[entry.id], star=stars.get(entry.id), repos=names, now=now)

    def has_multi_runs(self) -> bool:
        """Return whether the organization has started a multi-run."""
        return bool(self._backend.multi_runs.newest(self._org_id, 1)[0])

    def folded(self, entries: Sequence[Found], shown: set[str]) -> list[Entry]:
        """Replace the runs of each multi-run by the multi-run, at the place of the first one.

        Multi-runs in `shown` are left out, and those that are found are added to it. The metadata of a run says which
        multi-run it belongs to, but a caller can write that too. So its watch decides.
        """
        marked = [each.id for each in entries if isinstance(each, AgentRun) and "multi_run_id" in (each.metadata or {})]
        followed = self.watches(marked)
        watches = [each if isinstance(each, Watch) else followed.get(each.id) for each in entries]
        ids = [watch.multi_run_id if watch else None for watch in watches]
        wanted = sorted({each for each in ids if each is not None})
        multi_runs = self._backend.multi_runs.get_many(self._org_id, wanted) if wanted else {}
        left: list[Entry] = []
        for entry, multi_run_id in zip(entries, ids, strict=True):
            multi_run = multi_runs.get(multi_run_id or "")
            if multi_run is None:
                left.append(entry)
            elif multi_run.id not in shown:
                shown.add(multi_run.id)
                left.append(multi_run)
        return left
