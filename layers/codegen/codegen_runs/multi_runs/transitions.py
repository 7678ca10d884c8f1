"""What happens to a multi-run, step by step: each function takes its record and returns a change with its events.

Nothing here reads a clock or a table: `now` is in epoch seconds. A function that may be called again returns None if
the record has the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from codegen_runs.clock import milliseconds
from codegen_runs.events import Event, Position, Writer, shorten
from codegen_runs.multi_runs.judging import Candidate, Judgement
from codegen_runs.storage.multi_runs import (
    Answer,
    BestCandidate,
    Drop,
    GraftOutcome,
    JudgeRun,
    MultiRun,
    MultiRunStatus,
    Pick,
    Ranking,
    Rejection,
    SentGraft,
    Standing,
    Variant,
)

# The most characters of a reason in an event.
REASON_CHARACTERS = 500

# The most ends of candidates in one change. A transaction has at most 100 actions, and an end has up to two events.
MOST_ENDS = 40

# The most candidates in one retry. Each is an event, and the runs that are being launched are written, too.
MOST_RETRIED = 50


class Change(NamedTuple):
    """The status of a multi-run from now on, its other fields that change, and the events to append."""

    status: MultiRunStatus
    fields: dict[str, Any]
    """None removes a field."""
    events: Sequence[Event] = ()


def created(multi_run: MultiRun, warnings: Sequence[dict[str, Any]] = (), *, now: float) -> Change:
    """A caller created the multi-run. `warnings` are the data of events about budgets."""
    writer = _writer(multi_run, now)
    writer.add(
        "multi_run.created",
        {
            "strategy": str(multi_run.strategy),
            "requested": len(multi_run.candidates),
            "quorum": multi_run.quorum,
            "second_wave": multi_run.second_wave,
            "from_checkpoint": multi_run.from_checkpoint.id if multi_run.from_checkpoint else None,
            "created_by": multi_run.created_by,
        },
    )
    for data in warnings:
        writer.add("budget.warning", data)
    return _change(multi_run.status, writer)


def launching(
    multi_run: MultiRun, candidates: Sequence[int], best: Sequence[BestCandidate] = (), *, now: float
) -> Change | None:
    """The state machine begins to launch candidates: those of the second wave, if it has the best ones of the first."""
    if multi_run.waves[-1:] == [list(candidates)]:
        return None
    writer = _writer(multi_run, now)
    if candidates:
        data = {"candidates": list(candidates), "best": [each.candidate for each in best]}
        writer.add("multi_run.launching", data)
    status = MultiRunStatus.RUNNING if multi_run.status is MultiRunStatus.QUEUED else multi_run.status
    return _change(
        status,
        writer,
        waves=[*multi_run.waves, list(candidates)],
        launched=sorted({*multi_run.launched, *candidates}),
        **({"best": list(best)} if best else {}),
    )


def candidates_ended(multi_run: MultiRun, candidates: Sequence[Candidate], *, now: float) -> Change | None:
    """Candidates have ended, at most `MOST_ENDS`. Those that have not ended, or whose end is recorded, are left out.

    If the multi-run has as many usable answers as are enough, it drops the candidates that have not ended. Those of the
    second wave stay.
    """
    if multi_run.status.terminal:
        return None
    writer = _writer(multi_run, now)
    outcomes = _ended(multi_run, candidates, writer)
    after = multi_run.model_copy(update={"outcomes": outcomes})
    dropped = multi_run.dropped
    if multi_run.first_k is not None and after.usable_count >= multi_run.first_k:
        ended = {*map(int, outcomes), *multi_run.second_wave}
        others = [index for index in range(len(multi_run.candidates)) if index not in ended]
        reason = f"Not needed any more: {after.usable_count} usable answers are enough."
        dropped = _dropped(after, others, writer, by=None, reason=reason, now=now)
    return _change(multi_run.status, writer, outcomes=outcomes, dropped=dropped) if writer.events else None


def candidate_added(multi_run: MultiRun, candidate: Variant, *, by: str, now: float) -> Change:
    """A caller added a candidate."""
    writer = _writer(multi_run, now)
    data = {"candidate": len(multi_run.candidates), "model": candidate.model, "agent_type": candidate.agent_type}
    writer.add("multi_run.candidate_added", data | {"requested_by": by})
    return _change(multi_run.status, writer, candidates=[*multi_run.candidates, candidate])


def candidate_dropped(multi_run: MultiRun, index: int, *, by: str, reason: str | None, now: float) -> Change | None:
    """A caller dropped a candidate."""
    writer = _writer(multi_run, now)
    reason = f"Dropped by a caller: {reason}" if reason else "Dropped by a caller."
    dropped = _dropped(multi_run, [index], writer, by=by, reason=reason, now=now)
    return _change(multi_run.status, writer, dropped=dropped) if writer.events else None


def gathered(
    multi_run: MultiRun, judgement: Judgement, unneeded: Sequence[tuple[Sequence[int], str]] = (), *, now: float
) -> Change | None:
    """All candidates that can still come have come. `unneeded` has those that are not launched, with the reason."""
    if multi_run.gathered_at is not None:
        return None
    writer = _writer(multi_run, now)
    after = multi_run
    for candidates, reason in unneeded:
        dropped = _dropped(after, candidates, writer, by=None, reason=reason, now=now)
        after = after.model_copy(update={"dropped": dropped})
    gaps = [
        {"candidate": each.index, "reason": _short(each.gap)}
        for each in judgement.candidates
        if each.gap and str(each.index) not in after.dropped
    ]
    if gaps and len(judgement.usable) >= multi_run.required:
        writer.add("multi_run.degraded", {"gaps": gaps, "usable_count": len(judgement.usable)})
    return _change(multi_run.status, writer, dropped=after.dropped, gathered_at=milliseconds(now))


def judging(multi_run: MultiRun, standing: Standing, runs: Sequence[JudgeRun], *, now: float) -> Change | None:
    """Judges are asked: `runs` has those of the record that have not ended, and new ones."""
    known = {run.number for run in multi_run.judge_runs}
    new = [run for run in runs if run.number not in known]
    if not new:
        return None
    writer = _writer(multi_run, now)
    writer.add(
        "multi_run.judging",
        {
            "judges": [run.number for run in new],
            "candidates": sorted({index for run in new for index in run.order}),
            "again": all(run.again for run in new),
        },
    )
    return _change(MultiRunStatus.JUDGING, writer, standing=standing, judge_runs=[*multi_run.judge_runs, *new])


def replied(multi_run: MultiRun, ended: Mapping[int, JudgeRun]) -> Change | None:
    """Judge runs have ended, which are given by number with their verdicts. An end that is recorded stays as it is."""
    runs = [run if run.ended else ended.get(run.number, run) for run in multi_run.judge_runs]
    return None if runs == multi_run.judge_runs else Change(multi_run.status, {"judge_runs": runs})


def judged(multi_run: MultiRun, standing: Standing, ranking: Ranking, *, now: float) -> Change | None:
    """The candidates are ranked."""
    if multi_run.ranking is not None:
        return None
    writer = _writer(multi_run, now)
    writer.add(
        "multi_run.judged",
        {
            "ranking": ranking.order,
            "by_judges": ranking.by_judges,
            "reason": _short(ranking.reason),
            "contradictions": [list(each.candidates) for each in ranking.contradictions if not each.settled][:20],
            "none_acceptable": ranking.none_acceptable,
        },
    )
    return _change(multi_run.status, writer, standing=standing, ranking=ranking)


def synthesizing(multi_run: MultiRun, base: int | None, order: Sequence[int], *, now: float) -> Change | None:
    """The synthesis begins, with the candidates in this order."""
    if multi_run.synthesis_order is not None:
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.synthesizing", {"candidates": sorted(order), "base": base, "synthesis": multi_run.syntheses})
    return _change(MultiRunStatus.SYNTHESIZING, writer, synthesis_order=list(order), base=base)


def synthesis_rejected(multi_run: MultiRun, number: int, reason: str, *, is_last: bool, now: float) -> Change | None:
    """The output of the synthesis run with this number is not acceptable. Another one may follow."""
    if any(rejection.synthesis == number for rejection in multi_run.rejections):
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.synthesis_rejected", {"synthesis": number, "reason": _short(reason), "last": is_last})
    rejections = [*multi_run.rejections, Rejection(synthesis=number, reason=_short(reason) or "")]
    again: dict[str, Any] = {} if is_last else {"syntheses": number + 1, "synthesis_order": None}
    return _change(multi_run.status, writer, rejections=rejections, **again)


def paused(multi_run: MultiRun, *, now: float) -> Change | None:
    """A caller paused the multi-run."""
    if multi_run.paused_at is not None:
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.paused", {"paused_scope": "queue_only"})
    return _change(multi_run.status, writer, paused_at=milliseconds(now))


def resumed(multi_run: MultiRun, *, now: float) -> Change | None:
    """A caller resumed the multi-run."""
    if multi_run.paused_at is None:
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.resumed", {})
    return _change(multi_run.status, writer, paused_at=None)


def cancelled(multi_run: MultiRun, *, by: str, reason: str | None, now: float) -> Change | None:
    """A caller cancelled the multi-run."""
    if multi_run.status is MultiRunStatus.CANCELLED:
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.cancelled", {"requested_by": by, "reason": _short(reason)})
    return _change(MultiRunStatus.CANCELLED, writer, finished_at=milliseconds(now))


def failed(multi_run: MultiRun, reason: str, *, now: float) -> Change:
    """The multi-run ends without an answer."""
    writer = _writer(multi_run, now)
    writer.add("multi_run.failed", {"reason": _short(reason)})
    return _change(MultiRunStatus.FAILED, writer, reason=reason, finished_at=milliseconds(now))


def completed(multi_run: MultiRun, answer: Answer | None, *, now: float) -> Change:
    """The multi-run ends with its answer; without one if it combines nothing."""
    writer = _writer(multi_run, now)
    writer.add(
        "multi_run.completed",
        {
            "source": str(answer.source) if answer else None,
            "candidate": answer.candidate if answer else None,
            "reason": _short(answer.reason) if answer else None,
        },
    )
    return _change(MultiRunStatus.COMPLETED, writer, answer=answer, finished_at=milliseconds(now))


def candidates_retried(
    multi_run: MultiRun, attempts: Mapping[int, int], *, by: str, now: float, **restarted: Any
) -> Change:
    """A caller has candidates run again.

    Args:
        multi_run: The multi-run, which has ended.
        attempts: The number of the attempt of each candidate, by its index.
        by: The id of the caller.
        now: The time in epoch seconds.
        restarted: The fields of a ranking and of a synthesis that begin anew.
    """
    writer = _writer(multi_run, now)
    for index, attempt in attempts.items():
        data = {"candidate": index, "attempt": attempt, "requested_by": by}
        writer.add("multi_run.candidate_retried", data)
    fields: dict[str, Any] = {
        "attempts": multi_run.attempts | {str(index): attempt for index, attempt in attempts.items()},
        "left_out": [],
        "outcomes": {index: usable for index, usable in multi_run.outcomes.items() if int(index) not in attempts},
        "deadline_at": milliseconds(now + multi_run.candidate_timeout_s),
        "gathered_at": None,
    }
    return _change(MultiRunStatus.RUNNING, writer, **_reopened(multi_run, now), **fields, **restarted)


def resynthesizing(multi_run: MultiRun, candidates: Sequence[int], *, by: str, now: float, **changed: Any) -> Change:
    """A caller has the answers of candidates combined again.

    `changed` has the fields of the request, and of a ranking and of a synthesis that begin anew.
    """
    writer = _writer(multi_run, now)
    strategy = str(changed.get("strategy", multi_run.strategy))
    data = {"candidates": list(candidates), "strategy": strategy, "requested_by": by}
    writer.add("multi_run.resynthesizing", data)
    left_out = [index for index in range(len(multi_run.candidates)) if index not in candidates]
    return _change(MultiRunStatus.RUNNING, writer, **_reopened(multi_run, now), **changed, left_out=left_out)


def _reopened(multi_run: MultiRun, now: float) -> dict[str, Any]:
    """Return the changed fields of a multi-run that has ended and goes on. A pick stays."""
    # Whoever reopens it did not request that pull requests are closed.
    gone = dict.fromkeys(("finished_at", "paused_at", "reason", "answer", "closer"))
    return {"execution": multi_run.execution + 1, "reopened_at": milliseconds(now), **gone}


def picked(multi_run: MultiRun, pick: Pick, *, now: float) -> Change | None:
    """A caller picked a candidate. The status stays: it says what the multi-run reached by itself."""
    before = multi_run.pick
    if before and before.candidate == pick.candidate:
        return None
    writer = _writer(multi_run, now)
    data = {
        "candidate": pick.candidate,
        "picked_by": pick.picked_by,
        "reason": pick.reason,
        "replaced": before.candidate if before else None,
    }
    writer.add("multi_run.picked", data)
    return _change(multi_run.status, writer, pick=pick)


def unpicked(multi_run: MultiRun, *, by: str, now: float) -> Change | None:
    """A caller undid the pick."""
    if multi_run.pick is None:
        return None
    writer = _writer(multi_run, now)
    writer.add("multi_run.unpicked", {"candidate": multi_run.pick.candidate, "unpicked_by": by})
    return _change(multi_run.status, writer, pick=None)


def pull_request_closed(multi_run: MultiRun, candidate: int, pull_request: int, *, by: str, now: float) -> Change:
    """The pull request of a candidate that was not picked or selected is closed."""
    writer = _writer(multi_run, now)
    data = {"candidate": candidate, "pull_request_id": pull_request, "closed_by": by}
    writer.add("multi_run.pull_request_closed", data)
    closed = [*dict.fromkeys([*multi_run.closed_pull_requests, pull_request])]
    return _change(multi_run.status, writer, closed_pull_requests=closed)


def pull_request_kept(multi_run: MultiRun, candidate: int, pull_request: int, reason: str, *, now: float) -> Change:
    """The pull request of a candidate that was not picked or selected stays, although a caller asked to close it."""
    writer = _writer(multi_run, now)
    data = {"candidate": candidate, "pull_request_id": pull_request, "reason": _short(reason)}
    writer.add("multi_run.pull_request_kept", data)
    kept = [*dict.fromkeys([*multi_run.kept_pull_requests, pull_request])]
    return _change(multi_run.status, writer, kept_pull_requests=kept)


def grafted(multi_run: MultiRun, *, outcome: GraftOutcome, problem: str | None, now: float) -> Change:
    """The base is sent what it should take over. Before that, and if there is no answer, the outcome is unknown."""
    sent = SentGraft(outcome=outcome, problem=_short(problem))
    if outcome is GraftOutcome.UNKNOWN and problem is None:
        return Change(multi_run.status, {"graft": sent})
    writer = _writer(multi_run, now)
    base = multi_run.answer.candidate if multi_run.answer else None
    writer.add("multi_run.grafted", {"candidate": base, "outcome": str(outcome), "problem": _short(problem)})
    return _change(multi_run.status, writer, graft=sent)


def _ended(multi_run: MultiRun, candidates: Sequence[Candidate], writer: Writer) -> dict[str, bool]:
    """Append the events for the ends that are not recorded yet; return the outcomes of all ended candidates."""
    outcomes = dict(multi_run.outcomes)
    for candidate in candidates:
        if len(outcomes) - len(multi_run.outcomes) == MOST_ENDS:
            break
        if candidate.dropped or not candidate.finished or candidate.watch is None or str(candidate.index) in outcomes:
            continue
        outcomes[str(candidate.index)] = candidate.usable
        after = multi_run.model_copy(update={"outcomes": outcomes})
        usable = after.usable_count
        writer.add(
            "multi_run.candidate_finished",
            {
                "candidate": candidate.index,
                "agent_run_id": candidate.watch.agent_run_id,
                "status": str(candidate.watch.status),
                "usable": candidate.usable,
                "reason": _short(candidate.reason),
                "finished_count": after.ended_count,
                "usable_count": usable,
            },
        )
        if candidate.usable and usable == multi_run.required:
            writer.add("multi_run.quorum_met", {"quorum": multi_run.required, "usable_count": usable})
    return outcomes


def _dropped(
    multi_run: MultiRun, indexes: Sequence[int], writer: Writer, *, by: str | None, reason: str, now: float
) -> dict[str, Drop]:
    """Append the event for candidates that are not dropped yet; return all that are dropped."""
    new = [index for index in indexes if str(index) not in multi_run.dropped]
    if new:
        writer.add("multi_run.candidates_dropped", {"candidates": new, "reason": _short(reason), "requested_by": by})
    drop = Drop(at=milliseconds(now), by=by, reason=reason)
    return multi_run.dropped | {str(index): drop for index in new}


def _writer(multi_run: MultiRun, now: float) -> Writer:
    return Writer(Position(multi_run.epoch, multi_run.seq), run_id=None, now=now)


def _change(status: MultiRunStatus, writer: Writer, **fields: Any) -> Change:
    return Change(status, {**fields, "seq": writer.position.seq}, writer.events)


def _short(reason: str | None) -> str | None:
    return shorten(reason, REASON_CHARACTERS)[0]
