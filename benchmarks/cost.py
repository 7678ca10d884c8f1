"""What a deployment costs: the work of an idle month and of a thousand runs, counted, times the list prices of AWS.

The poller and the functions run in simulated time against DynamoDB in memory. So requests, read and write units, and
the seconds of the poller are counted exactly. Lambda is billed by time. The time of short functions is that of this
machine, which makes little difference. The work of viewers is computed: see `_viewers`.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.live import Deployment, NoTokens, deployment
from benchmarks.report import Section
from codegen_runs import aws, upstream
from codegen_runs.backend import Backend
from codegen_runs.metrics import Metric
from codegen_runs.poller.loop import Poller
from local.cloudformation import read
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeTransport, Script
from local.scheduler import period
from tests.support.events import CALLER, Context, rest
from tests.support.handlers import handler

if TYPE_CHECKING:
    from collections.abc import Iterator

# List prices in dollars, us-east-1, on demand, without free tiers. AWS's price pages, read in November 2026.
LAMBDA_REQUEST = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000166667
REST_REQUEST = 3.50 / 1e6
READ_UNIT, WRITE_UNIT = 0.125 / 1e6, 0.625 / 1e6
SCHEDULED_INVOCATION = 1.00 / 1e6
METRIC, ALARM, SECRET = 0.30, 0.10, 0.40  # a month
LOG_GB = 0.50
TRACE = 5.00 / 1e6
STATE_TRANSITION = 25.00 / 1e6

MEMORY_GB = 0.5
REQUEST_LINE_BYTES = 800
MINUTES_A_MONTH = 30 * 24 * 60
PAGE_SECONDS = 25.0  # how long a paged stream and a long poll wait

RUNS, AT_A_TIME, RUN_SECONDS, LOGS = 1000, 10, 600, 60


@dataclass
class Work:
    """What was done, in the units that AWS bills."""

    units: Counter[str] = field(default_factory=Counter)
    invocations: int = 0
    seconds: float = 0.0
    requests: int = 0

    def dollars(self) -> dict[str, float]:
        """Return the price of each service."""
        return {
            "Lambda": self.invocations * LAMBDA_REQUEST + self.seconds * MEMORY_GB * LAMBDA_GB_SECOND,
            "API Gateway": self.requests * REST_REQUEST,
            "DynamoDB": self.units["read"] * READ_UNIT + self.units["write"] * WRITE_UNIT,
            "Logs": self.invocations * REQUEST_LINE_BYTES / 1e9 * LOG_GB,
            "X-Ray": self.invocations * TRACE,
        }

    def times(self, factor: float) -> Work:
        """Return this work done `factor` times."""
        units = Counter({name: round(count * factor) for name, count in self.units.items()})
        return Work(units, round(self.invocations * factor), self.seconds * factor, round(self.requests * factor))

    def __add__(self, other: Work) -> Work:
        return Work(
            self.units + other.units,
            self.invocations + other.invocations,
            self.seconds + other.seconds,
            self.requests + other.requests,
        )


class Meter(httpx.BaseTransport):
    """Counts the units of DynamoDB that requests take, from the sizes of requests and answers.

    A write is counted with one unit more for an index, and twice in a transaction. A read counts as consistent. So the
    figures are upper bounds.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self.units: Counter[str] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, and count it."""
        response = self._transport.handle_request(request)
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if operation in ("GetItem", "BatchGetItem", "Query"):
            self.units["read"] += math.ceil(len(response.read()) / 4096)
        elif operation == "TransactWriteItems":
            for action in json.loads(request.read())["TransactItems"]:
                self.units["write"] += 2 * _write_units(action)
        elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
            self.units["write"] += _write_units(json.loads(request.read()))
        return response


def _write_units(action: Any) -> int:
    return math.ceil(len(json.dumps(action)) / 1024) + 1


def section() -> Section:
    """Count and price the work."""
    with _metered() as (deployed, meter):
        idle = _idle_month(meter)
        fixed = _fixed(deployed)
    unwatched = following()
    watched = unwatched + _viewers(RUNS)
    cases = {
        "an idle month": (idle.dollars() | fixed, idle),
        f"{RUNS:,} runs": (unwatched.dollars(), unwatched),
        f"{RUNS:,} runs, each watched by one viewer": (watched.dollars(), watched),
    }
    names = dict.fromkeys(name for dollars, _ in cases.values() for name in dollars)
    rows = [[name, *(f"{dollars.get(name, 0):.2f}" for dollars, _ in cases.values())] for name in names]
    rows.append(["total", *(f"{sum(dollars.values()):.2f}" for dollars, _ in cases.values())])
    return Section(
        title="Cost in dollars",
        notes=[
            "List prices of us-east-1 without free tiers. AWS's own traffic and the plan at Codegen are not included.",
            f"A run takes {RUN_SECONDS // 60} minutes and writes {LOGS} log entries; {AT_A_TIME} run at a time. "
            "A viewer watches a run from its start to its end by the paged stream.",
        ],
        head=("service", *cases),
        rows=rows,
        targets=[],
        numbers={
            name: {
                "dollars": dollars,
                "reads": work.units["read"],
                "writes": work.units["write"],
                "invocations": work.invocations,
                "lambda_seconds": work.seconds,
                "api_requests": work.requests,
            }
            for name, (dollars, work) in cases.items()
        },
    )


def following() -> Work:
    """Count the work of starting and following a thousand runs that nobody watches."""
    with _metered() as (deployed, meter):
        return _runs(deployed, meter)


@contextmanager
def _metered() -> Iterator[tuple[Deployment, Meter]]:
    with deployment() as deployed, redirect_stdout(StringIO()):
        meter = Meter(deployed.aws)
        with aws.wire.over(meter), upstream.over(FakeTransport(deployed.fake)):
            yield deployed, meter


def _fixed(deployed: Deployment) -> dict[str, float]:
    """Return what is paid by the month, whatever the deployment does: the most for metrics, the alarms, the secrets."""
    template = read(deployed.template.path, deployed.template.parameters)
    return {
        "metrics": len(Metric) * METRIC,
        "alarms": ALARM
        * sum(max(1, len(alarm.properties.get("Metrics", [])) - 1) for alarm in template.of("AWS::CloudWatch::Alarm")),
        "secrets": SECRET * (1 + len(template.of("AWS::SecretsManager::Secret"))),
        "scheduler": sum(
            MINUTES_A_MONTH * 60 / period(schedule.expression) * SCHEDULED_INVOCATION
            for schedule in deployed.template.schedules
        ),
    }


def _idle_month(meter: Meter) -> Work:
    work = Work()
    for name, seconds_between in (("poller/poll", 60), ("reconciler/reconcile", 300)):
        function = handler(name)
        for _ in range(3):  # the first invocations also read the secret and import what they need
            meter.units.clear()
            started = time.perf_counter()
            function({"source": "aws.scheduler"}, Context(milliseconds_left=85_000))
            seconds = time.perf_counter() - started
        work += Work(Counter(meter.units), 1, seconds).times(MINUTES_A_MONTH * 60 / seconds_between)
    return work


def _runs(deployed: Deployment, meter: Meter) -> Work:
    """Follow ten runs from their request to the last look at their logs, and scale that up."""
    _, fake, clock, codegen, *_ = deployed
    work = Work()
    backend = Backend(clock=clock, kick=lambda *_: None)
    for _ in range(AT_A_TIME):
        fake.script(Script(seconds=RUN_SECONDS, steps=LOGS))
        path = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
        event = rest("POST", path, body={"prompt": "Go."}, caller=replace(CALLER, token=DEMO_TOKEN))
        started = time.perf_counter()
        answer = handler("agent_runs/create")(event, Context(), backend)
        assert answer["statusCode"] < 300, answer
        work += Work(Counter(), 2, 2 * (time.perf_counter() - started), 1)  # the function and the authorizer
    poller = Poller(runs=deployed.runs, codegen=codegen, tokens=NoTokens(), clock=clock, holder="bench", concurrency=1)
    for _ in range(RUN_SECONDS // 60 + 3):  # until two minutes after the end the logs are compared once more
        began = clock.now()
        poller.tick(began + 58)
        work.seconds += clock.now() - began
        work.invocations += 1
        clock.sleep(max(0.0, began + 60 - clock.now()))
    work.units += meter.units
    return work.times(RUNS / AT_A_TIME)


def _viewers(count: int) -> Work:
    """Return the work of viewers who each hold a paged stream for the time of a run, which is billed while it waits."""
    pages = RUN_SECONDS / PAGE_SECONDS
    # Each page reads the watch and the new events, and while it waits it reads the watch once a second.
    reads = RUN_SECONDS + 2 * pages
    one = Work(Counter(read=round(reads), write=round(pages * 2)), round(2 * pages), RUN_SECONDS, round(pages))
    return one.times(count)
