"""What the state machine calls, one function per state. Each can be called again with the same input.

State carries ids only: a Step Functions payload may have 256 KiB.
"""

from __future__ import annotations

from codegen_api import Harness
from codegen_runs.clock import Clock, SystemClock
from codegen_runs.multi_runs import judging, synthesis
from codegen_runs.multi_runs.service import multi_runs_table, runs_table
from codegen_runs.multi_runs.service import watches as read_watches
from codegen_runs.run_control import pausing
from codegen_runs.runs import watches
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus
from codegen_runs.storage.runs import Launch
from codegen_runs.storage.table import ConditionFailed

# The state machine's own timeouts are a net under the poller's deadlines: later by so many seconds.
NET_SECONDS = 300

# Places in the launch queue: a group that is nearly done comes before one that has yet to begin.
SYNTHESIS, CANDIDATE = 1, 2

# The synthesis begins when the candidates' time may be over; it has at least so many seconds.
SYNTHESIS_SECONDS = 900


class MultiRunGone(Exception):  # noqa: N818 - the error name that the execution history shows
    """The multi-run has ended or never was, so its state machine has nothing left to do."""


def plan(org_id: int, multi_run_id: str) -> dict[str, object]:
    """Mark a multi-run as running and list its candidates with their timeouts in seconds."""
    multi_run = _advance(_open(org_id, multi_run_id), MultiRunStatus.RUNNING)
    return {
        "org_id": org_id,
        "multi_run_id": multi_run_id,
        "candidates": list(range(len(multi_run.candidates))),
        "candidate_timeout_s": multi_run.candidate_timeout_s + NET_SECONDS,
        "synthesis_timeout_s": max(multi_run.candidate_timeout_s, SYNTHESIS_SECONDS) + NET_SECONDS,
    }


def launch(org_id: int, multi_run_id: str, index: int, task_token: str, clock: Clock | None = None) -> None:
    """Queue the run of one candidate; the poller answers the token when it has ended."""
    now = (clock or SystemClock()).now()
    multi_run = _open(org_id, multi_run_id)
    variant = multi_run.candidates[index]
    watches.enqueue(
        org_id=org_id,
        key=multi_run.candidate_key(index),
        prompt=variant.prompt or multi_run.prompt,
        launch=_launch(multi_run, variant.model, variant.agent_type, candidate=index),
        task_token=task_token,
        multi_run_id=multi_run_id,
        priority=CANDIDATE,
        deadline=min(now + multi_run.candidate_timeout_s, multi_run.deadline_at / 1000),
        paused=multi_run.paused_at is not None,
        created_by=multi_run.created_by,
        clock=clock,
    )
    _catch_up(multi_run, multi_run.candidate_key(index), now)


def judge(org_id: int, multi_run_id: str) -> dict[str, str]:
    """Decide what comes after the candidates: `synthesize` or `publish`."""
    multi_run = _open(org_id, multi_run_id)
    judgement = judging.judge(multi_run, read_watches(multi_run))
    return {"next": "synthesize" if judging.needs_synthesis(multi_run, judgement) else "publish"}


def synthesize(org_id: int, multi_run_id: str, task_token: str, clock: Clock | None = None) -> None:
    """Queue the run that joins the usable answers; the poller answers the token when it has ended."""
    now = (clock or SystemClock()).now()
    multi_run = _open(org_id, multi_run_id)
    judgement = judging.judge(multi_run, read_watches(multi_run))
    if multi_run.synthesis_order is None:
        order = synthesis.order(multi_run, judgement)
        multi_run = _advance(multi_run, MultiRunStatus.SYNTHESIZING, synthesis_order=order)
    chosen = [judgement.candidates[index] for index in multi_run.synthesis_order or []]
    watches.enqueue(
        org_id=org_id,
        key=multi_run.synthesis_key,
        prompt=synthesis.compose(multi_run, chosen),
        launch=_launch(multi_run, multi_run.synthesis.model, None, role="synthesis"),
        task_token=task_token,
        multi_run_id=multi_run_id,
        priority=SYNTHESIS,
        deadline=max(multi_run.deadline_at / 1000, now + SYNTHESIS_SECONDS),
        paused=multi_run.paused_at is not None,
        created_by=multi_run.created_by,
        clock=clock,
    )
    _catch_up(multi_run, multi_run.synthesis_key, now)


def publish(org_id: int, multi_run_id: str, error: str | None = None, clock: Clock | None = None) -> dict[str, str]:
    """Settle a multi-run: its answer, or why there is none; `error` says what broke the state machine."""
    now = (clock or SystemClock()).now()
    multi_run = multi_runs_table().get(org_id, multi_run_id)
    if multi_run is None or multi_run.status.terminal:
        return {"multi_run_id": multi_run_id}
    found = read_watches(multi_run)
    judgement = judging.judge(multi_run, found)
    reason = judging.shortfall(multi_run, judgement)
    if reason and error:
        reason = f"{error} {reason}"
    _advance(
        multi_run,
        MultiRunStatus.FAILED if reason else MultiRunStatus.COMPLETED,
        answer=None if reason else synthesis.conclude(multi_run, judgement, found.get(multi_run.synthesis_key)),
        reason=reason,
        finished_at=round(now * 1000),
    )
    return {"multi_run_id": multi_run_id}


def _open(org_id: int, multi_run_id: str) -> MultiRun:
    multi_run = multi_runs_table().get(org_id, multi_run_id)
    if multi_run is None or multi_run.status.terminal:
        raise MultiRunGone(multi_run_id)
    return multi_run


def _advance(multi_run: MultiRun, status: MultiRunStatus, **changes: object) -> MultiRun:
    try:
        return multi_runs_table().advance(multi_run, status, **changes)
    except ConditionFailed:
        raise MultiRunGone(multi_run.id) from None


def _launch(multi_run: MultiRun, model: str | None, agent_type: Harness | None, **role: object) -> Launch:
    metadata = multi_run.metadata | {"multi_run_id": multi_run.id} | role
    return Launch(repo_id=multi_run.repo_id, model=model, agent_type=agent_type, metadata=metadata)


def _catch_up(multi_run: MultiRun, key: str, now: float) -> None:
    """Do to a run that was just queued what a caller did to the others between our read and our write."""
    current = multi_runs_table().get(multi_run.org_id, multi_run.id)
    cancelled = current is not None and current.status is MultiRunStatus.CANCELLED
    paused = current is not None and current.paused_at is not None
    if not (cancelled or paused or multi_run.paused_at):
        return
    runs = runs_table()
    if watch := runs.get(multi_run.org_id, key):
        if cancelled:
            watches.withdraw(watch, runs, now=now)
        elif paused:
            pausing.hold(watch, runs, now=now)
        else:
            pausing.release(watch, runs, now=now)
        watches.kick(watch)
