"""Combine several answers into one: the prompt of the synthesis run, the checks of its output, and the final answer.

Answers in words are fused. Code is not: if candidates have pull requests, the best of these is the base, and the
synthesis run names what to take over from the others.

The candidates' answers are untrusted data. The prompt contains them without names and in a shuffled order, each inside
a fence whose mark they cannot have guessed, and states that nothing inside a fence is an instruction.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from codegen_runs.fences import cut, cut_to_share, fenced, frame, has_fence, new_mark
from codegen_runs.multi_runs import grafts
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.judging import Candidate, Judgement, is_echo, numbered, shortfall
from codegen_runs.multi_runs.similarity import runs, words
from codegen_runs.multi_runs.verdicts import labels_for
from codegen_runs.storage.multi_runs import Answer, AnswerSource, Instructions, MultiRun, Strategy, SynthesisOptions
from codegen_runs.storage.runs import Watch

# The most characters of the whole prompt. It waits for its launch in a DynamoDB item, which holds 400 KB.
MAX_PROMPT_CHARACTERS = 90_000

MOST_TRIES = 2
"""How often a synthesis is tried until there is an acceptable output."""

# An output copies the instructions if it has this share of their runs of words, and a candidate's answer if it is as
# similar to it.
COPIED_INSTRUCTIONS = 0.5
COPIED_ANSWER = 0.95
_RUN_OF_WORDS = 5

# The longest output that is a refusal as a whole.
_LONGEST_REFUSAL = 600

_FUSE = (
    "Several agents answered the same task independently. Write the one answer that a careful expert would give after "
    "reading all of theirs: keep what is right, settle contradictions, add nothing that none of them supports. Answer "
    "the task itself; do not mention the candidates or this comparison. Change no code and open no pull request."
)
_GRAFT = (
    "Several agents did the same task independently, each with changes to the code. The work of one of them is the "
    "base and is kept. Name what the base should take over from the others: only what makes it better, and nothing "
    "that it has already. Change no code and open no pull request."
)

_REFUSAL = re.compile(
    r"\W{0,4}(?:sorry[,.!]|(?:(?:i'?m|i am) (?:very )?sorry|as an ai|i'm (?:unable|not able) to|(?:unfortunately,? )?i "
    r"(?:cannot|can't|won't|will not|am unable to|am not able to|must decline))\b)",
    re.IGNORECASE,
)


def instructions(options: SynthesisOptions) -> Instructions:
    """Return the instructions that are stored with a multi-run: the caller's, or those of this version."""
    return Instructions(synthesize=options.prompt or _FUSE, graft=options.prompt or _GRAFT)


def needed(multi_run: MultiRun, judgement: Judgement, *, has_ended: bool) -> bool:
    """Return whether a further run must combine several answers.

    Args:
        multi_run: The multi-run.
        judgement: Its candidates.
        has_ended: Whether a synthesis has just ended. Then another one is needed only if its output was rejected.
    """
    if multi_run.strategy is not Strategy.SYNTHESIZE or len(judgement.usable) < 2 or shortfall(multi_run, judgement):
        return False
    return multi_run.synthesis_order is None or not has_ended


def restarted(multi_run: MultiRun) -> dict[str, Any]:
    """Return the changed fields of a multi-run for which another synthesis begins, without those before it."""
    begun = multi_run.synthesis_order is not None
    return {
        "synthesis_order": None,
        "base": None,
        "rejections": [],
        "graft": None,
        "syntheses": multi_run.syntheses + 1 if begun else multi_run.syntheses,
    }


def is_code(multi_run: MultiRun, usable: Sequence[Candidate]) -> bool:
    """Return whether the synthesis takes one candidate as the base, because candidates have pull requests."""
    return multi_run.strategy is Strategy.SYNTHESIZE and any(candidate.pull_requests for candidate in usable)


def best(multi_run: MultiRun, judgement: Judgement) -> list[Candidate]:
    """Return the usable candidates, the best first."""
    if multi_run.ranking is None:
        return judgement.best(len(judgement.usable))
    usable = {candidate.index: candidate for candidate in judgement.usable}
    return [usable[index] for index in multi_run.ranking.order if index in usable]


def parts(multi_run: MultiRun, judgement: Judgement) -> tuple[int | None, list[int]]:
    """Return the base, and the other candidates in the order of the prompt. Without a base, all answers are fused.

    The order is shuffled, in the same way for the same multi-run.
    """
    chosen = best(multi_run, judgement)
    base = next((each.index for each in chosen if each.pull_requests), None)
    chosen = chosen[: multi_run.synthesis.most]
    indexes = sorted(candidate.index for candidate in chosen if candidate.index != base)
    random.Random(multi_run.id).shuffle(indexes)  # noqa: S311 - fairness, not secrecy
    return base, indexes


