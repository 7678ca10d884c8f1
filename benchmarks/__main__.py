"""`python -m benchmarks [SECTION ...] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import (
    client,
    cold,
    command_line,
    console,
    cost,
    executions,
    judging,
    live,
    multi_run,
    provenance,
    size,
    warm,
)
from benchmarks.artifacts import ROOT, NotBuiltError, artifacts
from benchmarks.console import NoBrowserError
from benchmarks.multi_run import MultiRunError
from benchmarks.worker import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.artifacts import Artifacts
    from benchmarks.report import Section

SECTIONS = (
    *("cold", "warm", "size", "multi-runs", "live", "provenance"),
    *("judging", "client", "command-line", "cost", "console"),
)


def main() -> None:
    """Measure and print. The exit status is 0 unless a measurement failed; missed targets do not count."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare this backend with the baseline.")
    parser.add_argument("sections", nargs="*", metavar="section", help=f"{', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to this file")
    build = ROOT / ".aws-sam" / "build"
    parser.add_argument("--build", type=Path, default=build, metavar="DIR", help="the folder that `sam build` wrote")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}; choose from {', '.join(SECTIONS)}")
    terminal = Console(width=110, soft_wrap=True)
    started = time.monotonic()
    found = []
    try:
        with artifacts(options.build.resolve()) as built:
            for section in _measure(built, options.sections or SECTIONS, quick=options.quick):
                section.show(terminal)
                found.append(section)
    except (MultiRunError, NoBrowserError, NotBuiltError, WorkerError) as error:
        sys.exit(f"The measurement failed: {error}")
    missed = [f"{target.name} ({section.title})" for section in found for target in section.targets if not target.met]
    terminal.print(f"\n{len(missed)} target(s) missed after {time.monotonic() - started:.0f} s", *missed, sep="\n  ")
    if options.json:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "quick": options.quick}
        report = {"machine": machine, "sections": {section.title: section.json() for section in found}}
        options.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _measure(built: Artifacts, sections: tuple[str, ...], *, quick: bool) -> Iterator[Section]:
    if "size" in sections:
        yield size.section(built)
    if "cold" in sections:
        yield from cold.sections(built, repetitions=2 if quick else 7)
    if "warm" in sections:
        yield warm.section(built, blocks=3 if quick else 10)
    if "multi-runs" in sections:
        cases = multi_run.QUICK if quick else multi_run.FULL
        yield multi_run.section(repetitions=2 if quick else 3, cases=cases)
        yield from executions.sections()
    if "live" in sections:
        yield live.section()
    if "provenance" in sections:
        yield provenance.section(repetitions=1 if quick else 3)
    if "judging" in sections:
        yield judging.section(trials=60 if quick else judging.TRIALS)
    if "client" in sections:
        yield client.section(repetitions=10 if quick else 40)
    if "command-line" in sections:
        yield command_line.section(repetitions=10 if quick else 40)
    if "cost" in sections:
        yield cost.section()
    if "console" in sections:
        yield console.section(repetitions=1 if quick else 5)


if __name__ == "__main__":
    main()
