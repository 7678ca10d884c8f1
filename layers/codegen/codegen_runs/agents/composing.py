"""Composing the prompt of a task. The upstream takes only a prompt, so it contains everything from the profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from codegen_runs.prompts import Source
from codegen_runs.storage.agents import AgentProfile


def compose(prompt: str, *, system_prompt: str | None = None, configuration: Mapping[str, Any] | None = None) -> str:
    """Return the prompt after the instructions and the configuration; unchanged if there are none."""
    parts = []
    if system_prompt and system_prompt.strip():
        parts.append(f"# Instructions\n\n{system_prompt.strip()}")
    if configuration:
        parts.append(f"# Configuration\n\n```json\n{json.dumps(configuration, indent=2, ensure_ascii=False)}\n```")
    return "\n\n".join([*parts, f"# Task\n\n{prompt}"]) if parts else prompt


def named(profile: AgentProfile) -> Source:
    """Return the agent's id and version, for a run's metadata and the record of its prompts."""
    return {"agent_id": profile.id, "agent_version": profile.version}
