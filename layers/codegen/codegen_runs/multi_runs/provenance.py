"""Where the words of an answer come from: measured by overlap with the candidates' answers, without a model.

The answer is split into blocks: paragraphs, headings, list items, and each block of code as one. A block overlaps with
a candidate by the share of its shingles that the candidate's answer has. The work grows with the length of the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

from codegen_runs.multi_runs.evidence.inputs import one_line
from codegen_runs.multi_runs.similarity import Shingle, runs, words

SHINGLE = 3
"""The words of a shingle. A shorter block is compared as a whole."""

OVERLAPS = 0.25
"""The score from which a block overlaps with a candidate."""

MOST_BLOCKS = 400
MOST_LEFT_OUT = 20
PREVIEW = 160

Kind = Literal["paragraph", "heading", "list_item", "code"]

_FENCE = re.compile(r"^\s{0,12}(`{3,}|~{3,})")
_ITEM = re.compile(r"^\s{0,40}(?:[-*+]|\d{1,9}[.)])\s")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s")


class Source(BaseModel):
    """A candidate that a block overlaps with."""

    candidate: int
    score: float = Field(description="The share of the block's words, in runs of three, that the candidate has.")


class BlockProvenance(BaseModel):
    """A block of the answer and the candidates that it overlaps with."""

    kind: Kind
    text: str = Field(description="The beginning of the block.")
    sources: list[Source] = Field(description=f"The candidates with a score of at least {OVERLAPS}, the highest first.")
    novel: bool = Field(description="Whether no candidate has such a score.")


class LeftOut(BaseModel):
    """What the answer does not have of a candidate."""

    candidate: int
    blocks: int = Field(description="The blocks of the candidate's answer.")
    taken: int = Field(description="The blocks that the answer overlaps with.")
    texts: list[str] = Field(description=f"The beginnings of the others, at most {MOST_LEFT_OUT}.")


class Provenance(BaseModel):
    """Where the words of an answer come from."""

    blocks: list[BlockProvenance]
    left_out: list[LeftOut]
    novel: int = Field(description="The blocks that overlap with no candidate.")
    second_wave: list[int] = Field(
        [],
        description=(
            "The candidates that had read summaries and answers of others. Words that they took over have several "
            "sources."
        ),
    )
    truncated: bool = Field(False, description=f"Whether the answer has more than {MOST_BLOCKS} blocks.")


class Block(NamedTuple):
    """A part of a text."""

    kind: Kind
    text: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a Markdown text, in their order. Blocks without a word are left out."""
    kind: Kind = "paragraph"
    lines: list[str] = []
    fence: str | None = None

    def ended() -> Iterator[Block]:
        block = Block(kind, "\n".join(lines).strip())
        lines.clear()
        if re.search(r"\w", block.text):
            yield block

    for line in text.splitlines():
        opened = _FENCE.match(line)
        if fence is not None:
            lines.append(line)
            if opened and opened[1].startswith(fence) and not line.strip().strip(fence[0]):
                yield from ended()
                fence, kind = None, "paragraph"
        elif opened:
            yield from ended()
            fence, kind = opened[1], "code"
            lines.append(line)
        elif not line.strip():
            yield from ended()
            kind = "paragraph"
        elif _HEADING.match(line):
            yield from ended()
            kind = "heading"
            lines.append(line)
            yield from ended()
            kind = "paragraph"
        else:
            if _ITEM.match(line):
                yield from ended()
                kind = "list_item"
            lines.append(line)
    yield from ended()


def measured(answer: str, candidates: Mapping[int, str], second_wave: Sequence[int] = ()) -> Provenance:
    """Measure where the words of an answer come from.

    Args:
        answer: The answer.
        candidates: The candidates' answers, by index.
        second_wave: Those of the second wave.
    """
    found = list(blocks(answer))
    shown = found[:MOST_BLOCKS]
    of_blocks = [_shingles(block.text) for block in shown]
    wanted: set[Shingle] = set().union(*of_blocks)
    sizes = sorted({len(shingle) for shingle in wanted})
    whole = {size: frozenset(runs(words(answer), size)) for size in sizes}
    sources: list[list[Source]] = [[] for _ in shown]
    left_out: list[LeftOut] = []
    for candidate, text in sorted(candidates.items()):
        spoken = words(text)
        # Only what the answer has is kept of a candidate.
        has: set[Shingle] = set()
        for size in sizes:
            has.update(wanted.intersection(runs(spoken, size)))
        for block, shingles in zip(sources, of_blocks, strict=True):
            score = _share(shingles, has)
            if score >= OVERLAPS:
                block.append(Source(candidate=candidate, score=round(score, 3)))
        left_out.append(_left_out(candidate, text, whole, answer))
    return Provenance(
        blocks=[
            BlockProvenance(
                kind=block.kind,
                text=one_line(block.text, PREVIEW),
                sources=sorted(overlapping, key=lambda source: (-source.score, source.candidate)),
                novel=not overlapping,
            )
            for block, overlapping in zip(shown, sources, strict=True)
        ],
        left_out=left_out,
        novel=sum(not overlapping for overlapping in sources),
        second_wave=[index for index in second_wave if index in candidates],
        truncated=len(found) > len(shown),
    )


def _left_out(candidate: int, text: str, whole: dict[int, frozenset[Shingle]], answer: str) -> LeftOut:
    count = taken = 0
    texts: list[str] = []
    for block in blocks(text):
        count += 1
        shingles = _shingles(block.text)
        size = len(next(iter(shingles), ()))
        if size not in whole:
            whole[size] = frozenset(runs(words(answer), size))
        if _share(shingles, whole[size]) >= OVERLAPS:
            taken += 1
        elif len(texts) < MOST_LEFT_OUT:
            texts.append(one_line(block.text, PREVIEW))
    return LeftOut(candidate=candidate, blocks=count, taken=taken, texts=texts)


def _shingles(text: str) -> frozenset[Shingle]:
    """Return the shingles of a block, all of the same size."""
    found = words(text)
    return frozenset(runs(found, min(SHINGLE, len(found)))) if found else frozenset()


def _share(shingles: frozenset[Shingle], has: set[Shingle] | frozenset[Shingle]) -> float:
    return len(shingles & has) / len(shingles) if shingles else 0.0
