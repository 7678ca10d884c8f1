"""Warm overhead: the time in the handler less the time in the upstream, in a worker that is warm."""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.progress import track

from benchmarks.artifacts import EQUAL
from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target
from benchmarks.sandbox import Sandbox
from benchmarks.world import is_own, status, world

if TYPE_CHECKING:
    from benchmarks.artifacts import Artifacts
    from benchmarks.world import World
    from local.template import Function

WARM_UP = 20
BLOCK = 20


def section(artifacts: Artifacts, *, blocks: int) -> Section:
    """Measure the operations in which both sides do the same: what only ask the upstream."""
    with TemporaryDirectory() as folder, world(artifacts, EQUAL, Path(folder)) as around:
        functions = [each for each in around.functions() if _is_alike(each)]
        with Sandbox(artifacts.python, around.baseline, Path(folder)) as baseline:
            found = []
            for function in track(functions, "warm", transient=True):
                with Sandbox(artifacts.python, function, Path(folder)) as ours:
                    found.append(_measure(around, function, ours, baseline, blocks))
    return Section(
        title="Warm overhead of a request",
        notes=[
            *artifacts.notes,
            f"Time in the handler less time in the upstream; {blocks * BLOCK} interleaved requests to each side after "
            f"{WARM_UP}, a ratio per {BLOCK}.",
            "Left out: functions that also write to a table, which the baseline does not, and the OpenAPI document, "
            "which has more to tell than the baseline's.",
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


def _measure(around: World, function: Function, ours: Sandbox, baseline: Sandbox, blocks: int) -> Pairs:
    def overhead(sandbox: Sandbox) -> float:
        answer = sandbox.invoke(event)
        status(function, answer)
        return answer.seconds - sum(around.codegen.seconds())

    event = around.event(function)
    around.codegen.seconds()
    for _ in range(WARM_UP):
        overhead(ours)
        overhead(baseline)
    pairs = Pairs(function.name, [], [])
    for _ in range(blocks):
        block = [(overhead(ours), overhead(baseline)) for _ in range(BLOCK)]
        for side, seconds in zip((pairs.ours, pairs.baseline), zip(*block, strict=True), strict=True):
            side.append(statistics.median(seconds))
    return pairs
