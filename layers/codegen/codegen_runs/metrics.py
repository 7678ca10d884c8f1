"""The metrics of a deployment. CloudWatch extracts them from lines of the log (embedded metric format).

CloudWatch bills each name of a metric with each combination of dimensions. So the only dimension is the service, which
is the stack; everything else, such as the route, is a property of the line.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from codegen_runs import logs

if TYPE_CHECKING:
    from aws_lambda_powertools import Metrics


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
    Metric.LATENCY: "Milliseconds",
    Metric.UPSTREAM_LATENCY: "Milliseconds",
    Metric.POLLER_LAG: "Seconds",
}

_added: set[Metric] = set()


def add(metric: Metric, value: float = 1) -> None:
    """Add a value to the next line."""
    _added.add(metric)
    _metrics().add_metric(metric, _UNITS.get(metric, "Count"), value)


def write(message: str, **properties: Any) -> None:
    """Write one line with the added metrics and these properties, except those that are None."""
    _added.clear()
    metrics = _metrics()
    # Without a level and a timestamp Lambda would decide both. See `logs`.
    line = {"level": "INFO", "timestamp": logs.timestamp(), "message": message} | properties
    for name, value in line.items():
        if value is not None:
            metrics.add_metadata(name, value)
    metrics.flush_metrics()


def write_added(message: str, **properties: Any) -> None:
    """Write a line if there is a metric that no line has yet."""
    if _added:
        write(message, **properties)


@cache
def _metrics() -> Metrics:
    # Imported here, because the authorizer and the tasks of the state machine seldom count anything.
    from aws_lambda_powertools import Metrics

    return Metrics()
