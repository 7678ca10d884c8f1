"""WebSocket $default - answer a client's message: subscribe, unsubscribe or ping."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings, upstream
from codegen_runs.clock import SystemClock
from codegen_runs.live.connections import GatewayConnections, Gone
from codegen_runs.live.websocket import Session
from codegen_runs.storage.connections import ConnectionsTable
from codegen_runs.storage.multi_runs import MultiRunsTable
from codegen_runs.storage.runs import RunsTable

# Seconds of the function's time that are kept: to finish a post under way, and for what follows a look upstream.
MARGIN = 6.0
UPSTREAM_MARGIN = 10.0

logger = Logger()
clock = SystemClock()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer with frames, errors too. A client that has left meanwhile is forgotten."""
    connection_id = event["requestContext"]["connectionId"]
    seconds = context.get_remaining_time_in_millis() / 1000
    table = ConnectionsTable(settings.required("CONNECTIONS_TABLE"))
    session = Session(
        table=table,
        runs=RunsTable(settings.required("RUNS_TABLE")),
        multi_runs=MultiRunsTable(settings.required("MULTI_RUNS_TABLE")),
        codegen=lambda: upstream.for_deployment(deadline=seconds - UPSTREAM_MARGIN),
        connections=GatewayConnections(),
        clock=clock,
    )
    try:
        code = session.answer(
            connection_id,
            event.get("body"),
            request_id=event["requestContext"]["requestId"],
            until=clock.now() + seconds - MARGIN,
        )
    except Gone:
        table.remove(connection_id)
        code = "gone"
    logger.info("message", connection=connection_id, code=code)
    return {"statusCode": 200}
