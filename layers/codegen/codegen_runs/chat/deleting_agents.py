"""Deleting agents that have no chat message to answer."""

from __future__ import annotations

from codegen_runs.agents import profiles
from codegen_runs.backend import Backend
from codegen_runs.chat import sessions
from codegen_runs.problems import Conflict


class AgentInUse(Conflict):
    """The agent is answering a chat message."""

    code = "agent_in_use"
    remedy = "Wait for the answer in the chat, or cancel the run of the chat."


def delete(agent_id: str, *, org_id: int, backend: Backend) -> None:
    """Delete an agent that has no chat message to answer.

    Its runs continue, and its versions stay readable for them. Raises `AgentNotFound`, `AgentInUse`, `AgentChanged`,
    `StorageUnavailable`.
    """
    if session := sessions.at_work(org_id, agent_id, backend=backend):
        raise AgentInUse(
            f"The agent has a message to answer in the session {session.id}.",
            session_id=session.id,
            run_id=session.agent_run_id,
        )
    profiles.delete(agent_id, org_id=org_id, backend=backend)
