"""Cold start: from the start of a process to the answer to its first event, the time that a caller waits."""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.progress import track

from benchmarks.artifacts import EQUAL, SHIPPED
from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target
from benchmarks.testbed import is_own, status, testbed
from benchmarks.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.artifacts import Artifacts
    from benchmarks.testbed import Event
    from local.template import Function

_TITLES = {
    EQUAL: "Cold start under equal conditions: valid bytecode on both sides",
    SHIPPED: "Cold start as shipped by a plain sam build: the baseline has no bytecode",
}


def sections(artifacts: Artifacts, *, repetitions: int) -> Iterator[Section]:
    """Measure every function of the template in both conditions."""
    for condition in (EQUAL, SHIPPED):
        shared, own = _measure(artifacts, condition, repetitions)
        yield Section(
            title=_TITLES[condition],
            notes=[
                *artifacts.notes,
                f"Init and first invocation, {repetitions} interleaved pairs each after a warm-up, medians.",
                "* The baseline has no such function: the row compares with its start and the starring of a run.",
                "(404) or another status: the sample event names something that does not exist.",
            ],
            head=PAIRS_HEAD,
            rows=[*(pairs.row() for pairs in shared), *(pairs.row(" *") for pairs in own)],
            targets=_targets(condition, shared, own),
            numbers={pairs.name: {"ours_s": pairs.ours, "baseline_s": pairs.baseline} for pairs in (*shared, *own)},
        )


def _targets(condition: str, shared: list[Pairs], own: list[Pairs]) -> list[Target]:
    median = statistics.median(pairs.ratio for pairs in shared)
    everything = statistics.median(pairs.ratio for pairs in (*shared, *own))
    limit = 0.7 if condition == EQUAL else 0.4
    targets = [
        Target("median over the functions with a counterpart", median, limit),
        Target("median over all functions", everything, limit),
    ]
    if condition == EQUAL:
        targets.append(Target("the slowest function", max(pairs.ratio for pairs in (*shared, *own)), 1.0))
    return targets


def _measure(artifacts: Artifacts, condition: str, repetitions: int) -> tuple[list[Pairs], list[Pairs]]:
    """Return the pairs of the functions that the baseline also has, and of those that only we have."""
    with TemporaryDirectory() as folder, testbed(artifacts, condition, Path(folder)) as bed:

        def start(function: Function, event: Event) -> tuple[float, int]:
            with Worker(artifacts.python, function, Path(folder)) as worker:
                answer = worker.invoke(event)
                return worker.init_seconds + answer.seconds, status(function, answer)

        def compare(functions: Sequence[Function]) -> list[Pairs]:
            """Start each function and then the baseline, once to warm up and then `repetitions` times."""
            found = []
            for function in functions:
                _, code = start(function, bed.event(function))
                found.append(Pairs(function.name if code < 400 else f"{function.name} ({code})", [], []))
            start(bed.baseline, bed.baseline_event(functions[0]))
            for _ in range(repetitions):
                for function, pairs in zip(functions, found, strict=True):
                    pairs.ours.append(start(function, bed.event(function))[0])
                seconds, _ = start(bed.baseline, bed.baseline_event(functions[0]))
                for pairs in found:
                    pairs.baseline.append(seconds)
            return found

        functions = bed.functions()
        own = [function for function in functions if is_own(function)]
        shared = [function for function in functions if not is_own(function)]
        # One start of the baseline serves for three functions that it does not have.
        groups = [own[index : index + 3] for index in range(0, len(own), 3)] + [[function] for function in shared]
        found = [pairs for group in track(groups, f"cold, {condition}", transient=True) for pairs in compare(group)]
        return found[len(own) :], found[: len(own)]
