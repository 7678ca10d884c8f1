"""What an agent is told: the Codegen API knows one prompt, so everything that a profile says goes into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from codegen_runs.prompts import Source
from codegen_runs.storage.agents import AgentProfile


def compose(prompt: str, *, system_prompt: str | None = None, configuration: Mapping[str, Any] | None = None) -> str:
    """Return the prompt with what an agent is told before it; unchanged where that is nothing."""
    parts = []
    if system_prompt and system_prompt.strip():
        parts.append(f"# Instructions\n\n{system_prompt.strip()}")
    if configuration:
        parts.append(f"# Configuration\n\n```json\n{json.dumps(configuration, indent=2, ensure_ascii=False)}\n```")
    return "\n\n".join([*parts, f"# Task\n\n{prompt}"]) if parts else prompt


def named(profile: AgentProfile) -> Source:
    """Name the agent and its version, for a run's metadata and the record of its prompts."""
    return {"agent_id": profile.id, "agent_version": profile.version}
