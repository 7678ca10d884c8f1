"""The figures of a soak as text."""

from __future__ import annotations

from collections import Counter
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING

from local.soak.checking import late

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.soak.checking import Violation
    from local.soak.plan import Load
    from local.soak.soaking import Soaked


def text(load: Load, soaked: Soaked, violations: list[Violation]) -> str:
    """Return the report of a soak."""
    return "\n".join([*_figures(load, soaked), "", *_verdict(violations)])


def _figures(load: Load, soaked: Soaked) -> Iterator[str]:
    history = soaked.history
    times = sorted(request.ended - request.began for request in history.requests if "/events" not in request.name)
    failures = Counter(f"{request.status} {request.code}" for request in history.requests if request.status >= 500)
    kinds = Counter(fault.kind for fault in history.faults)
    settled = "not settled" if soaked.settled_after is None else f"settled after {soaked.settled_after:.0f} s"
    yield f"Seed {load.seed}: {load.callers} callers for {load.seconds:.0f} s, {soaked.steps} steps, {settled}."
    yield ""
    yield f"requests      {len(history.requests)}"
    if len(times) > 1:
        yield f"  time        median {median(times):.2f} s, p99 {quantiles(times, n=100)[98]:.2f} s, without long polls"
    yield f"  5xx         {_counts(failures)}"
    yield f"  late        {len(late(history))} without an answer in time on an overloaded machine"
    if history.loads:
        yield f"machine       {fmean(load.runnable for load in history.loads):.1f} threads that could run for each core"
    yield f"runs          {len(history.started)} accepted, {len(history.upstream)} at Codegen with those of multi-runs"
    yield f"multi-runs    {_counts(Counter(each.status for each in history.multi_runs))}"
    yield f"views         {len(history.views)}, with {sum(len(view.events) for view in history.views)} events"
    yield (
        f"webhooks      {len(set(history.received))} messages received, {len(history.undelivered)} undelivered, "
        f"{history.overlapping} tries during an earlier one"
    )
    yield f"audit trail   {len(history.audit)} entries"
    yield f"AWS faults    {_counts(kinds)}"
    yield f"Codegen       {_counts(Counter(each.kind for each in history.troubles))}"
    yield f"processes     {len(history.memory)}"


def _verdict(violations: list[Violation]) -> Iterator[str]:
    if not violations:
        yield "No promise was broken."
        return
    for promise, count in Counter(violation.promise for violation in violations).items():
        yield f"BROKEN: {promise} ({count} times)"
        yield from (f"  {each.evidence}" for each in [v for v in violations if v.promise == promise][:10])


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
