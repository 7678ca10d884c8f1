"""WebSocket $connect - let a caller in, by a token or a ticket."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings
from codegen_runs.access.authentication import TokenRefused
from codegen_runs.access.standing import Standing
from codegen_runs.callers import Caller, token_in
from codegen_runs.clock import SystemClock
from codegen_runs.live.tickets import Tickets
from codegen_runs.problems import Unauthorized
from codegen_runs.storage.access import AccessTable
from codegen_runs.storage.connections import Connection, ConnectionsTable
from codegen_runs.storage.table import Table

MARGIN = 1.0  # Seconds of the function's time that are kept to store the connection.

logger = Logger()
clock = SystemClock()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer 200 to open the connection, 401 to refuse it; any error refuses it with 502."""
    connection_id = event["requestContext"]["connectionId"]
    ticket = (event.get("queryStringParameters") or {}).get("ticket")
    try:
        if ticket:
            caller, subject = by_ticket(ticket)
        else:
            deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
            token = token_in(event.get("headers") or {}) or ""
            caller, subject = standing().caller(token, deadline), None
    except (TokenRefused, Unauthorized):  # A ticket's refusal, and an ended token's, are of the second kind.
        logger.info("refused", connection=connection_id)
        return {"statusCode": 401}
    opened = Connection.opened(connection_id, caller, subject, now=clock.now())
    ConnectionsTable(settings.required("CONNECTIONS_TABLE")).add(opened)
    logger.info("connected", connection=connection_id, caller=caller.id)
    return {"statusCode": 200}


def by_ticket(ticket: str) -> tuple[Caller, str]:
    """Tell who comes with a ticket, and for what. Raises `TicketRefused`."""
    admission = Tickets(Table(settings.required("CALLERS_TABLE")), clock).redeem(ticket)
    return admission.caller, admission.subject.name


@cache
def standing() -> Standing:
    """Open the tables on first use, and keep what was remembered while the function is warm."""
    return Standing(
        AccessTable(settings.required("ACCESS_TABLE")), Table(settings.required("CALLERS_TABLE")), clock=clock
    )
