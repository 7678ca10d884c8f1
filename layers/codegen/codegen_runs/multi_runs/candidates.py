"""Queueing the runs of candidates."""

from __future__ import annotations

from collections.abc import Callable

from codegen_runs.agents import composing, profiles
from codegen_runs.backend import Backend
from codegen_runs.multi_runs import forking, judging, leaving, second_wave
from codegen_runs.run_control import pausing
from codegen_runs.runs.following import enqueue, withdraw
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import Launch, Watch

# The priority in the launch queue: a multi-run that is nearly done comes before one that has yet to begin.
PRIORITY = 2


def queue(multi_run: MultiRun, index: int, task_token: str | None, *, backend: Backend) -> None:
    """Queue the run of a candidate. The poller completes the task of `task_token` when the run has ended.

    If the run is queued already, only the task token is added, if there is one. Raises `AgentNotFound`,
    `CheckpointNotFound`, `StorageUnavailable`.
    """
    candidate = multi_run.candidates[index]
    prompt = candidate.prompt or multi_run.prompt
    task = _task(multi_run, index, prompt, backend)
    # Before the run, so that whoever finds the run finds its origin too.
    forking.record(multi_run, index, backend=backend)
    enqueue(
        org_id=multi_run.org_id,
        key=multi_run.candidate_key(index),
        prompt=prompt,
        launch=_launch(multi_run, index, prompt, task, backend),
        task_token=task_token,
        multi_run_id=multi_run.id,
        priority=PRIORITY,
        deadline=min(backend.clock.now() + multi_run.candidate_timeout_s, multi_run.deadline_at / 1000),
        paused=multi_run.paused_at is not None,
        created_by=multi_run.created_by,
        request_id=multi_run.request_id,
        source=_source(multi_run, index),
        backend=backend,
    )
    catch_up(multi_run, multi_run.candidate_key(index), backend=backend)


def catch_up(multi_run: MultiRun, key: str, *, backend: Backend) -> None:
    """Apply to a run that was just queued what happened to the multi-run between our read and our write."""
    current = backend.multi_runs.get(multi_run.org_id, multi_run.id) or multi_run
    if current.status is MultiRunStatus.CANCELLED:
        act: Callable[..., Watch] = withdraw
    elif current.dropped.keys() - multi_run.dropped.keys():
        backend.kick(*leaving.carry_out(current, backend=backend))
        return
    elif current.paused_at is not None:
        act = pausing.hold
    elif multi_run.paused_at is not None:
        act = pausing.release
    else:
        return
    if watch := backend.runs.get(multi_run.org_id, key):
        backend.kick(act(watch, backend=backend))


def _task(multi_run: MultiRun, index: int, prompt: str, backend: Backend) -> str:
    """Return what a candidate is to do: its prompt, in the second wave with what the best of the first one did."""
    if not multi_run.candidates[index].second_wave:
        return prompt
    best = [each.candidate for each in multi_run.best]
    watches = {each: backend.runs.get(multi_run.org_id, multi_run.candidate_key(each)) for each in best}
    answers = {each: judging.candidate(multi_run, each, watch).result for each, watch in watches.items()}
    return second_wave.task(multi_run, prompt, answers)


def _launch(multi_run: MultiRun, index: int, prompt: str, task: str, backend: Backend) -> Launch:
    candidate = multi_run.candidates[index]
    system_prompt, configuration = candidate.system_prompt, {}
    if candidate.agent_id is not None:
        agent = profiles.get(
            candidate.agent_id, org_id=multi_run.org_id, version=candidate.agent_version, backend=backend
        )
        system_prompt, configuration = system_prompt or agent.system_prompt, agent.configuration
    task = forking.replayed(multi_run, task, backend=backend)
    sent = composing.compose(task, system_prompt=system_prompt, configuration=configuration)
    return Launch(
        sent=sent if sent != prompt else None,
        # An earlier version of this deployment stored the repository with the multi-run only.
        repo_id=candidate.repo_id if candidate.repo_id is not None else multi_run.repo_id,
        model=candidate.model,
        agent_type=candidate.agent_type,
        metadata=multi_run.metadata | {"multi_run_id": multi_run.id, "candidate": index} | _source(multi_run, index),
    )


def _source(multi_run: MultiRun, index: int) -> dict[str, str | int]:
    """Return the checkpoint and the agent with its version, for the metadata and the record of the prompt."""
    candidate, source = multi_run.candidates[index], dict[str, str | int]()
    if multi_run.from_checkpoint:
        source["checkpoint_id"] = multi_run.from_checkpoint.id
    if candidate.agent_id is not None and candidate.agent_version is not None:
        source |= {"agent_id": candidate.agent_id, "agent_version": candidate.agent_version}
    return source
