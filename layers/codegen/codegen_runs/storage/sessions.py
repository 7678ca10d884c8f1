"""The sessions table: one item per conversation, under its organization.

| pk            | sk               | item                |
|---------------|------------------|---------------------|
| `org#{org}`   | `session#{id}`   | the `ChatSession`   |

A request that sends a message holds the claim of the session until the message is sent. After that, the status of the
run shows whether the agent works. The indexes `agent` and `caller` have the sessions of an agent, and those that a
caller began, by the time of their last message. A session that was stored before the index `caller` existed is in it
from its next message on. DynamoDB deletes a session some time after `expires_at` (epoch seconds).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from codegen_runs.storage.table import ABSENT, Condition, Item, Table


class ChatSession(BaseModel):
    """A conversation with an agent. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    agent_id: str
    agent_version: int
    """The version that the agent had when the conversation began."""
    agent_run_id: int | None = None
    """The run of the conversation; None until the first message has reached the upstream."""
    created_at: int
    created_by: str
    updated_at: int
    """When the last message was sent."""
    claim: str | None = None
    """Identifies the request that is sending a message; None if there is none."""
    claimed_until: int = 0


class Place(BaseModel):
    """The place of a session among those of its caller."""

    id: str
    updated_at: int


class SessionsTable:
    """Sessions by organization. Every method may raise `StorageUnavailable`.

    Args:
        name: The name of the table.
        retention: How many seconds a session is stored after its last message.
    """

    def __init__(self, name: str, *, retention: int) -> None:
        self._table = Table(name)
        self._retention = retention

    def add(self, org_id: int, session: ChatSession) -> None:
        """Store a new session. Raises `ConditionFailed` if the id exists already."""
        item = _key(org_id, session.id) | session.model_dump(exclude_none=True)
        item |= {
            "agent": f"{org_id}#{session.agent_id}",
            "caller": _of_caller(org_id, session.created_by),
            "expires_at": self._expiry(session.updated_at),
        }
        self._table.put(item, ABSENT)

    def get(self, org_id: int, session_id: str) -> ChatSession | None:
        """Read a session."""
        item = self._table.get(_key(org_id, session_id))
        return ChatSession.model_validate(item) if item else None

    def claim(self, org_id: int, session: ChatSession, claim: str, *, now: int, until: int) -> ChatSession:
        """Claim a session whose claim is free or has expired. Raises `ConditionFailed` if it is neither."""
        changes = {
            "claim": claim,
            "claimed_until": until,
            "updated_at": now,
            "expires_at": self._expiry(now),
            "caller": _of_caller(org_id, session.created_by),
        }
        free = Condition(
            "attribute_exists(#pk) AND (attribute_not_exists(#claim) OR #claimed_until < :now)", {"now": now}
        )
        return ChatSession.model_validate(self._table.update(_key(org_id, session.id), changes, free))

    def release(self, org_id: int, session_id: str, claim: str, *, agent_run_id: int | None) -> None:
        """Release a claim and store the run of the session. Raises `ConditionFailed` if another request holds it."""
        changes = {"claim": None, "claimed_until": None, "agent_run_id": agent_run_id}
        self._table.update(_key(org_id, session_id), changes, Condition("#claim = :claim", {"claim": claim}))

    def remove(self, org_id: int, session_id: str) -> None:
        """Remove a session."""
        self._table.delete(_key(org_id, session_id))

    def of_agent(self, org_id: int, agent_id: str, *, since: int, limit: int) -> list[ChatSession]:
        """List an agent's sessions with a message since a time, newest first. The index may lag a moment behind."""
        condition = Condition(
            "#agent = :agent AND #updated_at >= :since", {"agent": f"{org_id}#{agent_id}", "since": since}
        )
        items, _ = self._table.query(condition, index="agent", limit=limit, newest_first=True)
        return [ChatSession.model_validate(item) for item in items]

    def of_caller(
        self, org_id: int, caller_id: str, *, limit: int, after: Place | None = None
    ) -> tuple[list[ChatSession], Place | None]:
        """List the sessions that a caller began, latest message first, and the last one's place if there are more.

        The index may lag a moment behind.
        """
        caller = _of_caller(org_id, caller_id)
        start: Item | None = None
        if after:
            start = _key(org_id, after.id) | {"caller": caller, "updated_at": after.updated_at}
        condition = Condition("#caller = :caller", {"caller": caller})
        items, following = self._table.query(condition, index="caller", limit=limit, newest_first=True, start=start)
        sessions = [ChatSession.model_validate(item) for item in items]
        last = Place(id=sessions[-1].id, updated_at=sessions[-1].updated_at) if following else None
        return sessions, last

    def _expiry(self, now: int) -> int:
        return now // 1000 + self._retention


def _of_caller(org_id: int, caller_id: str) -> str:
    return f"{org_id}#{caller_id}"


def _key(org_id: int, session_id: str) -> Item:
    return {"pk": f"org#{org_id}", "sk": f"session#{session_id}"}
