"""Which candidates are usable, whether they are enough for an answer, and which candidate is best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from codegen_runs.fences import has_fence
from codegen_runs.searching import folded
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, OnDeadline
from codegen_runs.storage.runs import Watch


def numbered(*indexes: int) -> str:
    """Name candidates in a sentence: by their numbers, which count from 1 as in the console and the command line."""
    return ", ".join(str(index + 1) for index in indexes)


@dataclass(frozen=True)
class Candidate:
    """A candidate and the outcome of its run."""

    index: int
    prompt: str
    watch: Watch | None
    """The watch of the candidate's run; None before the run is queued."""
    dropped: str | None = None
    """Why the candidate does not count; None if it does."""
    left_out: bool = False
    """Whether a caller left it out of the answer."""
    second_wave: bool = False
    """Whether its prompt has summaries of other candidates, in fences."""

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.watch is not None and self.watch.status.terminal

    @property
    def under_way(self) -> bool:
        """Whether the run is queued or was launched, and has not ended."""
        return self.watch is not None and not self.watch.status.terminal

    @property
    def launched(self) -> bool:
        """Whether the run exists upstream."""
        return self.watch is not None and self.watch.agent_run_id is not None

    @property
    def result(self) -> str:
        """The answer; empty if there is none."""
        return (self.watch.result or "").strip() if self.watch else ""

    @property
    def pull_requests(self) -> tuple[int, ...]:
        """The ids of the pull requests of the run."""
        return self.watch.pull_requests if self.watch else ()

    @property
    def usable(self) -> bool:
        """Whether the run completed with an answer that is not empty and does not only repeat the prompt."""
        return self.finished and self.reason is None

    @property
    def reason(self) -> str | None:
        """Why a candidate that has finished or was dropped is not usable, in a sentence; None for all others."""
        if self.dropped:
            return self.dropped
        if self.fault is None and self.finished and self.left_out:
            return "A caller left it out."
        return self.fault

    @cached_property
    def fault(self) -> str | None:
        """Why the run of a finished candidate gave no usable answer; None for all others."""
        if not self.finished or self.watch is None:
            return None
        if self.watch.status is not Status.COMPLETED:
            return self.watch.status_reason or (
                f"The run ended with status {self.watch.status} ({self.watch.upstream_status})."
            )
        if not self.result:
            return "The run completed without an answer."
        if is_echo(self.result, self.prompt):
            return "The answer only repeats the prompt."
        if self.second_wave and has_fence(self.result):
            return "The answer repeats the summaries in its prompt."
        return None

    @property
    def gap(self) -> str | None:
        """Why a candidate that counts has no usable answer, whether the run has ended or not; None if it has one."""
        if self.dropped:
            return None
        return self.reason if self.finished else "No result in time."

    @property
    def pending(self) -> bool:
        """Whether a result can still come that counts."""
        return not self.finished and not self.dropped

    @property
    def awaited(self) -> bool:
        """Whether the multi-run launches it or waits for it: a result can still come, and no caller left it out."""
        return self.pending and not self.left_out

    @property
    def unpickable(self) -> str | None:
        """Why a person cannot pick it, in a sentence; None if it has ended with an answer or with a pull request."""
        if not self.finished or self.watch is None:
            return f"Candidate {numbered(self.index)} has not ended."
        if not self.result and not self.watch.pull_requests:
            return f"Candidate {numbered(self.index)} ended with neither an answer nor a pull request. {self.reason}"
        return None


