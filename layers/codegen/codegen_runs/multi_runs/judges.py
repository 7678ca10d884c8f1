"""Which judges are asked, about which candidates, and the ranking that follows from their verdicts.

Everything follows from the record, so it can be decided again at any time. Position decides nothing: of two judges, the
second has the candidates in the opposite order. More than ten candidates are judged in groups, the best of which are
judged in the next stage. Pairs that the two orders contradict are compared again once. If a judge gives no verdict, a
second one is asked; if there is none again, the evidence ranks the candidates.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from codegen_runs.events import shorten
from codegen_runs.multi_runs import ranking
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.judging import Candidate, numbered
from codegen_runs.multi_runs.ranking import Count
from codegen_runs.multi_runs.verdicts import NoVote, labels_for, verdict
from codegen_runs.searching import folded
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    Contradiction,
    JudgePolicy,
    JudgeRun,
    MultiRun,
    RankedCandidate,
    Ranking,
    Standing,
    Strategy,
)
from codegen_runs.storage.runs import Watch

GROUP = 10
"""The most candidates that one judge compares."""

MOST_TRIES = 2
"""How many judges are asked until there is a verdict."""

# The most characters of all reasons of one round of judges, the least and the most of one reason, and the most
# disagreements. They are stored in the item of the multi-run, which holds 400 KB.
REASONS_CHARACTERS = 6_000
FEWEST_CHARACTERS, MOST_CHARACTERS = 40, 300
MOST_DISAGREEMENTS = 5


def read(run: JudgeRun, watch: Watch | None, candidates: int = GROUP) -> JudgeRun:
    """Return a judge run with its verdict, or with the reason why there is none.

    Args:
        run: The judge run.
        watch: The watch of the run; None if it was never queued.
        candidates: The number of candidates of the multi-run. The more there are, the shorter are the stored reasons.
    """
    most = max(FEWEST_CHARACTERS, min(MOST_CHARACTERS, REASONS_CHARACTERS // max(1, candidates)))
    if watch is None or not watch.status.terminal:
        return _without_verdict(run, "No reply in time.")
    if watch.status is not Status.COMPLETED:
        return _without_verdict(run, watch.status_reason or f"The run ended with status {watch.status}.")
    labels = dict(zip(labels_for(len(run.order)), run.order, strict=True))
    found = verdict(watch.result or "", list(labels))
    if isinstance(found, NoVote):
        return _without_verdict(run, found.reason)
    return run.model_copy(
        update={
            "ranking": [labels[label] for label in found.ranking],
            "reasons": {str(labels[label]): _short(reason, most) for label, reason in found.reasons.items() if reason},
            "disagreements": [_short(each, most) for each in found.disagreements[:MOST_DISAGREEMENTS]],
            "none_acceptable": found.none_acceptable,
        }
    )


def standing(usable: Sequence[Candidate], evidence: Mapping[int, Evidence]) -> Standing:
    """Return what the evidence says about the usable candidates, which is given by index."""
    order = ranking.by_evidence(usable, evidence)
    return Standing(order=order, failed=ranking.failed_against_passed(order, evidence))


def following(
    multi_run: MultiRun, usable: Sequence[Candidate], standing: Standing, *, is_code: bool
) -> list[JudgeRun] | Ranking:
    """Return the judge runs that are still to come, new ones among them; or the ranking, if there is none.

    Args:
        multi_run: The multi-run, with the verdicts so far.
        usable: Its usable candidates.
        standing: What the evidence says about them.
        is_code: Whether the strategy needs the best candidate as a base, whatever the number of candidates.
    """
    if not multi_run.judge_runs and (reason := _unneeded(multi_run, usable, standing, is_code=is_code)):
        places = _places(standing.order, standing.failed, {}, {})
        return Ranking(candidates=places, by_judges=False, reason=reason)
    contest = _Contest(multi_run, standing.order)
    decided = contest.decide(standing.order if multi_run.judge is JudgePolicy.ALWAYS else standing.contenders)
    return contest.open if decided is None else decided.ranking(standing)


def restarted(multi_run: MultiRun) -> dict[str, Any]:
    """Return the changed fields of a multi-run whose candidates are ranked anew."""
    earlier = multi_run.earlier_judge_runs + len(multi_run.judge_runs)
    return {"ranking": None, "standing": None, "judge_runs": [], "earlier_judge_runs": earlier}


def asked(candidates: int, judges: int) -> int:
    """Return how many judge runs rank so many candidates, without second tries and without contradicted pairs."""
    runs = 0
    while candidates > GROUP:
        groups = ceil(candidates / GROUP)
        runs += groups * judges
        candidates = groups * _advancing(groups)
    return runs + judges if candidates > 1 else runs


def needs_ranking(multi_run: MultiRun, usable: int, *, is_code: bool) -> bool:
    """Return whether the strategy needs to know which of so many usable candidates are better."""
    if multi_run.strategy is Strategy.SYNTHESIZE:
        return is_code or usable > multi_run.synthesis.most
    return multi_run.strategy is not Strategy.NONE


def _unneeded(multi_run: MultiRun, usable: Sequence[Candidate], standing: Standing, *, is_code: bool) -> str | None:
    """Return why no judge is needed, in a sentence; None if one is."""
    if multi_run.judge is JudgePolicy.NEVER:
        return "No judge was asked, because `judge` is `never`."
    if multi_run.judge is JudgePolicy.ALWAYS:
        return None
    if not needs_ranking(multi_run, len(usable), is_code=is_code):
        return "No judge was asked, because the synthesis has all usable answers."
    contenders = [each for each in usable if each.index in standing.contenders]
    if len(contenders) == 1:
        best = numbered(contenders[0].index)
        return f"No judge was asked: the tests of candidate {best} passed, those of all others failed."
    if len({folded(each.result) for each in contenders}) == 1 and not any(each.pull_requests for each in contenders):
        return "No judge was asked, because the answers are the same."
    return None


@dataclass
class _Board:
    """Some candidates with the verdicts on them; one verdict for each order."""

    pool: Sequence[int]
    runs: Sequence[JudgeRun]
    again: Sequence[JudgeRun] = ()
    problem: str | None = None
    """Why there is no verdict of some judge."""

    @property
    def count(self) -> Count:
        votes = [] if self.problem else [run.ranking or [] for run in self.runs]
        return ranking.count(self.pool, votes, [run.ranking or [] for run in self.again])

    def ordered(self, by_evidence: Sequence[int]) -> list[int]:
        """Return the candidates, the best first. Where the points are the same, the evidence decides."""
        points = self.count.points
        return sorted(self.pool, key=lambda index: (-points[index], by_evidence.index(index)))


@dataclass
class _Contest:
    """The stages of judging a multi-run's candidates."""

    multi_run: MultiRun
    by_evidence: Sequence[int]
    open: list[JudgeRun] = field(default_factory=list)
    """The judge runs that have not ended, and new ones."""

    def decide(self, pool: Sequence[int]) -> _Decided | None:
        """Go through the stages. Return None if a judge run has to end first: see `open`."""
        pool = _shuffled(sorted(pool), self.multi_run.id)
        earlier: list[list[_Board]] = []
        while len(pool) > GROUP:
            groups = ceil(len(pool) / GROUP)
            boards = [self._board(len(earlier), group, pool[group::groups]) for group in range(groups)]
            if self.open:
                return None
            earlier.append(boards)
            best = {index for board in boards for index in board.ordered(self.by_evidence)[: _advancing(groups)]}
            pool = [index for index in pool if index in best]
        last = self._board(len(earlier), 0, pool)
        if not self.open and not last.problem:
            last = self._asked_again(len(earlier), last)
        return None if self.open else _Decided(last, earlier)

    def _board(self, stage: int, group: int, pool: Sequence[int]) -> _Board:
        board = _Board(pool, [])
        for swapped in (False, True)[: self.multi_run.judges]:
            order = list(reversed(pool)) if swapped else list(pool)
            slot = JudgeRun(number=0, stage=stage, group=group, swapped=swapped, order=order)
            run = self._run(slot, MOST_TRIES)
            if run is not None and run.ranking is None:
                board.problem = run.problem
            board.runs = [*board.runs, *([run] if run else [])]
        return board

    def _asked_again(self, stage: int, board: _Board) -> _Board:
        """Return a board with the verdicts of the judges who compared the contradicted pairs again."""
        pairs = board.count.open_pairs(for_first_place=self.multi_run.strategy is Strategy.SELECT)
        involved = {index for pair in pairs for index in pair}
        pool = _shuffled([index for index in board.pool if index in involved], f"{self.multi_run.id} again")
        runs = []
        for swapped in (False, True) if pairs else ():
            order = list(reversed(pool)) if swapped else list(pool)
            runs.append(self._run(JudgeRun(number=0, stage=stage, again=True, swapped=swapped, order=order), 1))
        return _Board(board.pool, board.runs, [run for run in runs if run and run.ranking is not None])

    def _run(self, slot: JudgeRun, most_tries: int) -> JudgeRun | None:
        """Return the run at this place of the contest, with or finally without a verdict; None if it is open."""
        tries = [run for run in self.multi_run.judge_runs if _place(run) == _place(slot)]
        if tries and (tries[-1].ranking is not None or len(tries) >= most_tries) and tries[-1].ended:
            return tries[-1]
        if tries and not tries[-1].ended:
            self.open.append(tries[-1])
        else:
            new = sum(run.number > self._last_number for run in self.open)
            self.open.append(slot.model_copy(update={"number": self._last_number + new + 1}))
        return None

    @property
    def _last_number(self) -> int:
        return self.multi_run.earlier_judge_runs + len(self.multi_run.judge_runs)


