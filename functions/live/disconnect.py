"""WebSocket $disconnect - forget a connection and what it followed."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings
from codegen_runs.storage.connections import ConnectionsTable

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Tidy up at once. API Gateway does not promise to call this; what it leaves out, the next post or time removes."""
    connection_id = event["requestContext"]["connectionId"]
    ConnectionsTable(settings.required("CONNECTIONS_TABLE")).remove(connection_id)
    logger.info("disconnected", connection=connection_id)
    return {"statusCode": 200}
