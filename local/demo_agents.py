"""Agents that a new local stack starts with, created over HTTP like any other agent."""

from __future__ import annotations

import httpx

DEMO_AGENTS = (
    {
        "id": "assistant",
        "name": "Assistant",
        "description": "Answers any question.",
        "system_prompt": "You are a helpful assistant. Answer briefly. If you do not know the answer, say so.",
        "tags": ["demo"],
    },
    {
        "id": "customer_support",
        "name": "Customer support",
        "description": "Answers customers' questions about the product.",
        "system_prompt": "You answer customers. Be kind. Never promise a date.",
        "configuration": {"tone": "friendly", "escalate_to": "a human"},
        "tags": ["demo", "production"],
    },
)


def create(api: httpx.Client, org_id: int) -> None:
    """Create the agents that do not exist yet.

    Raises:
        httpx.HTTPError: the API does not respond, or refuses an agent.
    """
    for agent in DEMO_AGENTS:
        answer = api.post(f"/v1/organizations/{org_id}/agents", json=agent)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
