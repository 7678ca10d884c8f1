"""Ranking candidates: by the evidence of their runs, and by the verdicts of judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.judging import Candidate
from codegen_runs.multi_runs.similarity import compared

# The most characters of an answer that count for its agreement with others.
MOST_COMPARED = 20_000

Pair = tuple[int, int]
"""Two candidates, by index."""

Vote = Sequence[int]
"""Candidates, the best first. Those that are missing come after them and are equal."""

# What a judge gives a candidate for each other one that it ranks lower, and for each that it ranks equal.
BETTER, EQUAL = 2, 1


def tested(evidence: Evidence | None) -> Literal["passed", "failed"] | None:
    """Return the outcome of a candidate's own tests. It is unknown if files were changed after them."""
    if evidence is None or evidence.changed_after_tests or evidence.tests_outcome == "no_tests":
        return None
    return evidence.tests_outcome


def failed_against_passed(candidates: Iterable[int], evidence: Mapping[int, Evidence]) -> list[int]:
    """Return the candidates whose tests failed, if the tests of another one passed."""
    outcomes = {index: tested(evidence.get(index)) for index in candidates}
    if "passed" not in outcomes.values():
        return []
    return [index for index, outcome in outcomes.items() if outcome == "failed"]


def by_evidence(candidates: Sequence[Candidate], evidence: Mapping[int, Evidence]) -> list[int]:
    """Return the candidates, the best first, without the opinion of a judge.

    Passed tests come before unknown ones, and failed tests last. Then an answer with which more others agree is better,
    then the one whose length is nearer to the median, then the first one.
    """
    if not candidates:
        return []
    tiers = {"passed": 0, None: 1, "failed": 2}
    clusters = compared({each.index: each.result[:MOST_COMPARED] for each in candidates}).clusters
    agreeing = {index: len(cluster) for cluster in clusters for index in cluster}
    lengths = sorted(len(each.result) for each in candidates)
    middle = lengths[len(lengths) // 2]

    def key(candidate: Candidate) -> tuple[int, int, int, int]:
        index = candidate.index
        tier = tiers[tested(evidence.get(index))]
        return tier, -agreeing[index], abs(len(candidate.result) - middle), index

    return [candidate.index for candidate in sorted(candidates, key=key)]


@dataclass(frozen=True)
class Count:
    """The Borda count of some votes.

    Attributes:
        points: The points of each candidate.
        contradictions: The pairs that two votes ranked in opposite ways, and whether a second comparison settled it.
        compared: The number of pairs that two votes ranked.
    """

    points: Mapping[int, int]
    contradictions: Mapping[Pair, bool]
    compared: int

    def open_pairs(self, *, for_first_place: bool) -> list[Pair]:
        """Return the contradicted pairs that are not settled; those that can decide the first place, or all."""
        pairs = [pair for pair, settled in self.contradictions.items() if not settled]
        if not for_first_place:
            return pairs
        # If a pair is settled, one candidate gets the points that the other one loses.
        swing = {index: sum(BETTER for pair in pairs if index in pair) for index in self.points}
        certain = max((points - swing[index] for index, points in self.points.items()), default=0)
        rivals = {index for index, points in self.points.items() if points + swing[index] >= certain}
        return [pair for pair in pairs if rivals.issuperset(pair)]


def count(pool: Sequence[int], votes: Sequence[Vote], again: Sequence[Vote] = ()) -> Count:
    """Count votes on a pool of candidates.

    Args:
        pool: The candidates.
        votes: One vote, or one in each order.
        again: Two votes, in each order, on the pairs that the first ones contradicted. If they agree on such a pair,
            they replace the first ones.
    """
    points = dict.fromkeys(pool, 0)
    contradictions: dict[Pair, bool] = {}
    compared = 0
    for one, other in combinations(sorted(pool), 2):
        opinions = [_opinion(vote, one, other) for vote in votes]
        if len(opinions) > 1 and all(opinions):
            compared += 1
            if sum(opinions) == 0:
                second = [_opinion(vote, one, other) for vote in again]
                settled = len(second) > 1 and abs(sum(second)) == len(second)
                contradictions[one, other] = settled
                opinions = second if settled else opinions
        for opinion in opinions:
            points[one] += EQUAL + opinion
            points[other] += EQUAL - opinion
    return Count(points, contradictions, compared)


def _opinion(vote: Vote, one: int, other: int) -> int:
    """Return 1 if a vote ranks the first candidate above the other one, -1 if below, 0 if equal."""
    places = {candidate: place for place, candidate in enumerate(vote)}
    first, second = places.get(one, len(vote)), places.get(other, len(vote))
    return (first < second) - (first > second)
