"""Run the poller: every minute, and whenever another function adds work."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import metrics, upstream
from codegen_runs.backend import Backend
from codegen_runs.live.connections import GatewayConnections
from codegen_runs.live.push import Publisher, Sender
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.poller.announcer import Announcer
from codegen_runs.poller.candidates import RecordedCandidates
from codegen_runs.poller.loop import Poller
from codegen_runs.poller.task_tokens import StepFunctionsTokens
from codegen_runs.poller.wakeups import Wakeup
from codegen_runs.webhook_endpoints import announcing

# Seconds of the function's timeout that remain to finish the calls under way. The rest is a little less than a minute:
# a scheduled tick ends when the next one begins.
MARGIN = 27.0

backend = Backend()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Push the events that other functions stored to WebSocket subscribers, then run one tick."""
    wakeup = Wakeup.read(event)
    for org_id, key in wakeup.told:
        publisher(backend).catch_up(org_id, key)
    publisher(backend).check()
    announcing.announce(backend=backend)
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN
    quota = upstream.deployment_quota()
    backend.runs.note_deployment_quota(quota)
    poller = Poller(
        runs=backend.runs,
        codegen=upstream.for_deployment(max_retries=0),
        tokens=StepFunctionsTokens(),
        clock=backend.clock,
        holder=context.aws_request_id,
        publisher=Announcer(publisher(backend), backend),
        candidates=RecordedCandidates(backend, Announcer(publisher(backend), backend)),
        quota=quota,
    )
    report = poller.tick(until=backend.clock.now() + seconds, patient=not wakeup.kick)
    metrics.add(Metric.POLLS, report.polls)
    if report.held_lease:
        metrics.add(Metric.POLLER_LAG, report.lag)
    metrics.write("tick", request_id=context.aws_request_id, held_lease=report.held_lease, polls=report.polls)
    return {"held_lease": report.held_lease, "polls": report.polls}


@cache
def publisher(backend: Backend) -> Publisher:
    """Return the publisher for WebSocket subscribers. Its threads live as long as the process."""
    return Publisher(Sender(backend, GatewayConnections()), backend)
