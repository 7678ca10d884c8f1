"""Which candidates the state machine launches next. It waits for all of them before anything else follows.

The first wave has all candidates; with `adaptive`, only as many as are to start. Then the answers are compared, and
while too few agree, a further wave has as many candidates as could change that. A candidate that a caller added
meanwhile is part of the next wave: its run is queued already, and the state machine waits for its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs.judging import OVERDUE, Judgement
from codegen_runs.multi_runs.similarity import compared
from codegen_runs.storage.multi_runs import MultiRun


class Unneeded(NamedTuple):
    """The candidates that are never launched, and why."""

    candidates: list[int]
    reason: str


def first(multi_run: MultiRun, judgement: Judgement) -> list[int]:
    """Return the candidates to launch when the state machine starts."""
    wanted = {*_at_start(multi_run), *multi_run.launched}
    return [each.index for each in judgement.candidates if each.pending and each.index in wanted]


def further(multi_run: MultiRun, judgement: Judgement, *, now: float) -> list[int]:
    """Return the candidates to launch after the state machine has waited for the ones before."""
    waiting = _to_launch(multi_run, judgement)
    at_start = _at_start(multi_run)
    if pending := [index for index in waiting if index in at_start]:
        return pending
    if multi_run.adaptive is None or _is_late(multi_run, now):
        return []
    return waiting[: _missing_answers(multi_run, judgement)]


def unneeded(multi_run: MultiRun, judgement: Judgement, *, now: float) -> Unneeded:
    """Return the candidates that are not launched, once nothing more is to launch."""
    reason = OVERDUE if _is_late(multi_run, now) else ""
    if multi_run.adaptive and not _missing_answers(multi_run, judgement):
        reason = f"Not needed: {_agreeing(judgement)} answers agree."
    return Unneeded(_to_launch(multi_run, judgement), reason)


def _at_start(multi_run: MultiRun) -> Sequence[int]:
    """Return the candidates that wait for no other one."""
    if multi_run.adaptive is None:
        return range(len(multi_run.candidates))
    added = [index for index, each in enumerate(multi_run.candidates) if each.added]
    return [*range(multi_run.adaptive.start), *added]


def _to_launch(multi_run: MultiRun, judgement: Judgement) -> list[int]:
    """Return the candidates that the state machine was not told to launch."""
    launched = set(multi_run.launched)
    return [each.index for each in judgement.candidates if each.pending and each.index not in launched]


def _missing_answers(multi_run: MultiRun, judgement: Judgement) -> int:
    """Return how many further answers are needed at least; 0 if enough are usable and enough agree."""
    agree = multi_run.adaptive.agree if multi_run.adaptive else 0
    return max(0, agree - _agreeing(judgement), multi_run.required - len(judgement.usable))


def _agreeing(judgement: Judgement) -> int:
    return compared({each.index: each.result for each in judgement.usable}).agreeing


def _is_late(multi_run: MultiRun, now: float) -> bool:
    return milliseconds(now) >= multi_run.deadline_at
