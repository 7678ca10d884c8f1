"""The state of a multi-run, as callers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from codegen_api import Harness
from codegen_runs.bodies import Warnings
from codegen_runs.events import shorten, timestamp
from codegen_runs.limits.launch_queue import QueuePlace
from codegen_runs.links import link, link_to_run
from codegen_runs.multi_runs import costs
from codegen_runs.multi_runs.grafts import follow_up
from codegen_runs.multi_runs.judging import Candidate, Judgement, judge, numbered
from codegen_runs.multi_runs.judging_snapshots import JudgingSnapshot, judging
from codegen_runs.multi_runs.provenance import Provenance, measured
from codegen_runs.redaction import redact
from codegen_runs.runs.actions import Action, AllowedAction, Means, SideEffect, effects_of, means_for, offered
from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    Adaptive,
    Answer,
    AnswerSource,
    GraftOutcome,
    Instructions,
    MultiRun,
    MultiRunStatus,
    OnDeadline,
    Rejection,
    Strategy,
)
from codegen_runs.storage.runs import OpenedPullRequest, Watch

PREVIEW_CHARACTERS = 2_000

StrategyUsed = Literal["synthesize", "select", "base", "only_candidate", "best_candidate", "pick"]

_STRATEGIES_USED: Mapping[AnswerSource, StrategyUsed] = {
    AnswerSource.SYNTHESIS: "synthesize",
    AnswerSource.SELECTED: "select",
    AnswerSource.BASE: "base",
    AnswerSource.ONLY_CANDIDATE: "only_candidate",
    AnswerSource.FALLBACK: "best_candidate",
    AnswerSource.PICKED: "pick",
}


class Counts(BaseModel):
    """The numbers of candidates by their state."""

    requested: int
    launched: int = Field(description="Candidates that have a run at Codegen.")
    finished: int = Field(description="Candidates that have ended, successfully or not.")
    usable: int = Field(
        description="Candidates that completed with an answer that is not empty and does not only repeat the prompt."
    )
    failed: int = Field(description="Candidates that have ended without a usable answer.")
    missing: int = Field(description="Candidates that have not ended.")
    dropped: int = Field(0, description="Candidates that do not count, because they were dropped or are not needed.")


class DropSnapshot(BaseModel):
    """Why a candidate does not count."""

    reason: str
    dropped_by: str | None = Field(description="The caller, such as `user:789`; null if it is not needed.")
    dropped_at: str


class SecondWave(BaseModel):
    """The candidates that start when all others have ended."""

    candidates: list[int] = Field(description="Their indexes.")
    best: list[int] = Field(
        description="The candidates whose summaries they get, the best first. Empty before they are launched."
    )


class CandidateSnapshot(RunSnapshot):
    """A candidate and its run. `web_url` is its page at Codegen."""

    index: int
    model: str | None = None
    agent_type: Harness | None = None
    repo_id: int | None = None
    agent_id: str | None = Field(None, description="The agent of this deployment whose instructions the run gets.")
    agent_version: int | None = None
    prompt: str | None = Field(None, description="The candidate's prompt, if that is not the prompt of the multi-run.")
    added: bool = Field(False, description="Whether a caller added it to the running multi-run.")
    second_wave: bool = Field(
        False, description="Whether it starts when all others have ended, from summaries of the best ones."
    )
    dropped: DropSnapshot | None = Field(
        None, description="Set if the candidate does not count. Its run may continue at Codegen: see `status`."
    )
    queue: QueuePlace | None = Field(None, description="The candidate's place in the launch queue.")
    attempt: int = Field(1, description="The number of the last attempt, from 1. It is the one that is shown.")
    usable: bool | None = Field(None, description="Null until the candidate has ended or is dropped.")
    reason: str | None = Field(None, description="Why the candidate is not usable.")
    summary: str | None = Field(None, description="The beginning of the agent's summary of what it did.")
    pull_requests: list[OpenedPullRequest] = Field(
        [], description="The pull requests that the run opened or works on, as they were when they were found."
    )
    closed_pull_requests: list[int] = Field(
        [],
        description="The ids of those that were closed after a pick or a selection. Some may be open again.",
    )
    branch_name: str | None = Field(None, description="The branch of the newest of them.")
    link: str | None = Field(None, description="The path of the run in this API. Null until the run is queued.")


class GraftFollowUp(BaseModel):
    """A prompt that has the base of an answer take over its grafts. Send it to the run's `resume`."""

    run: str = Field(description="The key of the run, which paths accept as {agent_run_id}.")
    prompt: str
    outcome: GraftOutcome | None = Field(None, description="Whether it was sent. Null without `synthesis.graft`.")
    problem: str | None = Field(None, description="Why it was not sent, or why that is unknown.")


