"""Every minute, and whenever work is added: launch what is queued, follow what runs, release task tokens."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.live.connections import GatewayConnections
from codegen_runs.live.push import Publisher, Sender
from codegen_runs.poller.loop import Poller
from codegen_runs.poller.task_tokens import StepFunctionsTokens

# Seconds of the function's time that are kept to finish the calls under way; the rest is a little less than a minute,
# so that one scheduled tick ends where the next begins.
MARGIN = 27.0

logger = Logger()
metrics = Metrics()
backend = Backend()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Tell who is connected of what others than the poller wrote, then run one tick."""
    for org_id, key in event.get("told", ()):
        publisher(backend).catch_up(org_id, key)
    publisher(backend).look()
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN
    budget = upstream.deployment_budget()
    backend.runs.note_deployment_budget(budget)
    poller = Poller(
        runs=backend.runs,
        codegen=upstream.for_deployment(max_retries=0),
        tokens=StepFunctionsTokens(),
        clock=backend.clock,
        holder=context.aws_request_id,
        publisher=publisher(backend),
        budget=budget,
    )
    report = poller.tick(until=backend.clock.now() + seconds, patient="kick" not in event)
    metrics.add_metric("Polls", MetricUnit.Count, report.polls)
    logger.info("tick", held_lease=report.held_lease, polls=report.polls)
    return {"held_lease": report.held_lease, "polls": report.polls}


@cache
def publisher(backend: Backend) -> Publisher:
    """Return what tells those who are connected, with its threads that last as long as the process."""
    return Publisher(Sender(backend, GatewayConnections()), backend)
