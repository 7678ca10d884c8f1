"""Provenance: the overlap of a long answer with its candidates, against `difflib` on the same texts."""

from __future__ import annotations

import difflib
import random
import time
from typing import TYPE_CHECKING

from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target
from codegen_runs.multi_runs.provenance import measured

if TYPE_CHECKING:
    from collections.abc import Callable

CANDIDATES = 20
CANDIDATE_CHARACTERS = 60_000
ANSWER_CHARACTERS = 100_000


def section(*, repetitions: int) -> Section:
    """Measure both in pairs, on one answer that is made of paragraphs of all candidates."""
    answer, candidates = texts()
    measurements = Pairs("provenance", [], [])
    for _ in range(repetitions):
        measurements.ours.append(_seconds(lambda: measured(answer, candidates)))
        measurements.baseline.append(_seconds(lambda: matching_blocks(answer, candidates)))
    return Section(
        title="Provenance of an answer",
        notes=[
            f"Answer: {ANSWER_CHARACTERS} characters. Candidates: {CANDIDATES} of {CANDIDATE_CHARACTERS} characters.",
            "The baseline finds the matching blocks of words of the answer and each candidate with difflib.",
        ],
        head=PAIRS_HEAD,
        rows=[measurements.row()],
        targets=[Target("ratio to difflib", measurements.ratio, 0.05)],
        numbers={"ours_s": measurements.ours, "difflib_s": measurements.baseline, "ratio": measurements.ratio},
    )


def texts() -> tuple[str, dict[int, str]]:
    """Return an answer and its candidates, always the same."""
    rng = random.Random(1)  # the same texts each time
    vocabulary = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9))) for _ in range(4_000)]
    # Few words are used often, as in any language.
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]

    def paragraph() -> str:
        return " ".join(rng.choices(vocabulary, weights, k=60))

    candidates = {
        index: "\n\n".join(paragraph() for _ in range(CANDIDATE_CHARACTERS // 300))[:CANDIDATE_CHARACTERS]
        for index in range(CANDIDATES)
    }
    taken = (rng.choice(candidates[number % CANDIDATES].split("\n\n")) for number in range(ANSWER_CHARACTERS // 200))
    return "\n\n".join(taken)[:ANSWER_CHARACTERS], candidates


def matching_blocks(answer: str, candidates: dict[int, str]) -> int:
    """Return how many blocks of words of an answer and its candidates match."""
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(answer.split())
    count = 0
    for text in candidates.values():
        matcher.set_seq1(text.split())
        count += len(matcher.get_matching_blocks())
    return count


def _seconds(measure: Callable[[], object]) -> float:
    started = time.perf_counter()
    measure()
    return time.perf_counter() - started
