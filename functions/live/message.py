"""WebSocket $default - answer a client's message: subscribe, unsubscribe or ping."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend
from codegen_runs.http.proxy import content_of
from codegen_runs.live.connections import GatewayConnections, Gone
from codegen_runs.live.websocket import Session
from codegen_runs.logs import logger

# Seconds of the function's timeout that remain: to finish a post, and for the steps after a call to the upstream.
MARGIN = 6.0
UPSTREAM_MARGIN = 10.0

backend = Backend()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Answer with frames, also for errors. Delete the connection if the client has left."""
    connection_id = event["requestContext"]["connectionId"]
    seconds = context.get_remaining_time_in_millis() / 1000
    acting = backend.acting_as(None, deadline=seconds - UPSTREAM_MARGIN)
    session = Session(acting, GatewayConnections())
    try:
        code = session.answer(
            connection_id,
            content_of(event),
            request_id=event["requestContext"]["requestId"],
            until=backend.clock.now() + seconds - MARGIN,
        )
    except Gone:
        backend.connections.remove(connection_id)
        code = "gone"
    logger.info("message", connection=connection_id, code=code)
    return {"statusCode": 200}
