"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream - follow a run by server-sent events."""

from mangum import Mangum

import codegen_runs.codegen  # noqa: F401 - how errors of the Codegen API are told
from codegen_runs import upstream
from codegen_runs.callers import Caller
from codegen_runs.clock import SystemClock
from codegen_runs.live.requests import StreamRequest
from codegen_runs.live.sse import EventStream
from codegen_runs.live.subscriptions import Subscription, subscribe

clock = SystemClock()


def follow(request: StreamRequest, caller: Caller, seconds: float) -> Subscription:
    """Subscribe to the run that a request names. Who comes by ticket has no token; the ticket had the run followed."""
    return subscribe(
        org_id=request.org_id,
        agent_run_id=request.agent_run_id,
        after=request.after,
        caller=caller,
        codegen=upstream.for_caller(caller, deadline=seconds) if caller.token else None,
        clock=clock,
    )


stream = EventStream(follow, clock=clock)
handler = Mangum(stream, lifespan="off", text_mime_types=["text/event-stream", "application/problem+json"])
