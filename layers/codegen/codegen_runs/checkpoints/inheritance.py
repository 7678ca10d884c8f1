"""What a new run that starts from a checkpoint takes over from the checkpoint's run."""

from __future__ import annotations

from typing import NamedTuple

from codegen_runs.agents import profiles
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.reading import Found
from codegen_runs.checkpoints.snapshots import pull_requests_then
from codegen_runs.storage.agents import AgentProfile
from codegen_runs.storage.checkpoints import Checkpoint


class Inheritance(NamedTuple):
    """What a new run gets if its request says nothing else, besides what the checkpoint itself has."""

    system_prompt: str | None = None
    """Instructions that replace those of the agent's profile."""
    profile: AgentProfile | None = None
    """The checkpoint's agent, in the version of the checkpoint."""
    warnings: tuple[Warned, ...] = ()


def inheritance(checkpoint: Checkpoint, *, backend: Backend) -> Inheritance:
    """Return what a new run takes over, with a warning if the agent is not known any more."""
    origin = backend.checkpoints.origin(checkpoint.org_id, checkpoint.run)
    system_prompt = origin.system_prompt if origin else None
    if checkpoint.agent is None:
        return Inheritance(system_prompt)
    agent = checkpoint.agent
    try:
        profile = profiles.get(agent.id, org_id=checkpoint.org_id, version=agent.version, backend=backend)
    except profiles.AgentNotFound as error:
        detail = f"The run does not receive the instructions of its agent: {error.detail}"
        return Inheritance(system_prompt, warnings=(Warned(code="agent_unknown", pointer="", detail=detail),))
    return Inheritance(system_prompt, profile)


def goes_on(found: Found) -> list[Warned]:
    """Return a warning if the checkpoint's run is still at work."""
    if found.watch is None or found.watch.status.terminal:
        return []
    detail = f"The checkpoint's run also continues. Its status is {found.watch.shown_status}."
    return [Warned(code="run_goes_on", pointer="", detail=detail)]


def places(checkpoint: Checkpoint, *, backend: Backend) -> list[str]:
    """Return the pull requests that the checkpoint's run had then, as text. Raises `CodegenAPIError`."""
    parent = reading.run_of(checkpoint, backend=backend)
    pull_requests = pull_requests_then(parent, checkpoint) if parent else []
    return [f"{each.url or each.id} (branch {each.branch_name or 'unknown'})" for each in pull_requests]
