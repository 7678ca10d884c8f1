"""What callers say in a chat, and what they are answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictBool, StringConstraints

from codegen_runs.bodies import Body, Warnings
from codegen_runs.chat.outcomes import Metrics
from codegen_runs.statuses import Status

MAX_MESSAGE_CHARACTERS = 60_000


class ChatMessage(Body):
    """A message to an agent."""

    agent_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MESSAGE_CHARACTERS)]
    # Strict, because it decides what kind of answer comes: "no" would be a yes.
    stream: StrictBool = Field(False, description="Whether to answer with server-sent events.")
    session_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="The conversation to go on with; a new one if absent."
    )


class ChatLinks(BaseModel):
    """Where a turn of a chat is followed."""

    run: str
    events: str = Field(description="As JSON, held until there is news.")
    stream: str = Field(description="As server-sent events, in the frames of a chat; good for an EventSource.")


class ChatAnswer(BaseModel):
    """A turn of a chat: the answer, or where to wait for it."""

    response: str | None = Field(
        None, description="The answer; null while there is none, and where there is never one."
    )
    organization_id: int
    run_id: int
    session_id: str = Field(description="Send it with the next message to go on with the conversation.")
    agent_id: str
    agent_version: int
    turn: int = Field(description="Counts the turns of the run.")
    status: Status
    status_reason: str | None = None
    response_truncated: bool = Field(False, description="Whether the answer is only the beginning of a longer one.")
    metrics: Metrics | None = Field(None, description="Null until the turn has ended.")
    cursor: str = Field(description="The place in the run's event log that the turn follows.")
    links: ChatLinks
    warnings: Warnings = Field([])
