"""WebSocket $disconnect - delete a connection and its subscriptions."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend
from codegen_runs.live.viewers import close_connection
from codegen_runs.logs import logger

backend = Backend()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Delete the items at once. If API Gateway does not call this, the next post or their expiry removes them."""
    connection_id = event["requestContext"]["connectionId"]
    connection = backend.connections.get(connection_id)
    backend.connections.remove(connection_id)
    if connection:
        close_connection(connection.user_id, connection_id, backend=backend)
    logger.info("disconnected", connection=connection_id)
    return {"statusCode": 200}
