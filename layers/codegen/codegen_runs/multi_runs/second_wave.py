"""The second wave: candidates that start from what the best ones of the first wave did.

Which candidates are the best is known without a model: from their tests, from the agreement of their answers and from
their length. A candidate of the second wave gets its task, and then their summaries and answers: anonymous, and in
fences, because they are untrusted data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen_runs.fences import cut_to_share, fenced, frame, new_mark
from codegen_runs.multi_runs import judges
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.summaries import anonymous, summarized
from codegen_runs.multi_runs.judging import Candidate
from codegen_runs.multi_runs.verdicts import labels_for
from codegen_runs.storage.multi_runs import BestCandidate, MultiRun

MOST = 3
"""The most candidates from which the second wave starts."""

# The most characters of all their answers in one prompt, and of one summary. The summaries are stored in the item of
# the multi-run, and the prompt waits for its launch in another one; an item holds 400 KB.
MAX_ANSWERS_CHARACTERS = 24_000
MAX_SUMMARY_CHARACTERS = 4_000

_BEFORE = (
    "Other agents did this task before you. Below are summaries of their best results, made from the logs of their "
    "runs, and their answers. Keep what is right, correct what is wrong, and do what is missing. You do not have their "
    "files; leave their branches and pull requests as they are. Give a complete answer of your own: whoever reads it "
    "does not see theirs."
)


def best(multi_run: MultiRun, usable: Sequence[Candidate], evidence: Mapping[int, Evidence]) -> list[BestCandidate]:
    """Return the best candidates, the best first, each with a summary of its run.

    Those whose tests failed are left out if the tests of another one passed.

    Args:
        multi_run: The multi-run.
        usable: Its usable candidates.
        evidence: The facts about them, by index.
    """
    return [
        BestCandidate(
            candidate=index,
            summary=summarized(
                evidence.get(index, Evidence(complete=False)),
                task=multi_run.prompt,
                identities=multi_run.identities,
                budget=MAX_SUMMARY_CHARACTERS,
            ),
        )
        for index in judges.standing(usable, evidence).contenders[:MOST]
    ]


def task(multi_run: MultiRun, prompt: str, answers: Mapping[int, str], mark: str | None = None) -> str:
    """Return the task of a candidate of the second wave: its prompt, and what the best candidates did.

    Args:
        multi_run: The multi-run, with the best candidates.
        prompt: The prompt of the candidate.
        answers: The answers of the best candidates, by index.
        mark: The mark of the fences; a new one if it is None.
    """
    mark = mark or new_mark()
    texts = [
        anonymous(answers.get(each.candidate, ""), task=multi_run.prompt, identities=multi_run.identities)
        for each in multi_run.best
    ]
    parts = []
    shown = cut_to_share(texts, MAX_ANSWERS_CHARACTERS)
    for label, each, answer in zip(labels_for(len(texts)), multi_run.best, shown, strict=True):
        parts += [
            fenced(f"summary of candidate {label}", each.summary, mark),
            fenced(f"answer of candidate {label}", answer, mark),
        ]
    return frame(f"{prompt}\n\n{_BEFORE}", mark) + "\n\n".join(parts) + "\n"
