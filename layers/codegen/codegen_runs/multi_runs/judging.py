"""Which candidates are usable, what that makes of the multi-run, and which candidate is best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, Strategy
from codegen_runs.storage.runs import Watch


@dataclass(frozen=True)
class Candidate:
    """One candidate and what became of it."""

    index: int
    prompt: str
    watch: Watch | None
    """None before it is queued."""

    @property
    def finished(self) -> bool:
        """Whether its run has ended."""
        return self.watch is not None and self.watch.status.terminal

    @property
    def launched(self) -> bool:
        """Whether it has a run upstream."""
        return self.watch is not None and self.watch.agent_run_id is not None

    @property
    def result(self) -> str:
        """What it answered, possibly nothing."""
        return (self.watch.result or "").strip() if self.watch else ""

    @property
    def usable(self) -> bool:
        """Whether it completed with an answer that is neither empty nor the prompt again."""
        return self.finished and self.reason is None

    @property
    def reason(self) -> str | None:
        """Why a finished candidate is not usable, in a sentence."""
        if not self.finished or self.watch is None:
            return None
        if self.watch.status is not Status.COMPLETED:
            return self.watch.status_reason or f"The run ended {self.watch.status} ({self.watch.upstream_status})."
        if not self.result:
            return "The run completed without an answer."
        if is_echo(self.result, self.prompt):
            return "The answer only repeats the prompt."
        return None


@dataclass(frozen=True)
class Judgement:
    """All candidates of a multi-run, in order."""

    candidates: Sequence[Candidate]

    @property
    def usable(self) -> list[Candidate]:
        """The usable ones, in order."""
        return [candidate for candidate in self.candidates if candidate.usable]

    def counts(self) -> dict[str, int]:
        """Count them: requested, launched, finished, usable, failed (finished, not usable), missing (not finished)."""
        finished = sum(candidate.finished for candidate in self.candidates)
        return {
            "requested": len(self.candidates),
            "launched": sum(candidate.launched for candidate in self.candidates),
            "finished": finished,
            "usable": len(self.usable),
            "failed": finished - len(self.usable),
            "missing": len(self.candidates) - finished,
        }

    def best(self, count: int) -> list[Candidate]:
        """Return the best usable ones, best first: those of middling length before the very short and the rambling."""
        lengths = sorted(len(candidate.result) for candidate in self.usable)
        middle = lengths[len(lengths) // 2] if lengths else 0
        return sorted(self.usable, key=lambda candidate: abs(len(candidate.result) - middle))[:count]


def judge(multi_run: MultiRun, watches: Mapping[str, Watch]) -> Judgement:
    """Judge the candidates by their watches, which are given by key."""
    return Judgement(
        [
            Candidate(index, variant.prompt or multi_run.prompt, watches.get(multi_run.candidate_key(index)))
            for index, variant in enumerate(multi_run.candidates)
        ]
    )


def shortfall(multi_run: MultiRun, judgement: Judgement) -> str | None:
    """Say why there are too few usable candidates for an answer; None when there are enough."""
    usable = len(judgement.usable)
    if usable >= multi_run.quorum:
        return None
    reasons = [f"candidate {each.index}: {each.reason}" for each in judgement.candidates if each.reason]
    reasons += [f"candidate {each.index}: no result in time." for each in judgement.candidates if not each.finished]
    needed = f"{multi_run.quorum} usable candidate{'s' if multi_run.quorum > 1 else ''} needed, {usable} found."
    return " ".join([needed, *reasons])


def needs_synthesis(multi_run: MultiRun, judgement: Judgement) -> bool:
    """Whether a further run has to make one answer out of several."""
    return (
        multi_run.strategy is not Strategy.NONE
        and shortfall(multi_run, judgement) is None
        and len(judgement.usable) > 1
    )


def is_echo(answer: str, prompt: str) -> bool:
    """Whether an answer says no more than the prompt did."""
    said, asked = _words(answer), _words(prompt)
    return said == asked or (bool(asked) and asked in said and len(said) - len(asked) < len(asked) // 10)


def _words(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()
