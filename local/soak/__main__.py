"""Put a local stack under load with faults, and check what everybody saw: `make soak`.

The exit status is 1 if a promise is broken, or if the stack does not settle.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.soak import report
from local.soak.checking import check
from local.soak.plan import Load
from local.soak.soaking import UPSTREAM_SHARE, soak


def main(arguments: list[str] | None = None) -> int:
    """Run a soak, print its report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--callers", type=int, default=200, help="callers at the same time (default: 200)")
    add("--minutes", type=float, default=10.0, help="how long the load lasts (default: 10)")
    add("--seed", type=int, default=1, help="the seed of the load and of the faults (default: 1)")
    add("--pause", type=float, help="seconds between two steps of a caller (default: 3 for each caller there is)")
    add("--settle", type=float, default=300.0, help="seconds in which everything must settle afterwards (default: 300)")
    add("--no-faults", action="store_true", help="load only")
    add("--logs", type=Path, metavar="DIR", help="the folder of the functions' logs (default: a temporary one)")
    options = parser.parse_args(arguments)
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    load = Load(options.seed, options.callers, options.minutes * 60, options.pause or 3 * options.callers)
    soaked = soak(
        load,
        settle=options.settle,
        rates={} if options.no_faults else None,
        upstream_share=0.0 if options.no_faults else UPSTREAM_SHARE,
        log_dir=options.logs,
    )
    violations = check(soaked.history)
    print(report.text(load, soaked, violations))
    return 1 if violations or soaked.settled_after is None else 0


if __name__ == "__main__":
    sys.exit(main())
