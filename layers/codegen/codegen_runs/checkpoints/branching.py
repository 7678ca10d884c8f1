"""Continue from a checkpoint: in a new run, or in the same run, whose agent is instructed to go back.

Either way the agent receives the conversation up to the checkpoint again. The files in the sandbox are not rewound. The
checkpoint's run is not written, unless it is the run that continues.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codegen_api import AgentRun, CodegenAPIError
from codegen_runs import statuses
from codegen_runs.agents import composing
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.checkpoints import chain, inheritance, reading, replay
from codegen_runs.checkpoints.reading import Found
from codegen_runs.checkpoints.replay import Replay
from codegen_runs.checkpoints.requests import ForkCheckpoint, Modifications, RestoreCheckpoint
from codegen_runs.checkpoints.snapshots import LineageEntry, Replayed, RestoredRun, entry
from codegen_runs.clock import milliseconds
from codegen_runs.limits import backlogs
from codegen_runs.problems import Conflict, Problem, StorageUnavailable
from codegen_runs.runs import starting
from codegen_runs.runs.client_run_ids import CLIENT_RUN_ID
from codegen_runs.runs.requests import CreateAgentRun, FollowUp
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.storage.checkpoints import Checkpoint, CheckpointAction, Fork


class NothingToReplay(Conflict):
    """The prompts of the run are not known."""

    code = "nothing_to_replay"
    remedy = "Send a prompt in modifications.modified_query."


@dataclass
class _Plan:
    """The parts of the prompt that continues from a checkpoint."""

    task: str
    replay: Replay
    system_prompt: str | None = None
    """Instructions that replace those of the agent's profile."""
    profile_prompt: str | None = None
    """The instructions of the agent's profile."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)

    @property
    def sent(self) -> str:
        """The whole prompt."""
        return composing.compose(
            self.replay.prompt,
            system_prompt=self.system_prompt or self.profile_prompt,
            configuration=self.configuration,
        )


def restore(
    checkpoint_id: str, request: RestoreCheckpoint, *, org_id: int, caller: Caller, backend: Backend
) -> RestoredRun:
    """Continue from a checkpoint, in a new run or in the same run.

    Raises `CheckpointNotFound`, `RunNotStarted`, `NothingToReplay`, `FollowUpHeld`, `NoPermit`, `TooManyQueuedRuns`,
    `CodegenAPIError`, `StorageUnavailable`.
    """
    found = reading.find(checkpoint_id, org_id=org_id, started=True, backend=backend)
    if request.create_new_run:
        return _start(CheckpointAction.RESTORE, found, request, caller=caller, backend=backend)
    return _go_back(found, request, caller=caller, backend=backend)


def fork(checkpoint_id: str, request: ForkCheckpoint, *, org_id: int, caller: Caller, backend: Backend) -> RestoredRun:
    """Start another run from a checkpoint. Raises what `restore` raises."""
    found = reading.find(checkpoint_id, org_id=org_id, started=True, backend=backend)
    return _start(CheckpointAction.FORK, found, request, caller=caller, backend=backend)


def _start(
    action: CheckpointAction, found: Found, request: ForkCheckpoint, *, caller: Caller, backend: Backend
) -> RestoredRun:
    backlogs.check(org_id=found.checkpoint.org_id, caller=caller, backend=backend)
    now, checkpoints = milliseconds(backend.clock.now()), backend.checkpoints
    checkpoint, changes = found.checkpoint, request.changes
    plan = _plan(checkpoint, changes, continued=False, backend=backend)
    started = Fork.of(
        checkpoint,
        id=f"cp-{now:012x}-{secrets.token_hex(5)}",
        action=action,
        modified=changes.given,
        system_prompt=plan.system_prompt,
        created_at=now,
        created_by=caller.id,
    )
    # Written first, so that the new run can be found by this id if the upstream's answer is lost.
    checkpoints.add_fork(started)
    try:
        run = starting.start(
            CreateAgentRun(
                prompt=plan.task,
                repo_id=checkpoint.repo_id,
                model=changes.model or checkpoint.model,
                agent_type=checkpoint.agent_type,
                metadata={
                    CLIENT_RUN_ID: started.id,
                    "parent_agent_run_id": checkpoint.agent_run_id,
                    "checkpoint_action": action,
                    **_source(checkpoint),
                },
            ),
            org_id=checkpoint.org_id,
            caller=caller,
            backend=backend,
            source=_source(checkpoint),
            sent=plan.sent,
        )
    except CodegenAPIError as error:
        if not error.effect_unknown:
            checkpoints.remove_fork(started)
        raise
    except Problem:
        checkpoints.remove_fork(started)
        raise
    warnings = request.ignored() + plan.warnings + inheritance.goes_on(found)
    lineage = [entry(started.model_copy(update={"child": str(run.id)}), 1)]
    try:
        checkpoints.settle_fork(started, str(run.id))
        lineage = reading.ancestors(checkpoints, checkpoint.org_id, str(run.id))
    except StorageUnavailable:
        detail = "The run was started, but could not be recorded in its lineage."
        warnings.append(_warned("lineage_unsettled", detail))
    return _answer(
        run,
        action,
        checkpoint,
        plan,
        created_new_run=True,
        client_run_id=started.id,
        detail="A new run was started. It receives the conversation up to the checkpoint; files are not rewound.",
        lineage=lineage,
        warnings=warnings,
        backend=backend,
    )


def _go_back(found: Found, request: RestoreCheckpoint, *, caller: Caller, backend: Backend) -> RestoredRun:
    checkpoint, changes = found.checkpoint, request.changes
    plan = _plan(checkpoint, changes, continued=True, backend=backend)
    lineage = reading.ancestors(backend.checkpoints, checkpoint.org_id, checkpoint.run)
    run = starting.resume(
        checkpoint.run,
        FollowUp(prompt=plan.task, model=changes.model),
        org_id=checkpoint.org_id,
        caller=caller,
        backend=backend,
        source=_source(checkpoint),
        sent=plan.sent,
    )
    return _answer(
        run,
        CheckpointAction.RESTORE,
        checkpoint,
        plan,
        created_new_run=False,
        detail="The same run continues. Its agent is instructed to go back to the checkpoint; files are not rewound.",
        lineage=lineage,
        warnings=request.ignored() + plan.warnings,
        backend=backend,
    )


def _plan(checkpoint: Checkpoint, changes: Modifications, *, continued: bool, backend: Backend) -> _Plan:
    """Prepare the prompt of a run. Raises `NothingToReplay`, `CodegenAPIError`, `StorageUnavailable`."""
    conversation = chain.read(backend.checkpoints, checkpoint)
    last = chain.last_prompt(conversation)
    if changes.modified_query is None and last is None:
        raise NothingToReplay("The prompts of the run are not known, because it was started elsewhere.")
    task = changes.modified_query or (last.text if last else "")
    places = inheritance.places(checkpoint, backend=backend)
    plan = _Plan(task, replay.compose(task, chain.settled(conversation), continued=continued, places=places))
    if plan.replay.shortened or (last and last.truncated and changes.modified_query is None):
        detail = "The replay does not contain the whole conversation: the oldest messages are left out or shortened."
        plan.warnings.append(_warned("record_shortened", detail))
    if changes.model:
        plan.warnings += _unknown_model(changes.model, checkpoint.org_id, backend)
    if continued:  # The same run has already received the instructions of its agent.
        plan.system_prompt = changes.system_prompt
        return plan
    inherited = inheritance.inheritance(checkpoint, backend=backend)
    plan.system_prompt = changes.system_prompt or inherited.system_prompt
    plan.warnings += inherited.warnings
    if inherited.profile:
        plan.profile_prompt, plan.configuration = inherited.profile.system_prompt, inherited.profile.configuration
    return plan


def _unknown_model(model: str, org_id: int, backend: Backend) -> list[Warned]:
    providers = backend.codegen.models.list(org_id=org_id).providers
    known = {option.value for provider in providers for option in provider.models}
    if model in known:
        return []
    detail = f"The organization has no model {model}. The Codegen API decides how to handle it."
    return [Warned(code="unknown_model", pointer="/modifications/model", detail=detail)]


def _source(checkpoint: Checkpoint) -> dict[str, str | int]:
    """Return the checkpoint and its agent, as the source of a prompt and as metadata of the new run."""
    agent = checkpoint.agent
    by_agent: dict[str, str | int] = {"agent_id": agent.id, "agent_version": agent.version} if agent else {}
    return {"checkpoint_id": checkpoint.id} | by_agent


def _warned(code: str, detail: str) -> Warned:
    return Warned(code=code, pointer="", detail=detail)


def _answer(
    run: AgentRun,
    action: CheckpointAction,
    checkpoint: Checkpoint,
    plan: _Plan,
    *,
    created_new_run: bool,
    detail: str,
    lineage: list[LineageEntry],
    warnings: list[Warned],
    client_run_id: str | None = None,
    backend: Backend,
) -> RestoredRun:
    return RestoredRun(
        **_snapshot(run, checkpoint.org_id, warnings, backend).model_dump(),
        action=action,
        checkpoint_id=checkpoint.id,
        created_new_run=created_new_run,
        client_run_id=client_run_id,
        detail=detail,
        replayed=Replayed(messages=plan.replay.messages, left_out=plan.replay.left_out),
        lineage=lineage,
        warnings=warnings,
    )


def _snapshot(run: AgentRun, org_id: int, warnings: list[Warned], backend: Backend) -> RunSnapshot:
    """Return the snapshot of a run that was just started; add a warning if the run is not followed."""
    try:
        if watch := backend.runs.find(org_id, run.id):
            return run_snapshot(watch, now=backend.clock.now())
    except StorageUnavailable:
        pass  # The run has been started, so the answer shows what the upstream returned.
    warnings.append(_warned("not_followed", "The run continues, but this deployment has no live log of it."))
    return RunSnapshot(
        key=str(run.id),
        status=statuses.from_upstream(run.status),
        upstream_status=run.status,
        agent_run_id=run.id,
        web_url=run.web_url,
    )