@dataclass(frozen=True)
class _Decided:
    """A contest whose judges have all replied, or will not."""

    last: _Board
    earlier: Sequence[Sequence[_Board]]

    def ranking(self, standing: Standing) -> Ranking:
        """Return the ranking of all usable candidates."""
        by_evidence, failed = standing.order, standing.failed
        boards = [self.last, *(board for stage in reversed(self.earlier) for board in stage)]
        count = self.last.count
        order: list[int] = self.last.ordered(by_evidence)
        for stage in reversed(self.earlier):
            # Candidates that leave in the same stage are compared by their places in their groups.
            ordered = [board.ordered(by_evidence) for board in stage]
            left = [(group.index(index), by_evidence.index(index), index) for group in ordered for index in group]
            order += [index for _, _, index in sorted(left) if index not in order]
        order += [index for index in by_evidence if index not in order]
        # Tests count before opinions.
        order = [index for index in order if index not in failed] + [index for index in order if index in failed]
        runs = [run for board in boards for run in [*board.runs, *board.again] if run.ranking is not None]
        points = {} if self.last.problem else dict(count.points)
        first = [index for index in points if points[index] == max(points.values())]
        by_judges = len(first) == 1 and order[0] == first[0]
        return Ranking(
            candidates=_places(order, failed, points, _reasons(runs)),
            by_judges=by_judges,
            judges_failed=self.last.problem is not None,
            reason=self._reason(count, first if points else []),
            contradictions=[
                Contradiction(candidates=pair, settled=settled) for pair, settled in count.contradictions.items()
            ],
            compared=sum(board.count.compared for board in boards),
            flipped=sum(len(board.count.contradictions) for board in boards),
            disagreements=list(dict.fromkeys(each for run in runs for each in run.disagreements))[:MOST_DISAGREEMENTS],
            none_acceptable=_is_none_acceptable(self.last),
        )

    def _reason(self, count: Count, first: Sequence[int]) -> str | None:
        said = []
        if self.last.problem:
            problem = self.last.problem.rstrip(".")
            said.append(f"The judges gave no usable verdict, so the evidence decides ({problem}).")
        elif any(board.problem for stage in self.earlier for board in stage):
            said.append("The judges of a group gave no usable verdict, so the evidence decides in that group.")
        open_ = [pair for pair, settled in count.contradictions.items() if not settled]
        if open_ and not self.last.problem:
            pairs = ", ".join(f"{numbered(one)} and {numbered(other)}" for one, other in open_)
            said.append(f"The judges contradict each other about the candidates {pairs}.")
        if len(first) > 1:
            said.append(
                f"The candidates {numbered(*sorted(first))} have the same points, so the evidence decides between them."
            )
        if _is_none_acceptable(self.last):
            said.append("The judges found no candidate acceptable.")
        return " ".join(said) or None