class Gap(BaseModel):
    """A candidate that counts and has no usable answer."""

    candidate: int
    reason: str


class AnswerSnapshot(Answer):
    """The answer, the pull requests that it stands for, and where its words come from."""

    gaps: list[Gap] = Field(
        description="The candidates that it had to do without, and why. Empty until the multi-run has ended."
    )

    pull_requests: list[OpenedPullRequest] = Field(
        description="The pull requests of the candidate whose answer it is. Empty if it stands for none."
    )
    stands_for: str = Field(description="The same in a sentence.")
    follow_up: GraftFollowUp | None = Field(None, description="Null if there is nothing to take over.")
    provenance: Provenance | None = Field(None, description="Where the words come from, measured by overlap.")


class Estimate(BaseModel):
    """The cost of a multi-run, known before it starts."""

    runs: int = Field(description="The most runs at Codegen: candidates, judges and synthesis.")
    runs_at_least: int = Field(description="The fewest, if every run gives a usable answer at the first attempt.")


class PickSnapshot(BaseModel):
    """A person's choice of a candidate, whose answer is the answer of the multi-run."""

    candidate: int
    agent_run_id: int | None = Field(None, description="The run at Codegen whose answer this is.")
    picked_by: str = Field(description="The caller, such as `user:789`.")
    picked_at: str
    reason: str | None = None


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
    on_deadline: OnDeadline = OnDeadline.PARTIAL
    first_k: int | None = Field(None, description="The number of usable answers that are enough.")
    adaptive: Adaptive | None = None
    second_wave: SecondWave | None = Field(None, description="Null if there is none.")
    finished_at: str | None = None
    paused_scope: Literal["queue_only"] | None = Field(
        None,
        description=(
            "Set while the multi-run is paused. A paused multi-run launches no run, but agents that are already at "
            "work continue."
        ),
    )
    answer: Answer | None = None
    pick: PickSnapshot | None = Field(None, description="The pick, if a person picked a candidate.")
    reason: str | None = Field(None, description="Why the multi-run failed.")


class AnswerPreview(BaseModel):
    """The beginning of the answer of a multi-run."""

    source: AnswerSource
    candidate: int | None = None
    text: str = Field(description=f"The first {PREVIEW_CHARACTERS} characters.")
    truncated: bool


class MultiRunState(BaseModel):
    """A multi-run as its event log describes it, without its runs and without long texts."""

    id: str
    organization_id: int
    status: MultiRunStatus
    strategy: Strategy
    requested: int
    quorum: int
    finished: int = Field(description="Candidates that have ended, successfully or not.")
    usable: int = Field(description="Candidates with a usable answer.")
    dropped: int = Field(0, description="Candidates that do not count, because they were dropped or are not needed.")
    created_at: str
    deadline_at: str
    finished_at: str | None = None
    paused_scope: Literal["queue_only"] | None = None
    answer: AnswerPreview | None = None
    pick: PickSnapshot | None = None
    reason: str | None = Field(None, description="Why the multi-run failed.")
    link: str = Field(description="The path of the multi-run with its candidates and its whole answer.")


class CheckpointStartSnapshot(BaseModel):
    """The checkpoint that all candidates start from."""

    checkpoint_id: str
    run: str = Field(description="The key of the checkpoint's run.")
    agent_run_id: int
    link: str = Field(description="The path of the checkpoint.")


class MultiRunSnapshot(MultiRunSummary):
    """A multi-run with its runs."""

    from_checkpoint: CheckpointStartSnapshot | None = Field(
        None, description="Null if the candidates start from nothing."
    )

    close_losers: bool = Field(
        False, description="Whether the pull requests of the other candidates are closed when one is selected."
    )
    answer: AnswerSnapshot | None = None
    counts: Counts
    candidates: list[CandidateSnapshot]
    judging: JudgingSnapshot | None = Field(None, description="Null until judges are asked or a ranking exists.")
    synthesis: RunSnapshot | None = Field(None, description="The last synthesis run.")
    rejections: list[Rejection] = Field([], description="Outputs of synthesis runs that were not acceptable.")
    instructions: Instructions | None = Field(None, description="The instructions of the synthesis run.")
    strategy_used: StrategyUsed | None = Field(
        None,
        description=(
            "How the answer was made: `best_candidate` if the requested strategy gave nothing usable. Null without an "
            "answer."
        ),
    )
    estimate: Estimate
    allowed_actions: list[AllowedAction] = []
    warnings: Warnings = Field([])


