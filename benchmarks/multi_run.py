"""Multi-runs on the whole local stack and on the baseline: the wait that they add, and the calls that they make."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx
from rich.progress import track

from benchmarks.artifacts import ROOT
from benchmarks.report import Section, Target
from codegen_runs.storage.multi_runs import MultiRunStatus
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OURS, BASELINE = "ours", "baseline"
SIZES = (5, 20)

PATH = f"/v1/organizations/{DEMO_ORG_ID}/multi-runs"
_PROMPT = "Create a React component"
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 180.0


class MultiRunError(Exception):
    """A multi-run did not end, or failed, so nothing was measured."""


@dataclass(frozen=True)
class Case:
    """A kind of multi-run.

    Attributes:
        size: The number of candidates.
        pace: How long runs take, as a multiple of the fake's 8 to 12 s for a candidate and 4 to 6 s for a synthesis.
    """

    size: int
    pace: float


QUICK = [Case(size, 0.25) for size in SIZES]
FULL = [*QUICK, *(Case(size, 0.5) for size in SIZES)]


@dataclass(frozen=True)
class Outcome:
    """One multi-run. Times are in seconds. `events` counts the history of the state machine's execution, if any.

    `after` is the time from the end of the last candidate to the answer, without the synthesis run.
    """

    wall: float
    slowest: float
    synthesis: float
    after: float
    run_minutes: float
    creates: int
    reads: int
    events: int

    @property
    def added(self) -> float:
        """The wait in addition to the slowest candidate and the synthesis run."""
        return self.wall - self.slowest - self.synthesis

    @property
    def reads_per_minute(self) -> float:
        """The reads of all runs, per minute that a run was at work."""
        return self.reads / self.run_minutes


@dataclass(frozen=True)
class Series:
    """Several repetitions of one kind of multi-run on one side."""

    case: Case
    side: str
    outcomes: list[Outcome]

    def median(self, what: str) -> float:
        """Return the median of an attribute."""
        return float(median(getattr(outcome, what) for outcome in self.outcomes))

    def row(self) -> list[str]:
        """Return the row of the table."""
        added = sorted(outcome.added for outcome in self.outcomes)
        return [
            self.side,
            str(self.case.size),
            f"{self.median('slowest'):.1f}",
            f"{self.median('wall'):.1f}",
            f"{median(outcome.wall / outcome.slowest for outcome in self.outcomes):.2f}",
            f"{added[0]:.1f} {median(added):.1f} {added[-1]:.1f}",
            f"{self.median('after'):.1f}",
            f"{self.median('creates'):.0f}",
            f"{self.median('reads'):.0f}",
            f"{self.median('reads_per_minute'):.0f}",
            f"{self.median('events'):.0f}" if self.side == OURS else "-",
        ]

    def numbers(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self.case), "side": self.side, "outcomes": [vars(outcome) for outcome in self.outcomes]}


def section(*, repetitions: int, cases: Sequence[Case]) -> Section:
    """Measure both sides in turns, against one fake."""
    found = [Series(case, side, []) for case in cases for side in (OURS, BASELINE)]
    in_turns = [series for case in cases for _ in range(repetitions) for series in found if series.case == case]
    with _measuring() as measure:
        for series in track(in_turns, "multi-run", transient=True):
            series.outcomes.append(measure(series.side, series.case))
    return Section(
        title=f"Multi-runs of {' and '.join(map(str, SIZES))} candidates, with their synthesis",
        notes=[
            f"The whole local stack on this Python, against the fake Codegen in real time; {repetitions} interleaved "
            "repetitions after a warm-up, medians.",
            "Codegen's rate limits are off, in the fake and in ours: waiting for them (10 creations per minute) is not "
            "measured. (The baseline does not respect them: with them on, it fails at the eleventh candidate.)",
            f"wall: until a caller who reads every {_POLL_SECONDS} s sees the answer. ratio: wall divided by the "
            "slowest candidate. added: wall minus the slowest candidate and the synthesis: minimum, median, maximum. "
            "after: from the end of the last candidate to the answer, without the synthesis. reads: calls of Codegen "
            "that read a run's status, also per minute of the runs. events: of the execution's history.",
        ],
        head=(
            *("side", "candidates", "slowest s", "wall s", "ratio", "added s", "after s"),
            *("creates", "reads", "a minute", "events"),
        ),
        rows=[series.row() for series in found],
        targets=[*_targets([series for series in found if series.side == OURS]), *_against_the_loop(found)],
        numbers=[series.numbers() for series in found],
    )


def _targets(found: Sequence[Series]) -> list[Target]:
    """Count the events of each further candidate: a history also has events that do not depend on their number."""
    targets = []
    for few, many in zip(found[::2], found[1::2], strict=True):
        events = (many.median("events") - few.median("events")) / (many.case.size - few.case.size)
        name = f"history events per candidate, with a slowest candidate of {many.median('slowest'):.0f} s"
        targets.append(Target(name, events, 10))
    return targets


def _against_the_loop(found: Sequence[Series]) -> list[Target]:
    """Compare the time from the last candidate's end to the answer, and the calls, with those of the loop."""
    targets = []
    for ours, baseline in zip(found[::2], found[1::2], strict=True):
        waits = [[outcome.after for outcome in side.outcomes] for side in (ours, baseline)]
        name = f"time after the last of {ours.case.size} candidates of {ours.median('slowest'):.0f} s, against the loop"
        targets.append(Target(name, median(waits[0]) / median(waits[1]), 1.3))
        if ours.case.size == max(SIZES):
            calls = [side.median("creates") + side.median("reads") for side in (ours, baseline)]
            name = (
                f"calls of Codegen of {ours.case.size} candidates of {ours.median('slowest'):.0f} s, against the loop"
            )
            targets.append(Target(name, calls[0] / calls[1], 1.5))
    return targets


