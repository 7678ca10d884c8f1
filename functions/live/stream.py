"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream - follow a run by server-sent events."""

from typing import Any, cast

from aws_lambda_powertools.utilities.typing import LambdaContext
from mangum import Mangum

from codegen_runs import upstream
from codegen_runs.clock import SystemClock
from codegen_runs.edge import answering, identify
from codegen_runs.live.requests import StreamRequest
from codegen_runs.live.sse import EventPage
from codegen_runs.live.subscriptions import subscribe

# Seconds that a request without news is held, well within the gateway's 29.
HOLD = 20.0

clock = SystemClock()


def serve(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer with the events after the last one that the viewer has seen."""
    caller, request = identify(event), StreamRequest.read(event)
    subscription = subscribe(
        org_id=request.org_id,
        agent_run_id=request.agent_run_id,
        after=request.after,
        caller=caller,
        codegen=upstream.for_caller(caller, deadline=context.get_remaining_time_in_millis() / 1000 - HOLD),
    )
    if subscription.over():
        return {"statusCode": 204, "multiValueHeaders": {}, "body": "", "isBase64Encoded": False}
    page = EventPage(subscription, clock=clock, hold=HOLD, interval=request.poll_interval)
    answer: dict[str, Any] = Mangum(page, lifespan="off")(event, cast(Any, context))
    return answer


handler = answering(serve)