class RunCancel(BaseModel):
    """The effect of a multi-run's cancel on one of its runs."""

    key: str
    candidate: int | None = Field(None, description="The index of the candidate; null for a judge or the synthesis.")
    agent_run_id: int | None = None
    status: Status
    means: Means | None = Field(None, description="How the run is cancelled; null if it continues.")
    side_effects: list[SideEffect] = Field([], description="Further effects of the cancel.")
    detail: str

    @property
    def open(self) -> bool:
        """Whether the Codegen API has yet to confirm the cancel."""
        return self.means is not None and not self.status.terminal


class CancelledMultiRun(MultiRunSnapshot):
    """A multi-run after a cancel, and the effect on each of its runs that had not ended."""

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
        on_deadline=multi_run.on_deadline,
        first_k=multi_run.first_k,
        adaptive=multi_run.adaptive,
        second_wave=SecondWave(candidates=multi_run.second_wave, best=[each.candidate for each in multi_run.best])
        if multi_run.second_wave
        else None,
        finished_at=_time(multi_run.finished_at),
        paused_scope="queue_only" if multi_run.paused_at is not None and not multi_run.status.terminal else None,
        answer=multi_run.current_answer,
        pick=pick_snapshot(multi_run),
        reason=multi_run.reason,
    )


def state(multi_run: MultiRun) -> MultiRunState:
    """Return a multi-run as its event log describes it."""
    answer = multi_run.current_answer
    text, is_cut = shorten(answer.text, PREVIEW_CHARACTERS) if answer else (None, False)
    return MultiRunState(
        **summary(multi_run).model_dump(include=MultiRunState.model_fields.keys() - {"answer", "reason"}),
        finished=multi_run.ended_count,
        usable=multi_run.usable_count,
        dropped=len(multi_run.dropped),
        answer=AnswerPreview(
            source=answer.source, candidate=answer.candidate, text=text or "", truncated=is_cut or answer.truncated
        )
        if answer
        else None,
        reason=shorten(multi_run.reason, PREVIEW_CHARACTERS)[0],
        link=link_to(multi_run),
    )


def pick_snapshot(multi_run: MultiRun) -> PickSnapshot | None:
    """Return the pick of a multi-run, as callers see it."""
    pick = multi_run.pick
    if pick is None:
        return None
    return PickSnapshot(**pick.model_dump(exclude={"answer", "picked_at"}), picked_at=timestamp(pick.picked_at / 1000))


def link_to(multi_run: MultiRun) -> str:
    """Return the path at which a caller can request a multi-run."""
    return link(f"/v1/organizations/{multi_run.org_id}/multi-runs/{multi_run.id}")


def snapshot(
    multi_run: MultiRun,
    watches: Mapping[str, Watch],
    queue: Mapping[str, QueuePlace] | None = None,
    *,
    now: float,
) -> MultiRunSnapshot:
    """Return the snapshot of a multi-run and its runs.

    Args:
        multi_run: The record of the multi-run.
        watches: The watches of its runs, by key.
        queue: The places in the launch queue, by key.
        now: The time in epoch seconds.
    """
    judgement, answer = judge(multi_run, watches), multi_run.current_answer
    synthesis = watches.get(multi_run.synthesis_key)
    cost = costs.of(multi_run).runs
    return MultiRunSnapshot(
        **summary(multi_run).model_dump(exclude={"answer"}),
        from_checkpoint=_start(multi_run),
        close_losers=multi_run.closer is not None,
        answer=_answer(multi_run, answer, judgement) if answer else None,
        counts=Counts(**judgement.counts()),
        candidates=[_candidate(multi_run, candidate, queue or {}, now) for candidate in judgement.candidates],
        judging=judging(multi_run, watches, now=now),
        synthesis=run_snapshot(synthesis, now=now) if synthesis else None,
        rejections=multi_run.rejections,
        instructions=multi_run.instructions,
        strategy_used=_STRATEGIES_USED[answer.source] if answer else None,
        estimate=Estimate(runs=cost.at_most, runs_at_least=cost.at_least),
        allowed_actions=_allowed_actions(multi_run, judgement.candidates, watches),
    )


def _start(multi_run: MultiRun) -> CheckpointStartSnapshot | None:
    start = multi_run.from_checkpoint
    if start is None:
        return None
    path = link(f"/v1/organizations/{multi_run.org_id}/checkpoints/{start.id}")
    return CheckpointStartSnapshot(checkpoint_id=start.id, run=start.run, agent_run_id=start.agent_run_id, link=path)


