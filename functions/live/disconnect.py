"""WebSocket $disconnect - forget a connection and what it followed."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend

logger = Logger()
backend = Backend()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Tidy up at once. API Gateway does not promise to call this; what it leaves out, the next post or time removes."""
    connection_id = event["requestContext"]["connectionId"]
    backend.connections.remove(connection_id)
    logger.info("disconnected", connection=connection_id)
    return {"statusCode": 200}
