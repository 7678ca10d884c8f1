"""Tickets: how a browser is let in to watch, whose `EventSource` and `WebSocket` cannot send a token.

A ticket opens one connection, within a minute, to the one run or multi-run that it was issued for. It is redeemed by
deleting it, so of two who show the same one only the first is let in; a ticket in a history or a log opens nothing.

An `EventSource` comes back to the URL it was given, with its used ticket. What lets it in again is the *stream key*: a
secret that only the first connection was told, inside the ids of its events, and that returns in `Last-Event-ID`.

| pk             | attributes                                                                                     |
|----------------|------------------------------------------------------------------------------------------------|
| `ticket#{sha}` | `org_id`, `subject`, the caller's context as `Caller.to_context` writes it, `expires_at` (seconds) |
| `stream#{sha}` | the same                                                                                       |
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.problems import Forbidden, Unauthorized
from codegen_runs.storage.table import Condition, ConditionFailed

TICKET_SECONDS = 60

# How long a stream that a ticket opened can be resumed. After that, the page asks for another ticket; so whoever lost
# access stops seeing events within the hour.
STREAM_SECONDS = 3600

_BYTES = 32


class TicketRefused(Unauthorized):
    """The ticket was used, has expired, or never was one."""

    code = "ticket_refused"
    remedy = "Get another ticket with POST /v1/stream-tickets."


class TicketForAnother(Forbidden):
    """The ticket is good, but not for this. It stays good for what it was issued for."""

    code = "ticket_for_another"
    remedy = "Use the ticket for the run that it was issued for, or get another ticket."


@dataclass(frozen=True)
class Subject:
    """What may be watched: a run or a multi-run of an organization."""

    org_id: int
    agent_run_id: int | None = None
    multi_run_id: str | None = None

    @property
    def name(self) -> str:
        """The subject in one word, for keys and comparisons."""
        return f"run:{self.agent_run_id}" if self.agent_run_id is not None else f"multi_run:{self.multi_run_id}"

    @classmethod
    def named(cls, org_id: int, name: str) -> Subject:
        """Read what `name` wrote."""
        kind, _, id_ = name.partition(":")
        return cls(org_id, agent_run_id=int(id_)) if kind == "run" else cls(org_id, multi_run_id=id_)


@dataclass(frozen=True)
class Admission:
    """Who may watch what. The caller is in the one organization and brings no token."""

    caller: Caller
    subject: Subject


class Tickets:
    """Issue and redeem tickets. Every method may raise `StorageUnavailable`.

    Args:
        backend: What to work with; tickets are in its callers table.
    """

    def __init__(self, backend: Backend) -> None:
        self._table = backend.callers
        self._clock = backend.clock

    def issue(self, caller: Caller, subject: Subject) -> tuple[str, int]:
        """Return a ticket for a caller who may watch the subject, and the epoch second it expires at."""
        admission = Admission(replace(caller, organizations=frozenset({subject.org_id}), token=""), subject)
        return self._keep("ticket", admission, TICKET_SECONDS)

    def redeem(self, ticket: str, subject: Subject | None = None) -> Admission:
        """Take a ticket and tell who is let in, to watch what. Nobody can redeem it again.

        Args:
            ticket: The ticket.
            subject: What the request is about; None admits to whatever the ticket was issued for.

        Raises:
            TicketRefused: It was used, has expired, or never was one.
            TicketForAnother: It is good for another subject.
        """
        key, now = _key("ticket", ticket), int(self._clock.now())
        good = Condition("#expires_at > :now", {"now": now})
        if subject:
            good = Condition(
                f"{good.expression} AND #org_id = :org_id AND #subject = :subject",
                {**good.values, "org_id": subject.org_id, "subject": subject.name},
            )
        try:
            return _admission(self._table.take(key, good))
        except ConditionFailed:
            item = self._table.get(key) if subject else None
        if item and item["expires_at"] > now:
            raise TicketForAnother("The ticket was issued for another run.")
        raise TicketRefused("The ticket has already been used, or it has expired.")

    def open_stream(self, admission: Admission) -> str:
        """Return the key with which the stream that a ticket opened can be resumed."""
        return self._keep("stream", admission, STREAM_SECONDS)[0]

    def resume(self, stream_key: str, subject: Subject) -> Admission:
        """Tell who comes back to a stream. Raises `TicketRefused` where there is none with this key and subject."""
        item = self._table.get(_key("stream", stream_key))
        # DynamoDB deletes what has expired within days, not at once.
        if item is None or item["expires_at"] <= self._clock.now() or _admission(item).subject != subject:
            raise TicketRefused("The stream cannot be resumed: it has expired, or it was never opened.")
        return _admission(item)

    def _keep(self, kind: str, admission: Admission, seconds: int) -> tuple[str, int]:
        secret, expires_at = secrets.token_urlsafe(_BYTES), int(self._clock.now()) + seconds
        self._table.put(
            {
                **_key(kind, secret),
                **admission.caller.to_context(),
                "org_id": admission.subject.org_id,
                "subject": admission.subject.name,
                "expires_at": expires_at,
            }
        )
        return secret, expires_at


def _key(kind: str, secret: str) -> dict[str, str]:
    # By its hash: who reads the table learns nothing that would let them in.
    return {"pk": f"{kind}#{sha256(secret.encode()).hexdigest()}"}


def _admission(item: Mapping[str, Any]) -> Admission:
    return Admission(Caller.from_context(item, token=""), Subject.named(item["org_id"], item["subject"]))
