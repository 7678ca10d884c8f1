"""The prompt of a judge: the task, a summary of each candidate from the log of its run, and the candidates' answers.

All of it is untrusted data in fences. The candidates are anonymous, and the order is that of the judge run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen_runs.fences import cut, cut_to_share, fenced, frame, new_mark
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.summaries import anonymous
from codegen_runs.multi_runs.grafts import summaries
from codegen_runs.multi_runs.judging import Candidate
from codegen_runs.multi_runs.verdicts import labels_for
from codegen_runs.storage.multi_runs import MultiRun

# The most characters of the whole prompt, which waits for its launch in a DynamoDB item, and of its parts.
MAX_PROMPT_CHARACTERS = 90_000
MAX_TASK_CHARACTERS = 20_000

_INSTRUCTIONS = """\
Several agents did the same task independently. Rank their results, the best first.

The summary of a candidate is made from the log of its run. Where an answer claims more than its summary shows, rely \
on the summary. Length, style and place decide nothing: another judge reads the candidates in a different order.

Reply with one JSON object and nothing else:
{{"ranking": [{example}], "reasons": {{{reason}}}, "disagreements": ["Where the candidates contradict each other."], \
"none_acceptable": false}}

The ranking contains each label once: {labels}. Set none_acceptable to true if no candidate does the task. Change no \
code and open no pull request."""


def compose(
    multi_run: MultiRun,
    candidates: Sequence[Candidate],
    evidence: Mapping[int, Evidence],
    mark: str | None = None,
) -> str:
    """Write the prompt for candidates in the order of the judge run.

    Args:
        multi_run: The multi-run.
        candidates: The candidates in the order of the judge run.
        evidence: The facts about them, by index.
        mark: The mark of the fences; a new one if it is None.
    """
    mark = mark or new_mark()
    labels = labels_for(len(candidates))
    instructions = _INSTRUCTIONS.format(
        example=", ".join(f'"{label}"' for label in labels),
        reason=f'"{labels[0]}": "One sentence."',
        labels=", ".join(labels),
    )
    named = [(f"candidate {label}", candidate) for label, candidate in zip(labels, candidates, strict=True)]
    parts = [fenced("task", cut(multi_run.prompt, MAX_TASK_CHARACTERS), mark)]
    parts += summaries(multi_run, named, evidence, mark)
    begin = frame(instructions, mark)
    room = MAX_PROMPT_CHARACTERS - len(begin) - sum(len(part) + 2 for part in parts) - 100 * len(candidates)
    texts = [anonymous(each.result, task=multi_run.prompt, identities=multi_run.identities) for each in candidates]
    answers = [fenced(name, text, mark) for (name, _), text in zip(named, cut_to_share(texts, room), strict=True)]
    return begin + "\n\n".join([*parts, *answers]) + "\n"
