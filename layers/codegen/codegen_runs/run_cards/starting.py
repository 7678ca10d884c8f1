"""Starting and continuing runs, answered with their cards; mode and query may stand in the path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import Field

from codegen_api import AgentRun
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.problems import StorageUnavailable, Unprocessable
from codegen_runs.run_cards.cards import RunCard, card
from codegen_runs.run_cards.record import Record
from codegen_runs.runs import starting
from codegen_runs.runs.requests import CreateAgentRun, FollowUp, FollowUpOptions, RunOptions


class CreateRunCard(CreateAgentRun):
    """What to start a run with, and the mode to note in its metadata."""

    mode: str | None = Field(None, description="Kept in the run's metadata.")


class PromptForRun(RunOptions):
    """What to start a run with whose prompt and mode may be in the path."""

    prompt: str | None = Field(None, description="Wins over the query in the path.")


class PromptForFollowUp(FollowUpOptions):
    """What to say to a run, if it is not in the path."""

    prompt: str | None = Field(None, description="Wins over the query in the path.")


class StartedRunCard(RunCard):
    """The card of a run that was just started, or told to go on."""

    warnings: list[Warned] = Field([], description="What the caller should know all the same.")


def start(
    request: RunOptions, prompt: str, *, mode: str | None, org_id: int, caller: Caller, backend: Backend
) -> StartedRunCard:
    """Start a run, its mode noted in its metadata. Raises as `starting.start` does, and `Unprocessable`."""
    metadata = dict(request.metadata or {}) | ({"mode": mode} if mode else {})
    given = request.model_dump(exclude_unset=True, exclude={"mode"})
    asked = CreateAgentRun.model_validate(given | {"prompt": _said(prompt), "metadata": metadata or None})
    return _shown(starting.start(asked, org_id=org_id, caller=caller, backend=backend), org_id, caller, backend)


def follow_up(
    run_id: str, request: FollowUpOptions, prompt: str, *, org_id: int, caller: Caller, backend: Backend
) -> StartedRunCard:
    """Send a run its next prompt. Raises as `starting.resume` does, and `Unprocessable`."""
    asked = FollowUp.model_validate(request.model_dump(exclude_unset=True) | {"prompt": _said(prompt)})
    return _shown(
        starting.resume(run_id, asked, org_id=org_id, caller=caller, backend=backend), org_id, caller, backend
    )


def text_in_path(segment: str, name: str) -> str:
    """Decode what stands in a path as text. Raises `Unprocessable`."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise _unfit(name, "Input should be UTF-8, percent-encoded", "string_unicode") from None


def _said(prompt: str) -> str:
    if not prompt.strip():
        raise _unfit("query", "There should be something to say to the agent", "string_too_short")
    return prompt


def _unfit(name: str, message: str, kind: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["path", name], "msg": message, "type": kind}])


def _shown(run: AgentRun, org_id: int, caller: Caller, backend: Backend) -> StartedRunCard:
    # The run has been started: whatever cannot be read now, its card is shown.
    try:
        (shown,) = Record(org_id=org_id, caller=caller, backend=backend).cards([run])
    except StorageUnavailable:
        shown = card(run, now=backend.clock.now())
    warnings: list[Any] = (run.model_extra or {}).get("warnings", [])
    return StartedRunCard(**dict(shown), warnings=warnings)