def _place(run: JudgeRun) -> tuple[int, int, bool, bool]:
    return run.stage, run.group, run.again, run.swapped


def _advancing(groups: int) -> int:
    """Return how many of each of so many groups go on."""
    return max(1, GROUP // groups)


def _shuffled(indexes: list[int], seed: str) -> list[int]:
    random.Random(seed).shuffle(indexes)  # noqa: S311 - fairness, not secrecy
    return indexes


def _is_none_acceptable(board: _Board) -> bool:
    return bool(board.runs) and not board.problem and all(run.none_acceptable for run in board.runs)


def _places(
    order: Sequence[int], failed: Sequence[int], points: Mapping[int, int], reasons: Mapping[int, Sequence[str]]
) -> list[RankedCandidate]:
    found: list[RankedCandidate] = []
    for place, index in enumerate(order, start=1):
        before = found[-1] if found else None
        same = (
            before is not None
            and index in points
            and points[index] == points.get(before.candidate)
            and (index in failed) == (before.candidate in failed)
        )
        tests = ["Its tests failed, and those of another candidate passed."] if index in failed else []
        found.append(
            RankedCandidate(
                candidate=index,
                rank=before.rank if same and before else place,
                points=points.get(index),
                reasons=[*tests, *reasons.get(index, [])],
            )
        )
    return found


def _reasons(runs: Sequence[JudgeRun]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for run in runs:
        for index, reason in run.reasons.items():
            found.setdefault(int(index), []).append(reason)
    return {index: list(dict.fromkeys(each))[:4] for index, each in found.items()}


def _without_verdict(run: JudgeRun, problem: str) -> JudgeRun:
    return run.model_copy(update={"problem": _short(problem)})


def _short(text: str, most: int = MOST_CHARACTERS) -> str:
    return shorten(text, most)[0] or ""
