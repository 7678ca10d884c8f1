"""Whose turn is next: hierarchical start-time fair queueing, by organization and then by caller.

The algorithm is from P. Goyal, H. M. Vin and H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996). A *flow* has a finish
tag, the work that it was served, in virtual time. The start tag of its next run is its finish tag or the virtual time,
whichever is later. The flow with the lowest start tag is served, the virtual time becomes this start tag, and the
flow's finish tag grows by one. So flows that wait are served in turn, and a flow that did not wait saves nothing up.
Between equal tags, the run that has waited longest decides. If several are served at the same time, in any order, the
virtual time is the lowest start tag of those that still wait, so that nobody loses a turn.

There is one such level for the organizations, and one for the callers of each organization.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

# Seconds after its last turn for which the tags of an organization's callers are kept. Later, age alone decides.
KEPT = 3600


class Waiting(Protocol):
    """Something that waits for its turn."""

    @property
    def organization(self) -> str:
        """The name of its organization."""
        ...

    @property
    def caller(self) -> str:
        """The name of its caller within the organization."""
        ...

    @property
    def since(self) -> int:
        """When its wait began, in epoch milliseconds."""
        ...


T = TypeVar("T", bound=Waiting)


class Level(BaseModel):
    """The flows of one level."""

    model_config = ConfigDict(frozen=True)

    time: int = 0
    """The virtual time."""
    finish: dict[str, int] = {}
    """The finish tags that are later than the virtual time."""
    at: int = 0
    """When a flow of this level was last served, in epoch milliseconds."""

    def start(self, flow: str) -> int:
        """Return the start tag of a flow."""
        return max(self.time, self.finish.get(flow, 0))

    def served(self, flow: str, now: int, waiting: Iterable[str] = ()) -> Level:
        """Return the level after a flow was served, before or while others wait."""
        tags = self.finish | {flow: self.start(flow) + 1}
        time = min([self.start(flow), *map(self.start, waiting)])
        return Level(time=time, finish={name: tag for name, tag in tags.items() if tag > time}, at=now)


class Turns(BaseModel):
    """Both levels."""

    model_config = ConfigDict(frozen=True)

    organizations: Level = Level()
    callers: dict[str, Level] = {}
    """The callers of each organization that was served lately, by organization."""

    def order(self, waiting: Iterable[T], most: int | None = None) -> list[T]:
        """Return what waits in the order of the turns, at most `most`. What a caller has waiting stays in its order."""
        line = _Line(self, waiting)
        ordered: list[T] = []
        while (most is None or len(ordered) < most) and (following := line.take()) is not None:
            ordered.append(following)
        return ordered

    def served(self, each: Waiting, now: int, waiting: Sequence[Waiting] = ()) -> Turns:
        """Return the turns after `each` had its own at `now`, in epoch milliseconds.

        `waiting` are others whose turns may be before this one. Without them, `each` is the first of the order.
        """
        colleagues = [other.caller for other in waiting if other.organization == each.organization]
        level = self.callers.get(each.organization, Level()).served(each.caller, now, colleagues)
        kept = {name: other for name, other in self.callers.items() if other.at > now - KEPT * 1000}
        organizations = self.organizations.served(each.organization, now, [other.organization for other in waiting])
        return Turns(organizations=organizations, callers=kept | {each.organization: level})


class _Line(Generic[T]):
    def __init__(self, turns: Turns, waiting: Iterable[T]) -> None:
        self._turns = turns
        self._waiting: dict[str, dict[str, deque[T]]] = defaultdict(lambda: defaultdict(deque))
        for each in waiting:
            self._waiting[each.organization][each.caller].append(each)

    def take(self) -> T | None:
        """Take what is next; None if nothing waits any more."""
        if not self._waiting:
            return None
        organization, callers = min(self._waiting.items(), key=self._by_organization)
        level = self._turns.callers.get(organization, Level())
        caller, runs = min(callers.items(), key=lambda entry: (level.start(entry[0]), entry[1][0].since, entry[0]))
        taken = runs.popleft()
        self._turns = self._turns.served(taken, level.at)
        if not runs:
            del callers[caller]
        if not callers:
            del self._waiting[organization]
        return taken

    def _by_organization(self, entry: tuple[str, dict[str, deque[T]]]) -> tuple[int, int, str]:
        organization, callers = entry
        start = self._turns.organizations.start(organization)
        return start, min(runs[0].since for runs in callers.values()), organization
