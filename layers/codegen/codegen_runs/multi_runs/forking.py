"""Candidates that start from a checkpoint: what they take over, their prompts, and their place in its lineage."""

from __future__ import annotations

from dataclasses import dataclass

from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.checkpoints import chain, inheritance, reading, replay
from codegen_runs.checkpoints.inheritance import Inheritance
from codegen_runs.checkpoints.reading import CheckpointNotFound
from codegen_runs.clock import milliseconds
from codegen_runs.storage.checkpoints import Checkpoint, CheckpointAction, Fork
from codegen_runs.storage.multi_runs import CheckpointStart, MultiRun, Variant


@dataclass(frozen=True)
class Start:
    """The checkpoint that candidates start from."""

    checkpoint: Checkpoint
    inherited: Inheritance
    warnings: list[Warned]

    @property
    def record(self) -> CheckpointStart:
        """What the multi-run stores of it."""
        names = CheckpointStart.model_fields.keys() - {"system_prompt", "places"}
        return CheckpointStart(
            **{name: getattr(self.checkpoint, name) for name in names}, system_prompt=self.inherited.system_prompt
        )

    def inherited_by(self, variant: Variant) -> Variant:
        """Return a variant whose missing options are those of the checkpoint's run."""
        checkpoint, profile = self.checkpoint, self.inherited.profile
        taken: dict[str, object] = {
            name: getattr(checkpoint, name)
            for name in ("model", "agent_type", "repo_id")
            if getattr(variant, name) is None
        }
        if variant.agent_id is None:
            taken["system_prompt"] = variant.system_prompt or self.inherited.system_prompt
            if profile:
                taken |= {"agent_id": profile.id, "agent_version": profile.version}
        return variant.model_copy(update=taken)


def start(checkpoint_id: str, *, org_id: int, backend: Backend) -> Start:
    """Return the checkpoint that candidates start from.

    Raises `CheckpointNotFound`, `RunNotStarted`, `StorageUnavailable`.
    """
    found = reading.find(checkpoint_id, org_id=org_id, started=True, backend=backend)
    inherited = inheritance.inheritance(found.checkpoint, backend=backend)
    return Start(found.checkpoint, inherited, [*inherited.warnings, *inheritance.goes_on(found)])


def with_places(multi_run: MultiRun, *, backend: Backend) -> MultiRun:
    """Return a multi-run that knows the pull requests at its checkpoint, if it has one. Raises `CodegenAPIError`."""
    start = multi_run.from_checkpoint
    if start is None:
        return multi_run
    places = tuple(inheritance.places(_checkpoint(multi_run.org_id, start, backend), backend=backend))
    return multi_run.model_copy(update={"from_checkpoint": start.model_copy(update={"places": places})})


def replayed(multi_run: MultiRun, task: str, *, backend: Backend) -> str:
    """Return the prompt of a candidate with the conversation up to the checkpoint; `task` itself without one.

    Raises `CheckpointNotFound`, `StorageUnavailable`.
    """
    start = multi_run.from_checkpoint
    if start is None:
        return task
    conversation = chain.read(backend.checkpoints, _checkpoint(multi_run.org_id, start, backend))
    return replay.compose(task, chain.settled(conversation), continued=False, places=start.places).prompt


def record(multi_run: MultiRun, index: int, *, backend: Backend) -> None:
    """Store a candidate in the lineage of the checkpoint, if it starts from one. It can be called again.

    Raises `CheckpointNotFound`, `StorageUnavailable`.
    """
    start, candidate, key = multi_run.from_checkpoint, multi_run.candidates[index], multi_run.candidate_key(index)
    if start is None or backend.checkpoints.origin(multi_run.org_id, key):
        return
    checkpoint = _checkpoint(multi_run.org_id, start, backend)
    differs = {
        "system_prompt": candidate.system_prompt != start.system_prompt,
        "agent_id": candidate.agent_id != (checkpoint.agent and checkpoint.agent.id),
        "model": candidate.model != checkpoint.model,
        "agent_type": candidate.agent_type != checkpoint.agent_type,
        "repo_id": candidate.repo_id != checkpoint.repo_id,
    }
    backend.checkpoints.add_settled_fork(
        Fork.of(
            checkpoint,
            id=key,
            action=CheckpointAction.FORK,
            modified=("modified_query", *(name for name, is_other in differs.items() if is_other)),
            system_prompt=candidate.system_prompt,
            child=key,
            multi_run_id=multi_run.id,
            created_at=milliseconds(backend.clock.now()),
            created_by=multi_run.created_by,
        )
    )


def _checkpoint(org_id: int, start: CheckpointStart, backend: Backend) -> Checkpoint:
    checkpoint = backend.checkpoints.get(org_id, start.run, start.epoch, start.seq)
    if checkpoint is None:
        raise CheckpointNotFound(start.id)
    return checkpoint
