"""Chat messages and their answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictBool, StringConstraints

from codegen_runs.bodies import Body, NotBlank, Warnings
from codegen_runs.chat.outcomes import Metrics
from codegen_runs.statuses import Status

MAX_MESSAGE_CHARACTERS = 60_000


class ChatMessage(Body):
    """A message to an agent."""

    agent_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    message: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MESSAGE_CHARACTERS), NotBlank
    ]
    # Strict, because `answering` reads this field from the raw body, where the string "no" would be true.
    stream: StrictBool = Field(False, description="Whether to answer with server-sent events.")
    session_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="The conversation to continue. If absent, a new conversation begins."
    )


class ChatLinks(BaseModel):
    """Where to follow a turn of a chat."""

    run: str
    events: str = Field(description="The events as JSON, by long poll.")
    stream: str = Field(description="The frames of the chat as server-sent events, for an EventSource.")


class ChatAnswer(BaseModel):
    """A turn of a chat: the answer, or where to wait for it."""

    response: str | None = Field(
        None, description="The agent's answer. Null before the turn has ended, and if it ended without an answer."
    )
    organization_id: int
    run_id: int
    session_id: str = Field(description="Send it with the next message to continue the conversation.")
    agent_id: str
    agent_version: int
    turn: int = Field(description="The number of the turn in the run, from 1.")
    status: Status
    status_reason: str | None = None
    response_truncated: bool = Field(False, description="Whether `response` is only the beginning of the answer.")
    metrics: Metrics | None = Field(None, description="Null until the turn has ended.")
    cursor: str = Field(description="The cursor in the run's event log after which the turn begins.")
    links: ChatLinks
    warnings: Warnings = Field([])
