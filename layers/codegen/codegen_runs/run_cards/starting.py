"""Start and continue runs, and return their cards. The mode and the prompt may be in the path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import Field

from codegen_api import AgentRun
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warnings, is_blank
from codegen_runs.callers import Caller
from codegen_runs.problems import StorageUnavailable, Unprocessable
from codegen_runs.run_cards.cards import RunCard, card
from codegen_runs.run_cards.record import Record
from codegen_runs.runs import starting
from codegen_runs.runs.requests import CreateAgentRun, FollowUp, FollowUpOptions, Prompt, RunOptions


class CreateRunCard(CreateAgentRun):
    """A new run, with the mode to store in its metadata."""

    mode: str | None = Field(None, description="Stored in the run's metadata.")


class PromptForRun(RunOptions):
    """A new run whose prompt and mode may be in the path."""

    prompt: Prompt | None = Field(None, description="Wins over the query in the path.")


class PromptForFollowUp(FollowUpOptions):
    """A follow-up whose prompt may be in the path."""

    prompt: Prompt | None = Field(None, description="Wins over the query in the path.")


class StartedRunCard(RunCard):
    """The card of a run that was just started or continued."""

    warnings: Warnings = Field([])


def start(
    request: RunOptions, prompt: str, *, mode: str | None, org_id: int, caller: Caller, backend: Backend
) -> StartedRunCard:
    """Start a run, with the mode in its metadata. Raises what `starting.start` raises, and `Unprocessable`."""
    metadata = dict(request.metadata or {}) | ({"mode": mode} if mode else {})
    options = request.model_dump(exclude_unset=True, exclude={"mode"})
    create = CreateAgentRun.model_validate(options | {"prompt": _not_blank(prompt), "metadata": metadata or None})
    return _card(starting.start(create, org_id=org_id, caller=caller, backend=backend), org_id, caller, backend)


def follow_up(
    run_id: str, request: FollowUpOptions, prompt: str, *, org_id: int, caller: Caller, backend: Backend
) -> StartedRunCard:
    """Send a run its next prompt. Raises what `starting.resume` raises, and `Unprocessable`."""
    resume = FollowUp.model_validate(request.model_dump(exclude_unset=True) | {"prompt": _not_blank(prompt)})
    return _card(
        starting.resume(run_id, resume, org_id=org_id, caller=caller, backend=backend), org_id, caller, backend
    )


def text_in_path(segment: str, name: str) -> str:
    """Decode the text in a segment of a path. Raises `Unprocessable`."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise _invalid(name, "Input should be UTF-8, percent-encoded", "string_unicode") from None


def _not_blank(prompt: str) -> str:
    if is_blank(prompt):
        raise _invalid("query", "Input should have at least one visible character", "string_blank")
    return prompt


def _invalid(name: str, message: str, kind: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["path", name], "msg": message, "type": kind}])


def _card(run: AgentRun, org_id: int, caller: Caller, backend: Backend) -> StartedRunCard:
    try:
        (started,) = Record(org_id=org_id, caller=caller, backend=backend).cards([run])
    except StorageUnavailable:  # The run has been started, so the answer shows what the upstream returned.
        started = card(run, now=backend.clock.now())
    warnings: list[Any] = (run.model_extra or {}).get("warnings", [])
    return StartedRunCard(**dict(started), warnings=warnings)
