"""How similar answers are in their words, and which of them agree.

Texts are compared by *shingles*: runs of consecutive words, without case and punctuation. The work grows with
the length of the texts, not with its square. Words are not meaning: two answers that differ in a "not" are similar, and
two that say the same in other words are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, Field

from codegen_runs.searching import folded

SHINGLE = 2
"""The words of a shingle in a comparison of two answers."""

AGREE = 0.5
"""The similarity from which two answers agree."""

# The fewest shingles of the shorter text for which it counts how much of it is in the longer one.
_CONTAINED = 20

# Scripts without spaces between words: each of their characters is a word.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)

Shingle = tuple[str, ...]


class Pair(BaseModel):
    """Two answers."""

    candidates: tuple[int, int] = Field(description="The indexes of the candidates.")
    score: float = Field(description="From 0, no common words, to 1.")


class Agreement(BaseModel):
    """The similarity of all answers."""

    pairs: list[Pair]
    clusters: list[list[int]] = Field(
        description=(
            f"The indexes of candidates whose answers have a similarity of at least {AGREE}, each with each; the "
            "largest group first. A candidate that agrees with no other one is a group of its own."
        )
    )
    summary: str = Field(description="Such as `4 of 5 agree`.")

    @property
    def agreeing(self) -> int:
        """The number of candidates in the largest group."""
        return len(self.clusters[0]) if self.clusters else 0


def words(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return _WORD.findall(text.lower() if text.isascii() else folded(text))


def runs(words: Sequence[str], size: int) -> Iterator[Shingle]:
    """Yield the runs of `size` consecutive words."""
    return zip(*(words[start:] for start in range(size)), strict=False)


def shingles(text: str, size: int = SHINGLE) -> frozenset[Shingle]:
    """Return the shingles of a text. A text with fewer than `size` words has one, with all of its words."""
    found = words(text)
    return frozenset(runs(found, size)) if len(found) >= size else frozenset({tuple(found)} - {()})


def similarity(one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
    """Return the similarity of two texts, from 0 to 1.

    It is the common share of all their shingles, or the share of the shorter text that is in the longer one, if that is
    larger and the shorter text is not very short.
    """
    if not one or not other:
        return 0.0
    common = len(one & other)
    shorter = min(len(one), len(other))
    jaccard = common / (len(one) + len(other) - common)
    return round(max(jaccard, common / shorter) if shorter >= _CONTAINED else jaccard, 3)


def compared(answers: Mapping[int, str]) -> Agreement:
    """Compare answers, given by the index of their candidate, each with each."""
    found = {index: shingles(text) for index, text in sorted(answers.items())}
    indexes = list(found)
    scores = {
        (one, other): similarity(found[one], found[other])
        for place, one in enumerate(indexes)
        for other in indexes[place + 1 :]
    }
    clusters: list[list[int]] = []
    for index in indexes:
        fitting = [
            cluster
            for cluster in clusters
            if all(scores[min(index, each), max(index, each)] >= AGREE for each in cluster)
        ]
        if fitting:
            max(fitting, key=len).append(index)  # of equal ones, the first
        else:
            clusters.append([index])
    clusters.sort(key=lambda cluster: (-len(cluster), cluster))
    largest = len(clusters[0]) if clusters else 0
    return Agreement(
        pairs=[Pair(candidates=pair, score=score) for pair, score in scores.items()],
        clusters=clusters,
        summary=f"{largest} of {len(indexes)} agree" if largest > 1 else "no two answers agree",
    )
