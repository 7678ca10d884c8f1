"""Which candidates the state machine launches next. It waits for all of them before anything else follows."""

from __future__ import annotations

from codegen_runs.multi_runs.judging import Judgement
from codegen_runs.storage.multi_runs import MultiRun


def first(judgement: Judgement) -> list[int]:
    """Return the candidates to launch when the state machine starts: those that have not ended."""
    return [candidate.index for candidate in judgement.candidates if not candidate.finished]


def further(multi_run: MultiRun, judgement: Judgement) -> list[int]:  # noqa: ARG001
    """Return the candidates to launch after the state machine has waited for the ones before: none."""
    return []