@contextmanager
def _measuring() -> Iterator[Callable[[str, Case], Outcome]]:
    """Start both sides, warm them up, and yield a function that measures one multi-run."""
    with ExitStack() as exit_stack:
        fake = FakeCodegen(limits={})
        stack = exit_stack.enter_context(Stack(fake=fake, parameters={"CodegenLimitFactor": "1000"}))
        baseline_url = exit_stack.enter_context(_baseline(stack.codegen.base_url))
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        clients = {
            side: exit_stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False))
            for side, url in ((OURS, stack.api_url), (BASELINE, baseline_url))
        }

        def measure(side: str, case: Case) -> Outcome:
            fake.pace = case.pace
            fake.calls.clear()
            fake.calls_about.clear()
            fake.creates.clear()
            multi_run_id, wall = _run(clients[side], case.size)
            answered, searches = time.time(), fake.calls["list_agent_runs"]
            turns = [fake.runs[create.agent_run_id].turns[-1] for create in fake.creates]
            lasted = [turn.plan.ends_at for turn in turns]
            if len(lasted) != case.size + 1:
                raise MultiRunError(f"{side}: {case.size} candidates with a synthesis made {len(lasted)} runs")
            last_end = max(turn.started_at.timestamp() + turn.plan.ends_at for turn in turns[: case.size])
            return Outcome(
                wall=wall,
                slowest=max(lasted[: case.size]),
                synthesis=lasted[-1],
                after=answered - last_end - lasted[-1],
                run_minutes=sum(lasted) / 60,
                creates=fake.calls["create_agent_run"],
                # Late looks at the logs of the multi-run before are not its own.
                reads=sum(fake.calls_about[str(create.agent_run_id)] for create in fake.creates) + searches,
                events=len(history(stack, multi_run_id)) if side == OURS else 0,
            )

        for side in clients:
            measure(side, Case(min(SIZES), 0))
        yield measure


def _run(client: httpx.Client, size: int) -> tuple[str, float]:
    """Start a multi-run, wait for its answer, and return its id and the seconds that this took."""
    started = time.perf_counter()
    # The baseline has no judges.
    body = {"prompt": _PROMPT, "concurrency": size, "judge": "never"}
    response = client.post(PATH, json=body).raise_for_status()
    multi_run: dict[str, Any] = response.json()
    while not MultiRunStatus(multi_run["status"]).terminal:
        if time.perf_counter() - started > _PATIENCE_SECONDS:
            raise MultiRunError(f"A multi-run did not end within {_PATIENCE_SECONDS:.0f} s: {multi_run}")
        time.sleep(_POLL_SECONDS)
        response = client.get(f"{PATH}/{multi_run['id']}")
        if not response.is_server_error:  # On an overloaded machine a read may time out.
            multi_run = response.raise_for_status().json()
    if multi_run["status"] != "completed":
        raise MultiRunError(f"A multi-run failed: {multi_run}")
    return multi_run["id"], time.perf_counter() - started


def history(stack: Stack, multi_run_id: str) -> list[Any]:
    """Return the events of an execution, once it has ended."""
    (machine,) = stack.template.state_machines.values()
    client = stack.aws.client("stepfunctions")
    execution = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{multi_run_id}"
    until = time.perf_counter() + _PATIENCE_SECONDS
    while client.describe_execution(executionArn=execution)["status"] == "RUNNING" and time.perf_counter() < until:
        time.sleep(_POLL_SECONDS)
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]


@contextmanager
def _baseline(codegen_url: str) -> Iterator[str]:
    """Serve the baseline in a process of its own, and yield its URL."""
    environment = {"CODEGEN_BASE_URL": codegen_url, "CODEGEN_ORG_ID": str(DEMO_ORG_ID)}
    command = [sys.executable, "-m", "benchmarks.baseline"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()
