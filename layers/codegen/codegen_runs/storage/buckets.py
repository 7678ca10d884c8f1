"""A token bucket: when its last permits were given, and how many more a window of time has room for."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from codegen_runs.storage.turns import Turns

# Seconds that are added to each window, because a call arrives at the upstream some time after its permit was given.
MARGIN = 2.0


class Limit(BaseModel):
    """The number of calls that are allowed in a window of some seconds."""

    model_config = ConfigDict(frozen=True)

    calls: int
    seconds: float


class Closure(BaseModel):
    """A refusal that concerns one organization, such as a plan whose runs are used up."""

    model_config = ConfigDict(frozen=True)

    until: int
    """When it is over, in epoch milliseconds."""
    reason: str


class Claim(BaseModel):
    """A request that waits for a permit. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    organization: str
    caller: str
    since: int
    until: int
    """When the request gives up; if it has given up, until when its caller may continue the wait by another request."""
    given_up: bool = False


class Bucket(BaseModel):
    """The permits of one limit. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    given: tuple[int, ...] = ()
    """When the permits of the current window were given, oldest first."""
    blocked_until: int = 0
    """Until when the upstream refuses calls, from the Retry-After of its 429."""
    blocked_reason: str | None = None
    closed: dict[str, Closure] = {}
    """The organizations for which the upstream accepts no calls."""
    requested: tuple[int, ...] = ()
    """Those of the permits that requests got; the others are of background work."""
    claims: tuple[Claim, ...] = ()
    """The requests that wait for a permit."""
    request_turns: Turns = Turns()
    """The turns of those who send requests."""
    launch_turns: Turns = Turns()
    """The turns of those whose queued runs are launched."""
    organizations: int = 0
    """How many organizations have queued runs, rounded up to a power of two."""
    queue_waits_until: int = 0
    """Until when the launch queue counts as waiting for permits."""
    rev: int = 0

    def room(self, limit: Limit, now: int, reserve: int = 0) -> int:
        """Return how many permits can be given now if `reserve` of them are left for others."""
        if now < self.blocked_until:
            return 0
        return max(0, limit.calls - reserve - len(self._within(limit, now)))

    def opens_at(self, limit: Limit, now: int, *, ahead: int = 0, reserve: int = 0) -> int:
        """Return when the next permit can be given, after `ahead` others and with `reserve` left for others."""
        return self.openings(limit, now, [ahead], reserve=reserve)[0]

    def openings(self, limit: Limit, now: int, aheads: Sequence[int], *, reserve: int = 0) -> list[int]:
        """Return for each of `aheads` what `opens_at` returns."""
        at, given = max(now, self.blocked_until), list(self._within(limit, now))
        most = max(1, limit.calls - reserve)
        round_trip: list[int] = []
        for _ in range(most):
            if len(given) >= most:
                at = max(at, given[-most] + _window(limit))
            given.append(at)
            round_trip.append(at)
        # From then on, each permit returns a window after the one that was given a round before.
        return [round_trip[ahead % most] + ahead // most * _window(limit) for ahead in aheads]

    def closure(self, organization: str, now: int) -> Closure | None:
        """Return why the upstream accepts no calls for an organization now; None if it does."""
        closure = self.closed.get(organization)
        return closure if closure and closure.until > now else None

    def closing(self, organization: str, closure: Closure, now: int) -> Bucket:
        """Return the bucket with an organization closed."""
        closed = {name: other for name, other in self.closed.items() if other.until > now}
        return self.model_copy(update={"closed": closed | {organization: closure}})

    def waiting(self, now: int) -> list[Claim]:
        """List the requests that wait for a permit."""
        return [claim for claim in self.claims if claim.until > now]

    def reserve(self, limit: Limit, now: int, *, least: int, share: int) -> int:
        """Return how many permits background work leaves for requests: what they have not used yet of their part.

        Their part is `share` while requests wait, and `least` otherwise.
        """
        part = share if self.waiting(now) else least
        return max(0, part - len(self._requested(limit, now)))

    def request_room(self, limit: Limit, now: int, share: int) -> int:
        """Return how many permits requests can get now: at most `share` in a window while the launch queue waits."""
        room = self.room(limit, now)
        if now < self.queue_waits_until:
            room = min(room, share - len(self._requested(limit, now)))
        return max(0, room)

    def request_opens_at(self, limit: Limit, now: int, share: int, *, ahead: int) -> int:
        """Return when a request gets the next permit after `ahead` others."""
        opens_at = self.opens_at(limit, now, ahead=ahead)
        if now < self.queue_waits_until:
            part = Bucket(given=self._requested(limit, now))
            opens_at = max(opens_at, part.opens_at(Limit(calls=share, seconds=limit.seconds), now, ahead=ahead))
        return opens_at

    def wait_of(self, claim: Claim, now: int) -> tuple[Claim, tuple[Claim, ...]]:
        """Return the wait of a request, and those of others.

        A request continues the wait of one that its caller was told to send again.
        """
        waiting = self.waiting(now)
        if stored := next((other for other in waiting if other.id == claim.id), None):
            return stored, tuple(other for other in waiting if other.id != claim.id)
        for before in waiting:
            if before.given_up and (before.organization, before.caller) == (claim.organization, claim.caller):
                others = tuple(other for other in waiting if other.id != before.id)
                return claim.model_copy(update={"since": before.since}), others
        return claim, tuple(waiting)

    def give_request(self, limit: Limit, now: int, claim: Claim, others: tuple[Claim, ...]) -> Bucket:
        """Return the bucket with a permit given to a request now, while others wait."""
        changes = {
            "requested": (*self._requested(limit, now), now),
            "claims": others,
            "request_turns": self.request_turns.served(claim, now, others),
        }
        return self.give(limit, now, 1).model_copy(update=changes)

    def more_at(self, limit: Limit, now: int) -> int:
        """Return when there will be more room than now; `now` if all permits are available."""
        given = self._within(limit, now)
        return max(self.blocked_until, given[0] + _window(limit) if given else now)

    def give(self, limit: Limit, now: int, count: int) -> Bucket:
        """Return the bucket with permits given now."""
        return self.model_copy(update={"given": (*self._within(limit, now), *[now] * count)})

    def _requested(self, limit: Limit, now: int) -> tuple[int, ...]:
        return tuple(at for at in self.requested if at > now - _window(limit))

    def _within(self, limit: Limit, now: int) -> tuple[int, ...]:
        return tuple(at for at in self.given if at > now - _window(limit))


def _window(limit: Limit) -> int:
    return round((limit.seconds + MARGIN) * 1000)
