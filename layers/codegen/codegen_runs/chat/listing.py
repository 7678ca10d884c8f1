"""The list of a caller's conversations. Each is a session; its title and status come from its run."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from codegen_runs import cursors
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.sessions import ChatSession, Place

MAX_TITLE_CHARACTERS = 100


class ChatSessionSummary(BaseModel):
    """A conversation with an agent."""

    session_id: str = Field(description="Send it with the next message to continue the conversation.")
    agent_id: str
    agent_version: int = Field(description="The version that the agent had when the conversation began.")
    run_id: int | None = Field(description="The run of the conversation. Null until Codegen has the first message.")
    title: str | None = Field(
        description="The beginning of the first message in one line, at most 100 characters. Null if it is not stored."
    )
    status: Status | None = Field(description="The status of the run. Null if the deployment does not follow it.")
    created_at: datetime
    updated_at: datetime = Field(description="When the last message was sent.")


def newest(
    org_id: int, *, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[ChatSessionSummary]:
    """List the caller's sessions, latest message first. Raises `InvalidCursor`, `StorageUnavailable`.

    A session whose message was sent a moment ago may be missing, because an index is read.
    """
    listing = cursors.Listing.of(caller, "chat-sessions", org_id)
    after = listing.position(cursor, Place.model_validate_json) if cursor else None
    sessions, last = backend.sessions.of_caller(org_id, caller.id, limit=limit, after=after)
    ids = [session.agent_run_id for session in sessions if session.agent_run_id is not None]
    watches = backend.runs.find_many(org_id, ids)
    items = [_summary(session, watches.get(session.agent_run_id or 0)) for session in sessions]
    return listing.page(items, last.model_dump_json() if last else None)


def _summary(session: ChatSession, watch: Watch | None) -> ChatSessionSummary:
    return ChatSessionSummary(
        session_id=session.id,
        agent_id=session.agent_id,
        agent_version=session.agent_version,
        run_id=session.agent_run_id,
        title=_title(watch.prompt) if watch and watch.prompt else None,
        status=watch.shown_status if watch else None,
        created_at=_time(session.created_at),
        updated_at=_time(session.updated_at),
    )


def _title(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= MAX_TITLE_CHARACTERS else line[: MAX_TITLE_CHARACTERS - 1] + "…"


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
