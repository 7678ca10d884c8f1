"""Grafts: what the base of a synthesis should take over from other candidates, as the synthesis run names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen_runs.fences import fenced
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.summaries import BUDGET, summarized
from codegen_runs.multi_runs.judging import Candidate
from codegen_runs.multi_runs.verdicts import NoVote, object_in
from codegen_runs.storage.multi_runs import Graft, MultiRun
from codegen_runs.storage.runs import Watch

# The most grafts, the most characters of each, and the most characters of all summaries in a prompt.
MOST = 20
MOST_CHARACTERS = 1_000
MAX_SUMMARIES_CHARACTERS = 24_000


@dataclass(frozen=True)
class LabelledGraft:
    """A graft from the candidate with a label."""

    label: str
    what: str

    def of(self, labels: Mapping[str, int]) -> Graft:
        """Return the graft with the index of its candidate, which is given by label."""
        return Graft(candidate=labels[self.label], what=self.what)


def form(labels: Sequence[str]) -> str:
    """Return how a synthesis run has to reply about candidates with these labels."""
    return (
        "Reply with one JSON object and nothing else:\n"
        f'{{"graft": [{{"from": "{labels[0]}", "what": "What to take over, and where it belongs."}}]}}\n\n'
        f"`from` is one of {', '.join(labels)}. The list is empty if the base needs nothing from the others."
    )


def read(reply: str, labels: Sequence[str]) -> list[LabelledGraft] | str:
    """Return the grafts that a reply names, or why it names none, in a sentence."""
    found = object_in(reply)
    if isinstance(found, NoVote):
        return found.reason
    listed = found.get("graft")
    if not isinstance(listed, list) or len(listed) > MOST:
        return f"The JSON has no list `graft` with at most {MOST} entries."
    grafts = []
    for each in listed:
        label, what = (str(each.get("from")), each.get("what")) if isinstance(each, dict) else ("", None)
        label = label.strip().upper()
        if label not in labels or not isinstance(what, str) or not what.strip():
            return "An entry of `graft` does not name a candidate and what to take over."
        grafts.append(LabelledGraft(label, " ".join(what.split())[:MOST_CHARACTERS]))
    return grafts


def summaries(
    multi_run: MultiRun, named: Sequence[tuple[str, Candidate]], evidence: Mapping[int, Evidence], mark: str
) -> list[str]:
    """Return a fenced summary of each candidate, from the log of its run, under a name in the prompt."""
    budget = min(BUDGET, MAX_SUMMARIES_CHARACTERS // max(1, len(named)))
    return [
        fenced(
            f"summary of {name}",
            summarized(
                evidence.get(candidate.index, Evidence(complete=False)),
                task=multi_run.prompt,
                identities=multi_run.identities,
                budget=budget,
            ),
            mark,
        )
        for name, candidate in named
    ]


def follow_up(grafts: Sequence[Graft], watches: Mapping[int, Watch | None]) -> str | None:
    """Return the prompt that has the base take over the grafts; None if there are none.

    Args:
        grafts: The grafts.
        watches: The watches of the candidates that they come from, by index.
    """
    if not grafts:
        return None
    lines = []
    for each in grafts:
        watch = watches.get(each.candidate)
        urls = [opened.url for opened in watch.opened if opened.url] if watch else []
        lines.append(f"- {each.what}{f' (from {urls[0]})' if urls else ''}")
    return (
        "Other agents did the same task. Take over the following from their work into your pull request, where it "
        "fits. Keep everything else as it is, and run the tests.\n\n" + "\n".join(lines)
    )
