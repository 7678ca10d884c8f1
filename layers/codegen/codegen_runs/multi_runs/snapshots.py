"""What a caller reads of a multi-run, while it runs and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from codegen_api import Harness
from codegen_runs.bodies import Warned
from codegen_runs.events import timestamp
from codegen_runs.limits.launch_queue import QueuePlace
from codegen_runs.multi_runs.judging import Candidate, judge
from codegen_runs.runs.actions import Action, AllowedAction, Means, SideEffect, effects_of, means_for, offered
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Answer, MultiRun, MultiRunStatus, Strategy
from codegen_runs.storage.runs import Watch


class Counts(BaseModel):
    """How many candidates there are of each kind."""

    requested: int
    launched: int = Field(description="Have a run upstream.")
    finished: int = Field(description="Have ended, well or not.")
    usable: int = Field(description="Completed with an answer that is neither empty nor the prompt again.")
    failed: int = Field(description="Have ended without a usable answer.")
    missing: int = Field(description="Have not ended.")


class CandidateSnapshot(RunSnapshot):
    """One candidate."""

    index: int
    model: str | None = None
    agent_type: Harness | None = None
    queue: QueuePlace | None = Field(None, description="Its place among those that wait for their launch.")
    usable: bool | None = Field(None, description="Null until it has ended.")
    reason: str | None = Field(None, description="Why it is not usable.")


class Estimate(BaseModel):
    """What a multi-run costs, told before it starts."""

    runs: int = Field(description="Upstream runs, at the most: the candidates and the synthesis.")


class MultiRunSummary(BaseModel):
    """A multi-run in a list."""

    id: str
    organization_id: int
    status: MultiRunStatus
    strategy: Strategy
    prompt: str
    requested: int
    quorum: int
    created_at: str
    deadline_at: str
    finished_at: str | None = None
    paused_scope: Literal["queue_only"] | None = Field(
        None, description="Set while it is paused: no run is launched, but agents that work upstream go on."
    )
    answer: Answer | None = None
    reason: str | None = Field(None, description="Why it failed.")


class MultiRunSnapshot(MultiRunSummary):
    """A multi-run with all its runs."""

    counts: Counts
    candidates: list[CandidateSnapshot]
    synthesis: RunSnapshot | None = None
    estimate: Estimate
    allowed_actions: list[AllowedAction] = []
    warnings: list[Warned] = Field([], description="What of the request was accepted and has no effect.")


class RunCancel(BaseModel):
    """What the cancel of a multi-run did to one of its runs."""

    key: str
    candidate: int | None = Field(None, description="Index of the candidate; null for the synthesis.")
    agent_run_id: int | None = None
    status: Status
    means: Means | None = Field(None, description="How it is cancelled; null where it goes on.")
    side_effects: list[SideEffect] = Field([], description="What that does besides.")
    detail: str

    @property
    def open(self) -> bool:
        """Whether the cancel is still to be confirmed."""
        return self.means is not None and not self.status.terminal


class CancelledMultiRun(MultiRunSnapshot):
    """A multi-run after it was cancelled, and what that did to each of its runs that had not ended."""

    cancelled_runs: list[RunCancel]


def summary(multi_run: MultiRun) -> MultiRunSummary:
    """Summarise a multi-run from its own record."""
    return MultiRunSummary(
        id=multi_run.id,
        organization_id=multi_run.org_id,
        status=multi_run.status,
        strategy=multi_run.strategy,
        prompt=multi_run.prompt,
        requested=len(multi_run.candidates),
        quorum=multi_run.quorum,
        created_at=timestamp(multi_run.created_at / 1000),
        deadline_at=timestamp(multi_run.deadline_at / 1000),
        finished_at=_time(multi_run.finished_at),
        paused_scope="queue_only" if multi_run.paused_at is not None and not multi_run.status.terminal else None,
        answer=multi_run.answer,
        reason=multi_run.reason,
    )


def snapshot(
    multi_run: MultiRun,
    watches: Mapping[str, Watch],
    queue: Mapping[tuple[int, str], QueuePlace] | None = None,
    *,
    now: float,
) -> MultiRunSnapshot:
    """Show a multi-run and what its runs are doing at `now`, in epoch seconds.

    Args:
        multi_run: The record of the multi-run.
        watches: Its runs, by key.
        queue: Places in the launch queue, by (organization, key).
        now: The time.
    """
    judgement = judge(multi_run, watches)
    synthesis = watches.get(multi_run.synthesis_key)
    return MultiRunSnapshot(
        **summary(multi_run).model_dump(),
        counts=Counts(**judgement.counts()),
        candidates=[_candidate(multi_run, candidate, queue or {}, now) for candidate in judgement.candidates],
        synthesis=run_snapshot(synthesis, now=now) if synthesis else None,
        estimate=Estimate(runs=len(multi_run.candidates) + (multi_run.strategy is not Strategy.NONE)),
        allowed_actions=_allowed_actions(multi_run, watches),
    )


def _allowed_actions(multi_run: MultiRun, watches: Mapping[str, Watch]) -> list[AllowedAction]:
    """List what can be done with a multi-run.

    One that is cancelled may still have runs upstream, which a cancel that allows bans can stop.
    """
    ended = f"It has ended: {multi_run.status}." if multi_run.status.terminal else None
    means = {
        means_for(watch.status, launched=watch.agent_run_id is not None)
        for watch in watches.values()
        if not watch.status.terminal and watch.status is not Status.CANCELLING and watch.cancel is None
    }
    banning = Means.PR_BAN in means
    cancel = offered(Action.CANCEL, None if multi_run.status is MultiRunStatus.CANCELLED and banning else ended)
    if cancel.enabled:
        cancel.means = Means.PR_BAN if banning else Means.LOCAL
        cancel.side_effects = effects_of(cancel.means)
    paused = multi_run.paused_at is not None
    return [
        cancel,
        offered(Action.PAUSE, ended or ("It is paused already." if paused else None)),
        offered(Action.RESUME, ended or (None if paused else "It is not paused.")),
    ]


def _candidate(
    multi_run: MultiRun, candidate: Candidate, queue: Mapping[tuple[int, str], QueuePlace], now: float
) -> CandidateSnapshot:
    run = run_snapshot(candidate.watch, now=now) if candidate.watch else RunSnapshot(status=Status.QUEUED)
    return CandidateSnapshot(
        **run.model_dump(),
        index=candidate.index,
        queue=queue.get((multi_run.org_id, multi_run.candidate_key(candidate.index))),
        model=multi_run.candidates[candidate.index].model,
        agent_type=multi_run.candidates[candidate.index].agent_type,
        usable=candidate.usable if candidate.finished else None,
        reason=candidate.reason,
    )


def _time(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds / 1000) if milliseconds is not None else None
