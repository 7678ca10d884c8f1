"""The line that is written for each request. CloudWatch stores it as a log entry and extracts metrics (EMF)."""

import traceback
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from codegen_runs.callers import token_in
from codegen_runs.http.proxy import Event, authorized, headers_of, named_organization, request_id_of

logger = Logger()


def exchange(event: Event, *, cold_start: bool) -> dict[str, Any]:
    """Return the part of the line that is known before the request is answered."""
    return {
        "request_id": request_id_of(event),
        "route": f"{event['httpMethod']} {event['resource']}",
        "organization": named_organization(event),
        "caller": authorized(event).get("caller_id"),
        "token_id": authorized(event).get("token_id") or None,
        "cold_start": cold_start,
    }


def write(exchange: dict[str, Any], *, status: int, code: str | None, seconds: float, upstream_seconds: float) -> None:
    """Write the line of an answered request.

    Args:
        exchange: What `exchange` returned.
        status: The HTTP status of the answer.
        code: The code of the problem; None for a success.
        seconds: How long the answer took.
        upstream_seconds: How much of that was spent waiting for the Codegen API.
    """
    metrics = _metrics()
    line = exchange | {"message": "request", "status": status, "code": code}
    for name, value in line.items():
        if value is not None and name != "route":
            metrics.add_metadata(name, value)
    metrics.add_dimension("route", exchange["route"])
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("Latency", MetricUnit.Milliseconds, seconds * 1000)
    # Each metric of a request has a cost, so these are written only when they apply.
    if status >= 400:
        metrics.add_metric("ClientErrors" if status < 500 else "ServerErrors", MetricUnit.Count, 1)
    if exchange["cold_start"]:
        metrics.add_metric("ColdStarts", MetricUnit.Count, 1)
    if upstream_seconds:
        metrics.add_metric("UpstreamLatency", MetricUnit.Milliseconds, upstream_seconds * 1000)
    metrics.flush_metrics()


def write_fault(error: Exception, event: Event) -> None:
    """Log an unexpected error with its traceback, and without the token of the request."""
    text = "".join(traceback.format_exception(error))
    if secret := token_in(headers_of(event)):
        text = text.replace(secret, "[token]")
    logger.error("fault", exception_name=type(error).__name__, exception=text)


@cache
def _metrics() -> Metrics:
    return Metrics()
