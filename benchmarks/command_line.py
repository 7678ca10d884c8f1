"""The command line: the time of `codegen-runs --help`, against an empty program of click."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.artifacts import ROOT
from benchmarks.report import PAIRS_HEAD, Pairs, Section, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = ("-m", "codegen_cli", "--help")
EMPTY = ("-c", "import click\n\n@click.command()\ndef main(): pass\n\nmain()", "--help")


def section(*, repetitions: int) -> Section:
    """Start both programs in pairs, after one start of each that writes their bytecode."""
    help_ = Pairs("codegen-runs --help", [], [])
    _seconds(HELP), _seconds(EMPTY)
    for _ in range(repetitions):
        help_.ours.append(_seconds(HELP))
        help_.baseline.append(_seconds(EMPTY))
    return Section(
        title="Command line",
        notes=[
            f"From the start of the process to its end, {repetitions} interleaved pairs. Baseline: an empty command."
        ],
        head=PAIRS_HEAD,
        rows=[help_.row()],
        targets=[Target("ratio to an empty program of click", help_.ratio, 2.0)],
        numbers={"ours_s": help_.ours, "empty_s": help_.baseline, "ratio": help_.ratio},
    )


def _seconds(program: Sequence[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "layers" / "codegen"), "PYTHONDONTWRITEBYTECODE": ""}
    started = time.perf_counter()
    subprocess.run([sys.executable, *program], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