@dataclass(frozen=True)
class Judgement:
    """All candidates of a multi-run, by index."""

    candidates: Sequence[Candidate]

    @cached_property
    def usable(self) -> list[Candidate]:
        """The usable candidates, by index."""
        return [candidate for candidate in self.candidates if candidate.usable]

    def counts(self) -> dict[str, int]:
        """Return how many candidates are requested, launched, finished, usable, failed, missing and dropped.

        A failed candidate has finished and is not usable; a missing one has not finished. A dropped candidate is
        neither.
        """
        finished = sum(candidate.finished and not candidate.dropped for candidate in self.candidates)
        return {
            "requested": len(self.candidates),
            "launched": sum(candidate.launched for candidate in self.candidates),
            "finished": finished,
            "usable": len(self.usable),
            "failed": finished - len(self.usable),
            "missing": sum(candidate.pending for candidate in self.candidates),
            "dropped": sum(candidate.dropped is not None for candidate in self.candidates),
        }

    def best(self, count: int) -> list[Candidate]:
        """Return the `count` best usable candidates, best first.

        The best answer is the one of median length: very short answers and rambling ones are worse. Among answers
        equally far from the median, the one with the lowest index is better.
        """
        lengths = sorted(len(candidate.result) for candidate in self.usable)
        middle = lengths[len(lengths) // 2] if lengths else 0
        return sorted(self.usable, key=lambda candidate: abs(len(candidate.result) - middle))[:count]


def candidate(multi_run: MultiRun, index: int, watch: Watch | None) -> Candidate:
    """Return a candidate of a multi-run with its watch."""
    drop = multi_run.dropped.get(str(index))
    return Candidate(
        index,
        multi_run.candidates[index].prompt or multi_run.prompt,
        watch,
        dropped=drop.reason if drop else None,
        left_out=index in multi_run.left_out,
        second_wave=multi_run.candidates[index].second_wave,
    )


def judge(multi_run: MultiRun, watches: Mapping[str, Watch]) -> Judgement:
    """Return the candidates of a multi-run with their watches, which are given by key."""
    keys = enumerate(multi_run.candidate_keys)
    return Judgement([candidate(multi_run, index, watches.get(key)) for index, key in keys])


def shortfall(multi_run: MultiRun, judgement: Judgement) -> str | None:
    """Return why there are too few usable candidates for an answer; None when there are enough.

    If the multi-run is to fail at its deadline, there are enough only if all candidates have ended before it.
    """
    usable = len(judgement.usable)
    overdue = [each.index for each in judgement.candidates if _is_overdue(multi_run, each)]
    if usable >= multi_run.required and overdue and multi_run.on_deadline is OnDeadline.FAIL:
        return f"Candidates without a result at the deadline: {numbered(*overdue)}."
    if usable >= multi_run.required:
        return None
    reasons = [f"Candidate {numbered(each.index)}: {each.reason}" for each in judgement.candidates if each.reason]
    reasons += [
        f"Candidate {numbered(each.index)}: no result in time." for each in judgement.candidates if each.pending
    ]
    return " ".join([f"Usable candidates: {usable}, required: {multi_run.required}.", *reasons])


OVERDUE = "The candidate was not launched before the deadline."
"""Why a candidate was dropped that was still to launch at the deadline."""


def _is_overdue(multi_run: MultiRun, candidate: Candidate) -> bool:
    """Return whether a candidate was given up at the deadline of the multi-run, and not at its own timeout."""
    watch = candidate.watch
    if candidate.dropped:
        return candidate.dropped == OVERDUE
    return watch is not None and watch.status is Status.TIMED_OUT and watch.deadline_at >= multi_run.deadline_at


def is_echo(answer: str, prompt: str) -> bool:
    """Return whether an answer only repeats the prompt.

    Case and punctuation do not count. An answer that contains the whole prompt also repeats it, if less than a tenth of
    the prompt's length is added.
    """
    prompted = _words(prompt)
    # Of an answer that is much longer than the prompt, the beginning shows that. A cut changes the last word only.
    beginning = answer[: 2 * len(prompted) + _BEGINNING]
    if len(beginning) < len(answer) and len(_words(beginning)) > len(prompted) + len(prompted) // 10 + _CUT:
        return False
    answered = _words(answer)
    if answered == prompted:
        return True
    return bool(prompted) and prompted in answered and len(answered) - len(prompted) < len(prompted) // 10


# The least characters of an answer that are compared with a prompt first, and the most that a cut may change.
_BEGINNING, _CUT = 1_000, 100


def _words(text: str) -> str:
    # Folded first, because a combining accent is no word character.
    return re.sub(r"\W+", " ", folded(text)).strip()
