"""Executions of the state machine that really run in the local stack: their history, their price, and long answers.

The baseline of the price is computed: a state machine that does the same, but asks after each run in a loop of Wait,
Check and Choice every 30 s, as a state machine without task tokens does. Only its loops differ: it has the same states
for the group.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks import cost
from benchmarks.multi_run import PATH, MultiRunError, history
from benchmarks.report import Section, Target
from codegen_runs.storage.multi_runs import MultiRunStatus
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, Script
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FEW, MANY, MOST = 5, 20, 100
SHORT, LONG = 2_000, 200_000
"""The characters of a short and of a long answer."""

MULTI_RUNS = 1000
LOOP_SECONDS = 30
LOOP_STATES = ("Wait", "Check", "Choice")
_LOOPS = cost.RUN_SECONDS // LOOP_SECONDS

_PATIENCE_SECONDS = 240.0
_ENDS = ("TaskSubmitted", "TaskSucceeded", "TaskFailed", "TaskTimedOut")


@dataclass(frozen=True)
class Execution:
    """An execution that has ended.

    Attributes:
        candidates: The number of candidates of its multi-run.
        events: The events of its history, of which AWS allows 25,000.
        transitions: The state transitions that AWS bills, its start among them, and those of the executions of its
            candidates.
        tasks: The seconds of each call of a Lambda function, by the function's name.
    """

    candidates: int
    events: int
    transitions: int
    tasks: dict[str, list[float]]

    @property
    def work(self) -> cost.Work:
        """What its functions do."""
        return cost.Work(invocations=sum(map(len, self.tasks.values())), seconds=sum(map(sum, self.tasks.values())))


def read(events: Sequence[Any], candidates: int) -> Execution:
    """Read the history of an execution."""
    by_id = {event["id"]: event for event in events}
    tasks: dict[str, list[float]] = defaultdict(list)
    for event in events:
        # A task that waits for a token is submitted when its function has returned. Its later end follows on that.
        started = by_id.get(event["previousEventId"], {})
        if event["type"] in _ENDS and started["type"] == "TaskStarted":
            scheduled = by_id[started["previousEventId"]]["taskScheduledEventDetails"]
            name = json.loads(scheduled["parameters"])["FunctionName"].rpartition(":")[2]
            tasks[name].append((event["timestamp"] - started["timestamp"]).total_seconds())
    entered = sum(event["type"].endswith("StateEntered") for event in events)
    # With a Distributed Map each candidate has an execution of its own: its start, one state, and another history.
    of_children = 2 * candidates if any(event["type"] == "MapRunStarted" for event in events) else 0
    return Execution(candidates, len(events), entered + 1 + of_children, dict(tasks))


def polling(execution: Execution) -> Execution:
    """Return the execution of the baseline: of the same multi-run, with a loop for each of its runs.

    A call of its Check takes as long as the mean call of a task.
    """
    runs = execution.candidates + 1
    mean = execution.work.seconds / execution.work.invocations
    return Execution(
        candidates=execution.candidates,
        # A Wait and a Choice have two events each, a Task has five.
        events=execution.events + runs * _LOOPS * 9,
        transitions=execution.transitions + runs * _LOOPS * len(LOOP_STATES),
        tasks=execution.tasks | {"Check": [mean] * runs * _LOOPS},
    )


def dollars(execution: Execution, *, times: int = MULTI_RUNS) -> dict[str, float]:
    """Return the list price of executions like this one."""
    return {"Step Functions": times * execution.transitions * cost.STATE_TRANSITION} | execution.work.times(
        times
    ).dollars()


def sections() -> Iterator[Section]:
    """Run the executions, and yield what they take and what long answers take."""
    with _running() as run:
        run(FEW, SHORT)  # the functions start
        few, many = run(FEW, SHORT)[0], run(MANY, SHORT)
        long = run(MANY, LONG)
        most, _ = run(MOST, SHORT)
    yield _history(few, many[0], most)
    yield _long(many, long)


def _history(few: Execution, many: Execution, most: Execution) -> Section:
    rows, numbers = [], {}
    following = cost.following()
    for execution in (few, many):
        baseline = polling(execution)
        runs = following.times((execution.candidates + 1) * MULTI_RUNS / cost.RUNS)
        prices = {
            "ours": dollars(execution),
            "polling": dollars(baseline),
            "the runs": runs.dollars(),
        }
        for side, found in (("ours", execution), ("polling", baseline)):
            price = prices[side]
            rows.append(
                [
                    side,
                    str(execution.candidates),
                    str(found.events),
                    f"{found.events / execution.candidates:.1f}",
                    str(found.transitions),
                    f"{found.transitions / execution.candidates:.1f}",
                    f"{price['Step Functions']:.2f}",
                    f"{sum(price.values()):.2f}",
                    f"{sum(prices['the runs'].values()):.2f}" if side == "ours" else "-",
                ]
            )
        numbers[str(execution.candidates)] = {
            "ours": vars(execution),
            "polling": {"events": baseline.events, "transitions": baseline.transitions},
            "dollars": prices,
        }
    rows.append(
        [
            *("ours", str(most.candidates), str(most.events), f"{most.events / most.candidates:.1f}"),
            *(str(most.transitions), f"{most.transitions / most.candidates:.1f}"),
            *(f"{dollars(most)['Step Functions']:.2f}", "-", "-"),
        ]
    )
    more = many.candidates - few.candidates
    totals = {side: sum(price.values()) for side, price in numbers[str(MANY)]["dollars"].items()}
    return Section(
        title="Executions of the state machine",
        notes=[
            "Counted in the histories of executions that ran in the local engine. Transitions are the states that were "
            "entered, and the start.",
            f"polling: the baseline, computed. The same states, and for each run a loop of {', '.join(LOOP_STATES)} "
            f"every {LOOP_SECONDS} s, for runs of {cost.RUN_SECONDS // 60} minutes.",
            f"$: for {MULTI_RUNS:,} multi-runs, list prices of us-east-1. all: with the functions of the tasks. "
            "the runs: what the poller adds, which the baseline does not have: it follows each run, writes its event "
            "log and completes the task.",
            f"{MOST} candidates go through a Distributed Map: each has an execution of its own, whose start and state "
            "are among the transitions, and whose events are in no other history.",
        ],
        head=(
            *("side", "candidates", "events", "a candidate", "transitions", "a candidate"),
            *("Step Functions $", "all $", "the runs $"),
        ),
        rows=rows,
        targets=[
            Target("events of each further candidate", (many.events - few.events) / more, 10),
            Target("transitions of each further candidate", (many.transitions - few.transitions) / more, 10),
            Target(f"transitions per candidate, of {FEW}", few.transitions / FEW, 10),
            Target(f"events per candidate, of {MANY}", many.events / MANY, 10),
            Target(f"transitions per candidate, of {MOST}", most.transitions / MOST, 10),
            Target(f"events per candidate, of {MOST}", most.events / MOST, 10),
            Target(
                f"price of {MANY} candidates, with the runs, against polling",
                (totals["ours"] + totals["the runs"]) / totals["polling"],
                1.0,
            ),
        ],
        numbers=numbers | {str(most.candidates): {"ours": vars(most)}},
    )


def _long(short: tuple[Execution, dict[str, float]], long: tuple[Execution, dict[str, float]]) -> Section:
    rows, numbers = [], {}
    for name in sorted(long[0].tasks, key=lambda name: -max(long[0].tasks[name])):
        seconds = [max(execution.tasks[name]) for execution, _ in (short, long)]
        memory = [megabytes.get(name) for _, megabytes in (short, long)]
        rows.append(
            [name, *(f"{each * 1000:.0f}" for each in seconds), *(f"{each:.0f}" if each else "-" for each in memory)]
        )
        numbers[name] = {"seconds": seconds, "megabytes": memory}
    slowest = max(numbers.values(), key=lambda each: each["seconds"][1])["seconds"]
    largest = max(numbers.values(), key=lambda each: each["megabytes"][1] or 0)["megabytes"]
    targets = [Target("time of the slowest function, long to short (the texts: 100)", slowest[1] / slowest[0], 100)]
    if None not in largest:
        targets += [
            Target("memory of the largest function, long to short", largest[1] / largest[0], 2),
            Target("the same, of the memory that it has", largest[1] / (cost.MEMORY_GB * 1024), 0.7),
        ]
    return Section(
        title=f"Functions of a multi-run of {MANY} candidates with long answers",
        notes=[
            f"The baseline is the same multi-run with answers of {SHORT:,} characters instead of {LONG:,}.",
            "ms: the longest call, as the history of the execution has it. MB: the most memory that the process of the "
            "function has used so far, its interpreter included (Linux only).",
        ],
        head=("function", "short ms", "long ms", "short MB", "long MB"),
        rows=rows,
        targets=targets,
        numbers=numbers,
    )


@contextmanager
def _running() -> Iterator[Callable[[int, int], tuple[Execution, dict[str, float]]]]:
    """Start a stack, and yield a function that runs a multi-run and returns its execution and the memory in use."""
    fake = FakeCodegen(pace=0.1, limits={})
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with (
        Stack(fake=fake, parameters={"CodegenLimitFactor": "1000", "MaxCandidates": str(MOST)}) as stack,
        httpx.Client(base_url=stack.api_url, headers=headers, timeout=30, trust_env=False) as client,
    ):

        def run(candidates: int, characters: int) -> tuple[Execution, dict[str, float]]:
            for index in range(candidates):
                fake.script(Script(seconds=10, steps=5, pull_request=False, result=_answer(index, characters)))
            body = {"prompt": "Explain how to test a cache.", "concurrency": candidates, "judge": "never"}
            multi_run = client.post(PATH, json=body).raise_for_status().json()
            started = time.perf_counter()
            while not MultiRunStatus(multi_run["status"]).terminal:
                if time.perf_counter() - started > _PATIENCE_SECONDS:
                    raise MultiRunError(f"A multi-run did not end within {_PATIENCE_SECONDS:.0f} s.")
                time.sleep(1)
                answer = client.get(f"{PATH}/{multi_run['id']}")
                multi_run = multi_run if answer.is_server_error else answer.raise_for_status().json()
            if multi_run["counts"]["usable"] != candidates:
                raise MultiRunError(f"Candidates failed: {multi_run['counts']}")
            events = history(stack, multi_run["id"])
            return read(events, candidates), _megabytes(stack.aws_url)

        yield run


def _answer(index: int, characters: int) -> str:
    """Return an answer of this length, in paragraphs that no other candidate has."""
    paragraph = f"Candidate {index} tests the cache with case {{}}: it reads, writes and expires entry {{}} again.\n\n"
    paragraphs = (paragraph.format(number, number * 7) for number in range(characters // 60))
    return "".join(paragraphs)[:characters]


def _megabytes(aws_url: str) -> dict[str, float]:
    """Return the most memory (MB) that the worker processes of a stack have used, by function; empty without /proc."""
    found: dict[str, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pairs = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            status = (folder / "status").read_text()
        except OSError:  # it has ended, or belongs to another user
            continue
        environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        if name and environment.get("AWS_ENDPOINT_URL") == aws_url and "VmHWM:" in status:
            kilobytes = int(status.partition("VmHWM:")[2].split()[0])
            found[name] = max(found.get(name, 0.0), kilobytes / 1024)
    return found
