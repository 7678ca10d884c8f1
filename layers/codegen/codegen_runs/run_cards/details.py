"""One run in full: its card, its prompts and its result."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import BaseModel, Field

from codegen_api import AgentRun, AgentRunLog, CodegenAPI, CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.events import shorten, timestamp
from codegen_runs.prompts import Prompt
from codegen_runs.redaction import redact
from codegen_runs.run_cards.cards import PROMPT_CHARACTERS, RunCard, duration
from codegen_runs.run_cards.record import Record
from codegen_runs.runs.finding import RunNotFound
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)


class ToldPrompt(BaseModel):
    """A prompt that a run received through this deployment."""

    number: int
    turn: int
    text: str
    truncated: bool = Field(description="Whether only the beginning of the text is stored.")
    sent_at: str
    sent_by: str | None
    follow_up: bool
    model: str | None
    source: dict[str, str | int] = Field(
        description="The origin of the prompt, such as an agent profile and its version."
    )


class RunCardDetail(RunCard):
    """A run in full."""

    summary: str | None = None
    result: str | None = None
    turn: int | None = Field(None, description="The current turn. A follow-up to a run that has ended begins the next.")
    prompts: list[ToldPrompt] = Field(
        [], description="The prompts that the run received through this deployment, oldest first."
    )


def read(run_id: str, *, org_id: int, caller: Caller, backend: Backend) -> RunCardDetail:
    """Read a run, by the upstream's id or by our key.

    A prompt or times that this deployment has not recorded are read from both ends of the run's log, in two upstream
    calls at most. Raises `RunNotFound`, `CodegenAPIError`, `StorageUnavailable`.
    """
    record = Record(org_id=org_id, caller=caller, backend=backend)
    agent_run_id, watch = upstream_id(run_id, org_id=org_id, backend=backend)
    if agent_run_id is None:
        (card,) = record.cards([watch] if watch else [])
        return RunCardDetail(**dict(card), **_prompts(watch), result=watch.result if watch else None)
    run = backend.codegen.runs.get(agent_run_id, org_id=org_id)
    (card,) = record.cards([run])
    watch = record.watches([run.id])[run.id]
    from_log = _read_log(card, run, backend.codegen, org_id, with_prompt=not (watch and watch.is_internal))
    return RunCardDetail(**dict(card) | from_log, **_prompts(watch), summary=run.summary, result=run.result)


def upstream_id(run_id: str, *, org_id: int, backend: Backend) -> tuple[int | None, Watch | None]:
    """Return the upstream's id of a run, and its watch when the run is named by our key.

    The id is None before the launch. Raises `RunNotFound`, `StorageUnavailable`.
    """
    if run_id.isdecimal():
        return int(run_id), None
    watch = backend.runs.get(org_id, run_id)
    if watch is None:
        raise RunNotFound(run_id)
    return watch.agent_run_id, watch


def _prompts(watch: Watch | None) -> dict[str, Any]:
    if watch is None:
        return {}
    # The first prompt of an internal run is this deployment's own.
    shown = [prompt for prompt in watch.prompts if prompt.follow_up or not watch.is_internal]
    return {"turn": watch.turn, "prompts": [_prompt(prompt) for prompt in shown]}


def _prompt(prompt: Prompt) -> ToldPrompt:
    return ToldPrompt(
        **prompt.model_dump(include={"number", "turn", "truncated", "follow_up", "model", "source"}),
        text=redact(prompt.text),
        sent_at=timestamp(prompt.at / 1000),
        sent_by=prompt.by,
    )


def _read_log(card: RunCard, run: AgentRun, codegen: CodegenAPI, org_id: int, *, with_prompt: bool) -> dict[str, Any]:
    """Return fields that a card lacks, read from the log: its first entry has the prompt, its last entry the time."""
    fields: dict[str, Any] = {}
    try:
        if card.prompt is None and with_prompt:
            first = codegen.runs.logs(run.id, org_id=org_id, limit=1).logs
            prompt, shortened = shorten(_user_message(first[0]) if first else None, PROMPT_CHARACTERS)
            fields |= {"prompt": redact(prompt), "prompt_truncated": shortened}
        if card.updated_at is None:
            last = codegen.runs.logs(run.id, org_id=org_id, limit=1, reverse=True).logs
            if last and last[0].created_at:
                updated = last[0].created_at.timestamp()
                created = run.created_at.timestamp() if run.created_at else None
                fields |= {"updated_at": timestamp(updated), "last_log_at": timestamp(updated)}
                fields |= {"duration_seconds": duration(created, updated)}
    except CodegenAPIError:
        logger.warning("Could not read the log of a run for its card.", exc_info=True)
    return fields


def _user_message(entry: AgentRunLog) -> str | None:
    """Return the user's message in a log entry; None if the entry has none, or several texts that it could be.

    Observed entries carry the message in `tool_input`, under an undocumented name.
    """
    if entry.message_type != "USER_MESSAGE":
        return None
    candidates = [entry.observation, entry.tool_input]
    candidates += list(entry.tool_input.values()) if isinstance(entry.tool_input, dict) else []
    texts = [text for text in candidates if isinstance(text, str) and text.strip()]
    return texts[0] if len(texts) == 1 else None
