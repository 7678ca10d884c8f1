"""Multi-runs on the whole local stack, next to the baseline's: what they add to the wait, and what they use up."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx
from rich.progress import track

from benchmarks.artifacts import ROOT
from benchmarks.report import Section, Target
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OURS, BASELINE = "ours", "baseline"
SIZES = (5, 20)
# Multiples of the fake's 8 to 12 s for a candidate and 4 to 6 s for a synthesis.
SHORT, LONG = 0.25, 0.75

_ORG = f"/organizations/{DEMO_ORG_ID}"
_PROMPT = "Create a React component"
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 180.0
_READS = ("get_agent_run", "get_agent_run_logs", "list_agent_runs")


class MultiRunError(Exception):
    """A multi-run did not come to an answer: nothing was measured."""


@dataclass(frozen=True)
class Outcome:
    """One multi-run. Times are in seconds; `events` are those of the state machine's execution, where there is one."""

    wall: float
    slowest: float
    synthesis: float
    creates: int
    reads: int
    events: int

    @property
    def added(self) -> float:
        """What came on top of the slowest candidate and the synthesis run."""
        return self.wall - self.slowest - self.synthesis


@dataclass(frozen=True)
class Series:
    """The same multi-run several times."""

    pace: float
    size: int
    side: str
    outcomes: Sequence[Outcome]

    def median(self, what: str) -> float:
        """Return the median of an attribute."""
        return median(getattr(outcome, what) for outcome in self.outcomes)

    def row(self) -> list[str]:
        """Return what the table shows."""
        added = sorted(outcome.added for outcome in self.outcomes)
        ratio = median(outcome.wall / outcome.slowest for outcome in self.outcomes)
        return [
            self.side,
            str(self.size),
            f"{self.median('slowest'):.1f}",
            f"{self.median('wall'):.1f}",
            f"{added[0]:.1f} {median(added):.1f} {added[-1]:.1f}",
            f"{ratio:.2f}",
            f"{self.median('creates'):.0f}",
            f"{self.median('reads'):.0f}",
            f"{self.median('events'):.0f}" if self.side == OURS else "-",
        ]


def section(*, repetitions: int, paces: Sequence[float]) -> Section:
    """Measure both sides against one fake, in turns."""
    plan = list(product(paces, SIZES, range(repetitions), (OURS, BASELINE)))
    outcomes: dict[tuple[float, int, str], list[Outcome]] = {}
    with _measuring() as measure:
        for pace, size, _, side in track(plan, "multi-run", transient=True):
            outcomes.setdefault((pace, size, side), []).append(measure(side, size, pace))
    found = [Series(*key, several) for key, several in outcomes.items()]
    return Section(
        title=f"Multi-runs of {' and '.join(map(str, SIZES))} candidates, with their synthesis",
        notes=[
            "The whole local stack against the fake Codegen in real time, its rate limits off (10 creations a minute "
            f"are the upstream's part). {repetitions} interleaved repetitions after a warm-up, medians.",
            f"wall: until a caller who looks every {_LOOK_SECONDS} s sees the answer. added: the wall less the slowest "
            "candidate and the synthesis run, as minimum, median, maximum. reads: calls that ask the upstream how a "
            "run is doing. events: of the execution's history.",
        ],
        head=("side", "candidates", "slowest s", "wall s", "added s", "wall/slowest", "creates", "reads", "events"),
        rows=[series.row() for series in found],
        targets=[_target(found, pace) for pace in paces],
        numbers=[
            {"pace": each.pace, "candidates": each.size, "side": each.side, "outcomes": list(map(vars, each.outcomes))}
            for each in found
        ],
    )


def _target(found: Sequence[Series], pace: float) -> Target:
    """Compare what each further candidate costs: a history has some events of its own, however many there are."""
    few, many = (series for series in found if series.pace == pace and series.side == OURS)
    per_candidate = (many.median("events") - few.median("events")) / (many.size - few.size)
    return Target(f"history events per candidate of {many.median('slowest'):.0f} s", per_candidate, 10)


@contextmanager
def _measuring() -> Iterator[Callable[[str, int, float], Outcome]]:
    """Start both sides, warm, and give what measures a multi-run of so many candidates at a pace."""
    with ExitStack() as exit_stack:
        fake = FakeCodegen(limits={})
        stack = exit_stack.enter_context(Stack(fake=fake))
        baseline_url = exit_stack.enter_context(_baseline(stack.codegen.base_url))
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        clients = {
            side: exit_stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False))
            for side, url in ((OURS, stack.api_url), (BASELINE, baseline_url))
        }
        reading = {OURS: f"/v1{_ORG}/multi-runs", BASELINE: f"{_ORG}/multi-run"}

        def measure(side: str, size: int, pace: float) -> Outcome:
            fake.pace = pace
            fake.calls.clear()
            fake.creates.clear()
            multi_run, wall = _run(clients[side], reading[side], size)
            lasted = [fake.runs[create.agent_run_id].turns[-1].plan.ends_at for create in fake.creates]
            if len(lasted) != size + 1:
                raise MultiRunError(f"{side}: {size} candidates and a synthesis were {len(lasted)} runs upstream")
            return Outcome(
                wall=wall,
                slowest=max(lasted[:size]),
                synthesis=lasted[size],
                creates=fake.calls["create_agent_run"],
                reads=sum(fake.calls[operation] for operation in _READS),
                events=_events(stack, multi_run) if side == OURS else 0,
            )

        for side in clients:
            measure(side, min(SIZES), SHORT)
        yield measure


def _run(client: httpx.Client, path: str, size: int) -> tuple[str, float]:
    """Start a multi-run and follow it to its end; return its id and the seconds it took."""
    started = time.perf_counter()
    response = client.post(f"{_ORG}/multi-run", json={"prompt": _PROMPT, "concurrency": size}).raise_for_status()
    multi_run: dict[str, Any] = response.json()
    while multi_run["status"] not in ("completed", "failed"):
        if time.perf_counter() - started > _PATIENCE_SECONDS:
            break
        time.sleep(_LOOK_SECONDS)
        multi_run = client.get(f"{path}/{multi_run['id']}").raise_for_status().json()
    if multi_run["status"] != "completed":
        raise MultiRunError(f"a multi-run is {multi_run['status']}: {multi_run}")
    return multi_run["id"], time.perf_counter() - started


def _events(stack: Stack, multi_run_id: str) -> int:
    (machine,) = stack.template.state_machines.values()
    pages = stack.aws.client("stepfunctions").get_paginator("get_execution_history")
    execution = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{multi_run_id}"
    return sum(len(page["events"]) for page in pages.paginate(executionArn=execution))


@contextmanager
def _baseline(codegen_url: str) -> Iterator[str]:
    """Serve the baseline in a process of its own."""
    environment = {"CODEGEN_BASE_URL": codegen_url, "CODEGEN_ORG_ID": str(DEMO_ORG_ID)}
    command = [sys.executable, "-m", "benchmarks.baseline"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()
