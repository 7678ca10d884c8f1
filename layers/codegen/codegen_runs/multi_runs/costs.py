"""The runs at Codegen that a multi-run costs, known before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field

from codegen_runs.storage.multi_runs import MultiRun, Strategy


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
    least = most = len(multi_run.candidates)
    return Costs(
        candidates=Span(at_least=least, at_most=most),
        judges=Span(at_least=0, at_most=0),
        syntheses=Span(at_least=_syntheses(multi_run, least), at_most=_syntheses(multi_run, most)),
    )


def _syntheses(multi_run: MultiRun, usable: int) -> int:
    return 0 if multi_run.strategy is Strategy.NONE or usable < 2 else 1
