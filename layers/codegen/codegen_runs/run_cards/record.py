"""The data that this deployment adds to runs: watches, stars and repository names, each read once and in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from codegen_api import AgentRun
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.run_cards import repos
from codegen_runs.run_cards.cards import RunCard, card, unlaunched_card
from codegen_runs.storage.runs import Watch

MOST_UNLAUNCHED = 200
MOST_STARS = 1000

Entry = AgentRun | Watch
"""A run that the upstream lists, or the watch of a run that it does not know yet."""


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
        watches = [entry if isinstance(entry, Watch) else followed[entry.id] for entry in entries]
        names: Mapping[int, str] = {}
        if any(watch and watch.repo_id is not None for watch in watches):
            names = repos.names_if_available(org_id=self._org_id, caller=self._caller, backend=self._backend)
        now = self._backend.clock.now()
        return [
            unlaunched_card(entry, repos=names, now=now)
            if isinstance(entry, Watch)
            else card(entry, watch, star=stars.get(entry.id), repos=names, now=now)
            for entry, watch in zip(entries, watches, strict=True)
        ]
