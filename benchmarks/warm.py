"""Warm overhead: the time in the handler minus the time in Codegen, in a warm worker."""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.progress import track

from benchmarks.artifacts import EQUAL
from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target
from benchmarks.testbed import is_own, status, testbed
from benchmarks.worker import Worker

if TYPE_CHECKING:
    from benchmarks.artifacts import Artifacts
    from benchmarks.testbed import Testbed
    from local.template import Function

WARM_UP = 20
BLOCK = 20


def section(artifacts: Artifacts, *, blocks: int) -> Section:
    """Measure the operations in which both sides do the same: those that only call Codegen."""
    with TemporaryDirectory() as folder, testbed(artifacts, EQUAL, Path(folder)) as bed:
        functions = [each for each in bed.functions() if _is_alike(each)]
        with Worker(artifacts.python, bed.baseline, Path(folder)) as baseline:
            found = []
            for function in track(functions, "warm", transient=True):
                with Worker(artifacts.python, function, Path(folder)) as ours:
                    found.append(_measure(bed, function, ours, baseline, blocks))
    return Section(
        title="Warm overhead of a request",
        notes=[
            *artifacts.notes,
            f"Time in the handler minus time in Codegen; {blocks * BLOCK} interleaved requests to each side after "
            f"{WARM_UP} to warm up, one ratio per {BLOCK}.",
            "Left out: functions that also write to a table, which the baseline does not, and the OpenAPI document, "
            "which is larger than the baseline's.",
        ],
        head=PAIRS_HEAD,
        rows=[pairs.row() for pairs in found],
        targets=[
            Target("median over the functions", statistics.median(pairs.ratio for pairs in found), 1.0),
            Target("the slowest function", max(pairs.ratio for pairs in found), 1.0),
        ],
        numbers={pairs.name: {"ours_s": pairs.ours, "baseline_s": pairs.baseline} for pairs in found},
    )


def _is_alike(function: Function) -> bool:
    stores = any(name.endswith("_TABLE") for name in function.environment)
    return not is_own(function) and not stores and function.name != "ServeDocs"


def _measure(bed: Testbed, function: Function, ours: Worker, baseline: Worker, blocks: int) -> Pairs:
    def overhead(worker: Worker) -> float:
        answer = worker.invoke(event)
        status(function, answer)
        return answer.seconds - sum(bed.codegen.seconds())

    event = bed.event(function)
    bed.codegen.seconds()
    for _ in range(WARM_UP):
        overhead(ours)
        overhead(baseline)
    pairs = Pairs(function.name, [], [])
    for _ in range(blocks):
        block = [(overhead(ours), overhead(baseline)) for _ in range(BLOCK)]
        for side, seconds in zip((pairs.ours, pairs.baseline), zip(*block, strict=True), strict=True):
            side.append(statistics.median(seconds))
    return pairs
