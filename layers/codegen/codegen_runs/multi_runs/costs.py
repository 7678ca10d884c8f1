"""The runs at Codegen that a multi-run costs, known before it starts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import BaseModel, Field

from codegen_runs.multi_runs import judges, synthesis
from codegen_runs.storage.multi_runs import JudgePolicy, MultiRun, Strategy


class Span(BaseModel):
    """From a number of runs to another."""

    at_least: int = Field(description="If every run gives a usable answer at the first attempt.")
    at_most: int


@dataclass(frozen=True)
class Costs:
    """The runs of a multi-run by their kind. Retries that a caller requests are not part of them."""

    candidates: Span
    judges: Span
    syntheses: Span

    @property
    def runs(self) -> Span:
        """The runs of all kinds."""
        kinds = (self.candidates, self.judges, self.syntheses)
        return Span(at_least=sum(kind.at_least for kind in kinds), at_most=sum(kind.at_most for kind in kinds))


def of(multi_run: MultiRun) -> Costs:
    """Return the runs that a multi-run costs."""
    most, second = len(multi_run.candidates), len(multi_run.second_wave)
    least = min(most - second, multi_run.first_k or most)
    if adaptive := multi_run.adaptive:
        least = min(least, max(adaptive.start, adaptive.agree, multi_run.quorum))
    least += second
    return Costs(
        candidates=Span(at_least=least, at_most=most),
        judges=Span(at_least=_fewest_judges(multi_run, least), at_most=_most_judges(multi_run, most)),
        syntheses=Span(
            at_least=_syntheses(multi_run, least), at_most=synthesis.MOST_TRIES * _syntheses(multi_run, most)
        ),
    )


def further(multi_run: MultiRun, existing: Collection[str]) -> int:
    """Return the most runs that a multi-run that goes on starts, besides those whose keys exist already."""
    cost = of(multi_run)
    candidates = sum(key not in existing for key in _candidate_keys(multi_run))
    return candidates + (0 if multi_run.ranking else cost.judges.at_most) + cost.syntheses.at_most


def keys(multi_run: MultiRun) -> list[str]:
    """Return the keys of the watches of the runs that are expected: the candidates, the judges, and the synthesis."""
    count = len(multi_run.candidates)
    first = multi_run.earlier_judge_runs + 1
    of_judges = [multi_run.judge_key(first + number) for number in range(_expected_judges(multi_run, count))]
    of_synthesis = [multi_run.synthesis_key] if _syntheses(multi_run, count) else []
    return [*_candidate_keys(multi_run), *of_judges, *of_synthesis]


def _candidate_keys(multi_run: MultiRun) -> list[str]:
    """Return the keys of the watches of all candidates but those that a caller left out, which are not launched."""
    return [key for index, key in enumerate(multi_run.candidate_keys) if index not in multi_run.left_out]


def _fewest_judges(multi_run: MultiRun, count: int) -> int:
    """Return the number of judges if the evidence decides wherever it may."""
    is_certain = multi_run.judge is JudgePolicy.ALWAYS and _may_ask(multi_run)
    return judges.asked(count, multi_run.judges) if is_certain else 0


def _expected_judges(multi_run: MultiRun, count: int) -> int:
    """Return the number of judges if the evidence does not decide, no judge fails, and no candidate changes code."""
    if multi_run.judge is JudgePolicy.AUTO and not judges.needs_ranking(multi_run, count, is_code=False):
        return 0
    return judges.asked(count, multi_run.judges) if _may_ask(multi_run) else 0


def _most_judges(multi_run: MultiRun, count: int) -> int:
    """Return the number of judges if each place needs a second try and two judges contradict each other."""
    if not _may_ask(multi_run) or count < 2:
        return 0
    again = multi_run.judges if multi_run.judges > 1 else 0
    return judges.MOST_TRIES * judges.asked(count, multi_run.judges) + again


def _may_ask(multi_run: MultiRun) -> bool:
    return multi_run.judge is not JudgePolicy.NEVER and multi_run.strategy is not Strategy.NONE


def _syntheses(multi_run: MultiRun, usable: int) -> int:
    return 1 if multi_run.strategy is Strategy.SYNTHESIZE and usable > 1 else 0
