"""The judges of a multi-run and the ranking of its candidates, as callers see them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field

from codegen_runs.runs.snapshots import RunSnapshot, run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import JudgeRun, MultiRun
from codegen_runs.storage.runs import Watch


class RankedSnapshot(BaseModel):
    """The place of a usable candidate."""

    candidate: int = Field(description="The index of the candidate.")
    rank: int = Field(description="From 1, the best. Candidates with the same points have the same rank.")
    points: int | None = Field(
        None,
        description=(
            "The Borda count: 2 for each candidate that a judge ranks lower, and 1 for each that it ranks equal. Null "
            "if no judge of the last stage ranked the candidate."
        ),
    )
    reasons: list[str] = Field(description="Why, from its tests and as the judges put it.")


class ContradictionSnapshot(BaseModel):
    """Two candidates that the judges rank one way in one order and the other way in the opposite order."""

    candidates: tuple[int, int]
    settled: bool = Field(description="Whether the judges agreed when they compared the two again.")


class JudgeSnapshot(RunSnapshot):
    """A judge run and its verdict."""

    number: int = Field(description="From 1, through all judge runs of the multi-run.")
    stage: int = Field(description="From 0. The best of several groups are judged in the next stage.")
    again: bool = Field(description="Whether it compares pairs again about which two judges contradict each other.")
    order: list[int] = Field(description="The candidates in the order of the prompt.")
    ranking: list[int] | None = Field(
        None, description="The candidates, the best first. Those that are missing are equal. Null without a verdict."
    )
    reasons: dict[str, str] = Field(description="A sentence about each candidate, by its index.")
    none_acceptable: bool = Field(description="Whether the judge finds no candidate acceptable.")
    problem: str | None = Field(None, description="Why there is no verdict.")


class JudgingSnapshot(BaseModel):
    """How the usable candidates are ranked."""

    ranking: list[RankedSnapshot] | None = Field(None, description="The best first. Null until they are ranked.")
    by_judges: bool | None = Field(
        None, description="Whether verdicts of judges decided the first place. Otherwise the evidence did."
    )
    reason: str | None = Field(None, description="Why no judge was asked, or why the verdicts do not decide.")
    contradictions: list[ContradictionSnapshot] = Field([], description="Those of the last stage.")
    pairs_in_both_orders: int = Field(0, description="The pairs of candidates that judges ranked in both orders.")
    flip_rate: float | None = Field(
        None, description="The share of these pairs that the judges ranked differently in the opposite order."
    )
    disagreements: list[str] = Field([], description="Where the answers contradict each other, as the judges put it.")
    none_acceptable: bool = Field(False, description="Whether all judges found no candidate acceptable.")
    judges: list[JudgeSnapshot] = Field(description="The judge runs. Empty if none was asked.")


def judging(multi_run: MultiRun, watches: Mapping[str, Watch], *, now: float) -> JudgingSnapshot | None:
    """Return how the candidates of a multi-run are ranked; None until judges are asked or a ranking exists.

    Args:
        multi_run: The multi-run.
        watches: The watches of its runs, by key.
        now: The time in epoch seconds.
    """
    if not multi_run.judge_runs and multi_run.ranking is None:
        return None
    judges = [_judge(run, watches.get(multi_run.judge_key(run.number)), now) for run in multi_run.judge_runs]
    ranking = multi_run.ranking
    if ranking is None:
        return JudgingSnapshot(judges=judges)
    return JudgingSnapshot(
        ranking=[RankedSnapshot(**each.model_dump()) for each in ranking.candidates],
        by_judges=ranking.by_judges,
        reason=ranking.reason,
        contradictions=[ContradictionSnapshot(**each.model_dump()) for each in ranking.contradictions],
        pairs_in_both_orders=ranking.compared,
        flip_rate=round(ranking.flipped / ranking.compared, 3) if ranking.compared else None,
        disagreements=ranking.disagreements,
        none_acceptable=ranking.none_acceptable,
        judges=judges,
    )


def _judge(run: JudgeRun, watch: Watch | None, now: float) -> JudgeSnapshot:
    shown = run_snapshot(watch, now=now) if watch else RunSnapshot(status=Status.QUEUED)
    verdict = run.model_dump(include={"number", "stage", "again", "order", "ranking", "reasons", "problem"})
    return JudgeSnapshot(**shown.model_dump(), **verdict, none_acceptable=run.none_acceptable)
