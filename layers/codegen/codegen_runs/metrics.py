"""The metrics of a deployment. CloudWatch extracts them from lines of the log (embedded metric format).

CloudWatch bills each name of a metric with each combination of dimensions. So the only dimension is the service, which
is the stack; everything else, such as the route, is a property of the line.
"""

from enum import StrEnum
from functools import cache
from threading import Lock
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from codegen_runs import logs


class Metric(StrEnum):
    """The names of all metrics."""

    REQUESTS = "Requests"
    LATENCY = "Latency"
    CLIENT_ERRORS = "ClientErrors"
    SERVER_ERRORS = "ServerErrors"
    REFUSALS = "Refusals"
    COLD_STARTS = "ColdStarts"
    UNCONFIRMED_REQUESTS = "UnconfirmedRequests"
    UPSTREAM_LATENCY = "UpstreamLatency"
    UPSTREAM_THROTTLES = "UpstreamThrottles"
    UPSTREAM_UNPAID = "UpstreamUnpaid"
    UPSTREAM_REFUSALS = "UpstreamRefusals"
    DENIALS = "Denials"
    POLLS = "Polls"
    POLLER_LAG = "PollerLag"
    RUNS_NOT_FOLLOWED = "RunsNotFollowed"
    OPEN_MULTI_RUNS = "OpenMultiRuns"
    SETTLED_MULTI_RUNS = "SettledMultiRuns"


_UNITS = {
    Metric.LATENCY: MetricUnit.Milliseconds,
    Metric.UPSTREAM_LATENCY: MetricUnit.Milliseconds,
    Metric.POLLER_LAG: MetricUnit.Seconds,
}

# The poller counts in its threads, and all of them share one set of metrics.
_one_line_at_a_time = Lock()


def add(metric: Metric, value: float = 1) -> None:
    """Add a value to the next line."""
    _metrics().add_metric(metric, _UNITS.get(metric, MetricUnit.Count), value)


def count(metric: Metric, message: str, **properties: Any) -> None:
    """Write a line of its own that counts one occurrence, with these properties, except those that are None."""
    with _one_line_at_a_time:
        add(metric)
        write(message, **properties)


def write(message: str, **properties: Any) -> None:
    """Write one line with the added metrics and these properties, except those that are None."""
    metrics = _metrics()
    # Without a level and a timestamp Lambda would decide both. See `logs`.
    line = {"level": "INFO", "timestamp": logs.timestamp(), "message": message} | properties
    for name, value in line.items():
        if value is not None:
            metrics.add_metadata(name, value)
    metrics.flush_metrics()


@cache
def _metrics() -> Metrics:
    return Metrics()