def _allowed_actions(
    multi_run: MultiRun, candidates: Sequence[Candidate], watches: Mapping[str, Watch]
) -> list[AllowedAction]:
    """List the actions on a multi-run.

    A cancelled multi-run may still have runs upstream, which a further cancel that allows bans can stop.
    """
    ended = f"The multi-run has ended with status {multi_run.status}." if multi_run.status.terminal else None
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
    is_open = None if multi_run.status.terminal else f"The multi-run is {multi_run.status}."
    if multi_run.status is MultiRunStatus.CANCELLED:
        is_open = "The multi-run was cancelled."
    all_usable = all(each.finished and each.fault is None for each in candidates)
    none_usable = all(not each.finished or each.fault is not None for each in candidates)
    none_to_pick = "No candidate has ended with an answer or with a pull request."
    return [
        cancel,
        offered(Action.PAUSE, ended or ("The multi-run is already paused." if paused else None)),
        offered(Action.RESUME, ended or (None if paused else "The multi-run is not paused.")),
        offered(Action.RETRY, is_open or ("No candidate has failed." if all_usable else None)),
        offered(Action.RESYNTHESIZE, is_open or ("No candidate is usable." if none_usable else None)),
        offered(Action.PICK, none_to_pick if all(each.unpickable for each in candidates) else None),
        offered(Action.UNPICK, None if multi_run.pick else "No candidate is picked."),
    ]


def _answer(multi_run: MultiRun, answer: Answer, judgement: Judgement) -> AnswerSnapshot:
    index, candidates, sent = answer.candidate, judgement.candidates, multi_run.graft
    if index is None or not 0 <= index < len(candidates):
        opened, stands_for = [], "No pull request: a further run wrote this answer from the candidates' answers."
    elif opened := opened_by(candidates[index].watch):
        names = ", ".join(each.url or str(each.id) for each in opened)
        stands_for = f"The work of candidate {numbered(index)}: {names}"
    else:
        stands_for = f"No pull request: candidate {numbered(index)} has none."
    texts = {each.index: each.result for each in judgement.usable}
    if index is not None:
        texts[index] = answer.text  # Its run may have got a follow-up since.
    prompt = follow_up(answer.grafts, {each.index: each.watch for each in candidates})
    base = candidates[index].watch if prompt and index is not None else None
    return AnswerSnapshot(
        **answer.model_dump(),
        gaps=[Gap(candidate=each.index, reason=each.gap) for each in candidates if each.gap]
        if multi_run.status.terminal
        else [],
        pull_requests=opened,
        stands_for=stands_for,
        follow_up=GraftFollowUp(run=base.key, prompt=prompt, **(sent.model_dump() if sent else {}))
        if base and prompt
        else None,
        provenance=measured(
            redact(answer.text),
            {index: redact(text) for index, text in sorted(texts.items())},
            second_wave=multi_run.second_wave,
        ),
    )


def opened_by(watch: Watch | None) -> list[OpenedPullRequest]:
    """Return the pull requests of a run. Those that its watch does not describe have only an id."""
    if watch is None:
        return []
    described = {each.id: each for each in watch.opened}
    return [described.get(each, OpenedPullRequest(id=each)) for each in watch.pull_requests]


def _candidate(
    multi_run: MultiRun, candidate: Candidate, queue: Mapping[str, QueuePlace], now: float
) -> CandidateSnapshot:
    drop = multi_run.dropped.get(str(candidate.index))
    unlaunched = RunSnapshot(status=Status.CANCELLED if drop else Status.QUEUED)
    run = run_snapshot(candidate.watch, now=now) if candidate.watch else unlaunched
    opened, options = opened_by(candidate.watch), multi_run.candidates[candidate.index]
    return CandidateSnapshot(
        **run.model_dump(),
        index=candidate.index,
        attempt=multi_run.attempt(candidate.index),
        queue=queue.get(multi_run.candidate_key(candidate.index)),
        **options.model_dump(exclude={"system_prompt"}),
        dropped=DropSnapshot(reason=drop.reason, dropped_by=drop.by, dropped_at=timestamp(drop.at / 1000))
        if drop
        else None,
        usable=None if candidate.pending else candidate.usable,
        reason=candidate.reason,
        summary=candidate.watch.summary if candidate.watch else None,
        pull_requests=opened,
        closed_pull_requests=[each.id for each in opened if each.id in multi_run.closed_pull_requests],
        branch_name=next((each.branch_name for each in reversed(opened) if each.branch_name), None),
        link=link_to_run(multi_run.org_id, candidate.watch.agent_run_id or candidate.watch.key)
        if candidate.watch
        else None,
    )


def _time(milliseconds: int | None) -> str | None:
    return timestamp(milliseconds / 1000) if milliseconds is not None else None
