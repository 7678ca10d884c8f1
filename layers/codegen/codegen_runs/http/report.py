"""The line that is written for each request: a log entry with the metrics of the request."""

import traceback
from typing import Any

from codegen_runs import metrics
from codegen_runs.callers import token_in
from codegen_runs.http import routing
from codegen_runs.http.proxy import Event, authorized, headers_of, request_id_of
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.redaction import redact


def exchange(event: Event, *, cold_start: bool) -> dict[str, Any]:
    """Return the part of the line that is known before the request is answered."""
    return {
        "request_id": request_id_of(event),
        "route": f"{event['httpMethod']} {event['resource']}",
        "organization": routing.loggable_organization(event),
        "caller": authorized(event).get("caller_id"),
        "token_id": authorized(event).get("token_id") or None,
        "unconfirmed_since": authorized(event).get("unconfirmed_since"),
        "cold_start": cold_start,
    }


def write(
    exchange: dict[str, Any],
    *,
    status: int,
    code: str | None,
    capped: bool = False,
    seconds: float,
    upstream_seconds: float,
) -> None:
    """Write the line of an answered request.

    Args:
        exchange: What `exchange` returned.
        status: The HTTP status of the answer.
        code: The code of the problem; None for a success.
        capped: Whether a cap of this deployment refused the request.
        seconds: How long the answer took.
        upstream_seconds: How much of that was spent waiting for the Codegen API.
    """
    metrics.add(Metric.REQUESTS)
    metrics.add(Metric.LATENCY, seconds * 1000)
    if status >= 400:
        metrics.add(Metric.CLIENT_ERRORS if status < 500 else Metric.SERVER_ERRORS)
    if capped:
        metrics.add(Metric.REFUSALS)
    if exchange["cold_start"]:
        metrics.add(Metric.COLD_STARTS)
    if exchange["unconfirmed_since"]:
        metrics.add(Metric.UNCONFIRMED_REQUESTS)
    if upstream_seconds:
        metrics.add(Metric.UPSTREAM_LATENCY, upstream_seconds * 1000)
    metrics.write("request", **exchange, status=status, code=code)


def write_fault(error: Exception, event: Event) -> None:
    """Log an unexpected error with its traceback, and without the token of the request."""
    text = redact("".join(traceback.format_exception(error)))
    if secret := token_in(headers_of(event)):
        text = text.replace(secret, "[token]")
    logger.error("fault", exception_name=type(error).__name__, exception=text)