def compose(
    multi_run: MultiRun,
    judgement: Judgement,
    evidence: Mapping[int, Evidence] | None = None,
    mark: str | None = None,
) -> str:
    """Write the prompt of the synthesis run for the base and the candidates that are stored in the multi-run.

    Args:
        multi_run: The multi-run, with `synthesis_order` and `base`.
        judgement: Its candidates.
        evidence: The facts about the candidates by index, for a synthesis with a base.
        mark: The mark of the fences; a new one if it is None.
    """
    mark = mark or new_mark()
    others = [judgement.candidates[index] for index in multi_run.synthesis_order or []]
    labels = labels_for(len(others))
    named = [(f"candidate {label}", each) for label, each in zip(labels, others, strict=True)]
    texts = multi_run.instructions or instructions(multi_run.synthesis)
    if multi_run.base is None:
        said = texts.synthesize
    else:
        said = f"{texts.graft}\n\n{grafts.form(labels)}"
        named.insert(0, ("base", judgement.candidates[multi_run.base]))
    if gaps := [each.index for each in judgement.candidates if each.gap]:
        said += (
            f"\n\n{len(gaps)} of the {len(judgement.candidates)} candidates gave no usable answer and are missing here "
            f"(by their numbers: {numbered(*gaps)}). Do not guess what they would have said."
        )
    if multi_run.rejections:
        said += f"\n\nAn earlier reply was rejected: {multi_run.rejections[-1].reason} Avoid this."
    begin = frame(said, mark)
    fences = [fenced("task", cut(multi_run.prompt, MAX_PROMPT_CHARACTERS // 3), mark)]
    fences += grafts.summaries(multi_run, named, evidence or {}, mark) if multi_run.base is not None else []
    room = MAX_PROMPT_CHARACTERS - len(begin) - sum(len(each) + 2 for each in fences) - 100 * len(named)
    answers = cut_to_share([candidate.result for _, candidate in named], room)
    fences += [fenced(name, text, mark) for (name, _), text in zip(named, answers, strict=True)]
    return begin + "\n\n".join(fences) + "\n"


def fault(multi_run: MultiRun, judgement: Judgement, synthesis: Watch | None) -> str | None:
    """Return why the output of a synthesis run is not acceptable, in a sentence; None if it is."""
    if synthesis is None or not synthesis.status.terminal:
        return "The synthesis did not end in time."
    output = Candidate(-1, multi_run.prompt, synthesis)
    if output.reason:
        return output.reason
    if has_fence(output.result):
        return "The output contains the fence of its prompt."
    texts = multi_run.instructions or instructions(multi_run.synthesis)
    given = texts.synthesize if multi_run.base is None else texts.graft
    if _share(given, output.result) >= COPIED_INSTRUCTIONS:
        return "The output repeats its instructions."
    if synthesis.prompt and is_echo(output.result, synthesis.prompt):
        return "The output repeats its prompt."
    if len(output.result) <= _LONGEST_REFUSAL and _REFUSAL.match(output.result.replace("\u2019", "'")):
        return "The output is a refusal."
    if multi_run.base is not None:
        found = grafts.read(output.result, labels_for(len(multi_run.synthesis_order or [])))
        return found if isinstance(found, str) else None
    return _copied(multi_run, judgement, output.result)


def conclude(multi_run: MultiRun, judgement: Judgement, synthesis: Watch | None) -> Answer | None:
    """Return the final answer; None if no candidate is usable, or if the strategy gives no answer."""
    usable = judgement.usable
    if not usable or multi_run.strategy in (Strategy.NONE, Strategy.RANK):
        return None
    if len(usable) == 1:
        return _verbatim(usable[0], AnswerSource.ONLY_CANDIDATE, "Only one candidate was usable.")
    first = best(multi_run, judgement)[0]
    if multi_run.strategy is Strategy.SELECT:
        ranking = multi_run.ranking
        if ranking is None:
            return _verbatim(first, AnswerSource.FALLBACK, "The candidates are not ranked.")
        source = AnswerSource.FALLBACK if ranking.judges_failed else AnswerSource.SELECTED
        return _verbatim(first, source, ranking.reason)
    base = judgement.candidates[multi_run.base] if multi_run.base is not None else None
    if synthesis is None or (reason := fault(multi_run, judgement, synthesis)):
        reason = reason if synthesis else "There is no synthesis."
        return _verbatim(base or first, AnswerSource.FALLBACK, reason)
    result = (synthesis.result or "").strip()
    if base is None:
        return Answer(text=result, source=AnswerSource.SYNTHESIS, truncated=synthesis.result_truncated)
    labels = dict(zip(labels_for(len(multi_run.synthesis_order or [])), multi_run.synthesis_order or [], strict=True))
    found = grafts.read(result, list(labels))
    taken = [] if isinstance(found, str) else found
    answer = _verbatim(base, AnswerSource.BASE, None)
    return answer.model_copy(update={"grafts": [each.of(labels) for each in taken]})


def _copied(multi_run: MultiRun, judgement: Judgement, result: str) -> str | None:
    """Return that an output only repeats one of several different answers; None if it does not."""
    fused = [judgement.candidates[index] for index in multi_run.synthesis_order or []]
    output = _shingles(result)
    same = [each.index for each in fused if _jaccard(output, _shingles(each.result)) >= COPIED_ANSWER]
    if not same or len(same) == len(fused):
        return None
    return f"The output only repeats the answer of candidate {numbered(same[0])}."


def _verbatim(candidate: Candidate, source: AnswerSource, reason: str | None) -> Answer:
    truncated = bool(candidate.watch and candidate.watch.result_truncated)
    return Answer(text=candidate.result, source=source, candidate=candidate.index, reason=reason, truncated=truncated)


def _share(given: str, output: str) -> float:
    """Return the share of the runs of words of a text that another text has."""
    wanted = set(runs(words(given), _RUN_OF_WORDS))
    return len(wanted.intersection(runs(words(output), _RUN_OF_WORDS))) / len(wanted) if wanted else 0.0


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    found = words(text)
    return frozenset(runs(found, 2)) if len(found) > 1 else frozenset({tuple(found)})


def _jaccard(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)
