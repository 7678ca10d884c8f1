"""Agents to try things with on one machine, created over HTTP as anybody's are."""

from __future__ import annotations

import httpx

DEMO_AGENTS = (
    {
        "id": "assistant",
        "name": "Assistant",
        "description": "Answers whatever it is asked.",
        "system_prompt": "You are a helpful assistant. Answer briefly, and say so when you do not know.",
        "tags": ["demo"],
    },
    {
        "id": "customer_support",
        "name": "Customer support",
        "description": "Helps the people who use the product.",
        "system_prompt": "You answer customers. Be kind, and never promise a date.",
        "configuration": {"tone": "friendly", "escalate_to": "a human"},
        "tags": ["demo", "production"],
    },
)


def create(api: httpx.Client, org_id: int) -> None:
    """Create the agents that are not there yet.

    Raises:
        httpx.HTTPError: the API does not answer, or refuses one.
    """
    for agent in DEMO_AGENTS:
        answer = api.post(f"/v1/organizations/{org_id}/agents", json=agent)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
