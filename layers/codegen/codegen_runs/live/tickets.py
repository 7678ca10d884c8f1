"""Tickets, with which a browser opens a stream or a WebSocket: its `EventSource` and `WebSocket` cannot send a token.

A ticket opens one connection, within a minute, to the one run or multi-run that it was issued for. Redeeming a ticket
deletes it, so it admits only the first of two requests, and a ticket in a browser's history or in a log is useless.

An `EventSource` reconnects to the same URL, with its used ticket. It is admitted again by the *stream key*: a secret in
the event ids of the first connection, which the `EventSource` sends back in `Last-Event-ID`.

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
from codegen_runs.problems import TicketForAnother, Unauthorized
from codegen_runs.storage.table import Condition, ConditionFailed

TICKET_SECONDS = 60

# Seconds for which a stream that a ticket opened can be resumed. After that the page needs another ticket, so a viewer
# who lost access gets no events after an hour.
STREAM_SECONDS = 3600

_BYTES = 32


class TicketRefused(Unauthorized):
    """The ticket is unknown, was used, or has expired."""

    code = "ticket_refused"
    remedy = "Get another ticket with POST /v1/stream-tickets."


@dataclass(frozen=True)
class Subject:
    """The run or the multi-run, of an organization, that a ticket is for."""

    org_id: int
    agent_run_id: int | None = None
    multi_run_id: str | None = None

    @property
    def name(self) -> str:
        """The subject as text, for storing and comparing."""
        return f"run:{self.agent_run_id}" if self.agent_run_id is not None else f"multi_run:{self.multi_run_id}"

    @classmethod
    def named(cls, org_id: int, name: str) -> Subject:
        """Return the subject with this `name`."""
        kind, _, id_ = name.partition(":")
        return cls(org_id, agent_run_id=int(id_)) if kind == "run" else cls(org_id, multi_run_id=id_)


@dataclass(frozen=True)
class Admission:
    """A caller and the subject that they may watch. The caller has only this organization, and no token."""

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
        return self._store("ticket", admission, TICKET_SECONDS)

    def redeem(self, ticket: str, subject: Subject | None = None) -> Admission:
        """Use up a ticket, and return whom it admits to which subject.

        Args:
            ticket: The ticket.
            subject: The subject of the request; None for the subject that the ticket was issued for.

        Raises:
            TicketRefused: The ticket is unknown, was used, or has expired.
            TicketForAnother: The ticket was issued for another subject.
        """
        key, now = _key("ticket", ticket), int(self._clock.now())
        valid = Condition("#expires_at > :now", {"now": now})
        if subject:
            valid = Condition(
                f"{valid.expression} AND #org_id = :org_id AND #subject = :subject",
                {**valid.values, "org_id": subject.org_id, "subject": subject.name},
            )
        try:
            return _admission(self._table.take(key, valid))
        except ConditionFailed:
            item = self._table.get(key) if subject else None
        if item and item["expires_at"] > now:
            raise TicketForAnother("The ticket was issued for another run.")
        raise TicketRefused("The ticket has already been used, or it has expired.")

    def open_stream(self, admission: Admission) -> str:
        """Return the key with which the stream that a ticket opened can be resumed."""
        return self._store("stream", admission, STREAM_SECONDS)[0]

    def resume(self, stream_key: str, subject: Subject) -> Admission:
        """Return whom a stream key admits. Raises `TicketRefused` if the subject has no open stream with this key."""
        item = self._table.get(_key("stream", stream_key))
        # DynamoDB deletes expired items within days, not at once.
        if item is None or item["expires_at"] <= self._clock.now() or _admission(item).subject != subject:
            raise TicketRefused("The stream cannot be resumed: it has expired, or it was never opened.")
        return _admission(item)

    def _store(self, kind: str, admission: Admission, seconds: int) -> tuple[str, int]:
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
    # Only the hash is stored, so a reader of the table learns no valid ticket.
    return {"pk": f"{kind}#{sha256(secret.encode()).hexdigest()}"}


def _admission(item: Mapping[str, Any]) -> Admission:
    return Admission(Caller.from_context(item, token=""), Subject.named(item["org_id"], item["subject"]))
