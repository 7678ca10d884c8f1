"""One run in full: its card, all that it was told, and its result."""

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
    """One prompt that a run was sent through this deployment."""

    number: int
    turn: int
    text: str
    truncated: bool = Field(description="Whether only its beginning is kept.")
    sent_at: str
    sent_by: str | None
    follow_up: bool
    model: str | None
    source: dict[str, str | int] = Field(description="Where it comes from, such as an agent profile and its version.")


class RunCardDetail(RunCard):
    """A run in full."""

    summary: str | None = None
    result: str | None = None
    turn: int | None = Field(None, description="A follow-up to a run that has ended begins the next one.")
    prompts: list[ToldPrompt] = Field([], description="What it was told through this deployment, oldest first.")


def read(run_id: str, *, org_id: int, caller: Caller, backend: Backend) -> RunCardDetail:
    """Read a run, by the upstream's id or by our key.

    What the record does not say of its prompt and its times is read from the ends of its log, in two calls at most.
    Raises `RunNotFound`, `CodegenAPIError`, `StorageUnavailable`.
    """
    record = Record(org_id=org_id, caller=caller, backend=backend)
    agent_run_id, watch = upstream_id(run_id, org_id=org_id, backend=backend)
    if agent_run_id is None:
        (shown,) = record.cards([watch] if watch else [])
        return RunCardDetail(**dict(shown), **_told(watch), result=watch.result if watch else None)
    run = backend.codegen.runs.get(agent_run_id, org_id=org_id)
    (shown,) = record.cards([run])
    told = _told(record.watches([run.id])[run.id])
    logged = _logged(shown, run, backend.codegen, org_id)
    return RunCardDetail(**dict(shown) | logged, **told, summary=run.summary, result=run.result)


def upstream_id(run_id: str, *, org_id: int, backend: Backend) -> tuple[int | None, Watch | None]:
    """Return the upstream's id of a run, or the watch of one that has none yet.

    Raises `RunNotFound`, `StorageUnavailable`.
    """
    if run_id.isdecimal():
        return int(run_id), None
    watch = backend.runs.get(org_id, run_id)
    if watch is None:
        raise RunNotFound(run_id)
    return watch.agent_run_id, watch


def _told(watch: Watch | None) -> dict[str, Any]:
    return {"turn": watch.turn, "prompts": [_prompt(prompt) for prompt in watch.prompts]} if watch else {}


def _prompt(prompt: Prompt) -> ToldPrompt:
    return ToldPrompt(
        **prompt.model_dump(include={"number", "turn", "truncated", "follow_up", "model", "source"}),
        text=redact(prompt.text),
        sent_at=timestamp(prompt.at / 1000),
        sent_by=prompt.by,
    )


def _logged(shown: RunCard, run: AgentRun, codegen: CodegenAPI, org_id: int) -> dict[str, Any]:
    """Say what the log tells of a run that the record does not: the first entry its prompt, the last one its time."""
    learnt: dict[str, Any] = {}
    try:
        if shown.prompt is None:
            first = codegen.runs.logs(run.id, org_id=org_id, limit=1).logs
            prompt, shortened = shorten(_said(first[0]) if first else None, PROMPT_CHARACTERS)
            learnt |= {"prompt": redact(prompt), "prompt_truncated": shortened}
        if shown.updated_at is None:
            last = codegen.runs.logs(run.id, org_id=org_id, limit=1, reverse=True).logs
            if last and last[0].created:
                updated = last[0].created.timestamp()
                created = run.created.timestamp() if run.created else None
                learnt |= {"updated_at": timestamp(updated), "last_log_at": timestamp(updated)}
                learnt |= {"duration_seconds": duration(created, updated)}
    except CodegenAPIError:
        logger.warning("The log of a run could not be read for its card.", exc_info=True)
    return learnt


def _said(entry: AgentRunLog) -> str | None:
    """Return what a person said in an entry of the log; None where that cannot be told.

    Entries have been seen to carry it in `tool_input`, under a name that is not documented.
    """
    if entry.message_type != "USER_MESSAGE":
        return None
    candidates = [entry.observation, entry.tool_input]
    candidates += list(entry.tool_input.values()) if isinstance(entry.tool_input, dict) else []
    texts = [text for text in candidates if isinstance(text, str) and text.strip()]
    return texts[0] if len(texts) == 1 else None
