"""Which candidates the state machine launches next. It waits for all of them before anything else follows.

All candidates of the first wave are launched at once; with `adaptive`, only as many as are to start. Then the answers
are compared, and while too few agree, as many further ones are launched as could change that. The second wave, if there
is one, is launched last, unless no answer is usable. A candidate that a caller added meanwhile is launched with the
next ones: its run is queued already, and the state machine waits for its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs.judging import OVERDUE, Candidate, Judgement
from codegen_runs.multi_runs.similarity import compared
from codegen_runs.storage.multi_runs import MultiRun

NOTHING_TO_START_FROM = "No candidate of the first wave has a usable answer to start from."
"""Why the second wave was dropped if it was not launched before the deadline."""


class Unneeded(NamedTuple):
    """The candidates that are never launched, and why."""

    candidates: list[int]
    reason: str


def first(multi_run: MultiRun, judgement: Judgement) -> list[int]:
    """Return the candidates to launch when the state machine starts."""
    wanted = {*_at_start(multi_run), *multi_run.launched}
    return [each.index for each in judgement.candidates if each.awaited and each.index in wanted]


def further(multi_run: MultiRun, judgement: Judgement, *, now: float) -> list[int]:
    """Return the candidates to launch after the state machine has waited for the ones before."""
    waiting = _to_launch(multi_run, judgement)
    at_start = _at_start(multi_run)
    if pending := [index for index in waiting if index in at_start]:
        return pending
    if _is_late(multi_run, now):
        return []
    second = [index for index in waiting if index in multi_run.second_wave]
    first = [index for index in waiting if index not in second]
    launched = first and first[: _missing_answers(multi_run, judgement)]
    return launched or (second if _usable_first(judgement) else [])


def unneeded(multi_run: MultiRun, judgement: Judgement, *, now: float) -> list[Unneeded]:
    """Return the candidates that are not launched, once nothing more is to launch."""
    waiting, is_late = _to_launch(multi_run, judgement), _is_late(multi_run, now)
    second = [index for index in waiting if index in multi_run.second_wave]
    first = [index for index in waiting if index not in second]
    found = []
    if first:
        is_missing = _missing_answers(multi_run, judgement) > 0
        reason = OVERDUE if is_missing else f"Not needed: {_agreeing(judgement)} answers agree."
        found.append(Unneeded(first, reason))
    if second:
        found.append(Unneeded(second, OVERDUE if is_late else NOTHING_TO_START_FROM))
    return found


def _at_start(multi_run: MultiRun) -> Sequence[int]:
    """Return the candidates that wait for no other one."""
    if multi_run.adaptive is None:
        return [index for index, each in enumerate(multi_run.candidates) if not each.second_wave]
    added = [index for index, each in enumerate(multi_run.candidates) if each.added]
    return [*range(multi_run.adaptive.start), *added]


def _to_launch(multi_run: MultiRun, judgement: Judgement) -> list[int]:
    """Return the candidates that the state machine was not told to launch."""
    launched = set(multi_run.launched)
    return [each.index for each in judgement.candidates if each.awaited and each.index not in launched]


def _missing_answers(multi_run: MultiRun, judgement: Judgement) -> int:
    """Return how many further answers an adaptive multi-run needs; 0 if enough are usable and enough agree."""
    if multi_run.adaptive is None:
        return 0
    missing = multi_run.required - len(_usable_first(judgement))
    return max(0, multi_run.adaptive.agree - _agreeing(judgement), missing)


def _agreeing(judgement: Judgement) -> int:
    return compared({each.index: each.result for each in _usable_first(judgement)}).agreeing


def _usable_first(judgement: Judgement) -> list[Candidate]:
    """Return the usable candidates of the first wave. Those of the second one have read their answers."""
    return [each for each in judgement.usable if not each.second_wave]


def _is_late(multi_run: MultiRun, now: float) -> bool:
    return milliseconds(now) >= multi_run.deadline_at
