"""WebSocket $connect - admit a caller with a token or a ticket."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import metrics
from codegen_runs.access.authentication import TokenRefused
from codegen_runs.access.standing import Standing
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller, address_of, token_in
from codegen_runs.live.tickets import Tickets
from codegen_runs.live.viewers import open_connection
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.problems import TooMany, Unauthorized
from codegen_runs.storage.connections import KEPT, Connection

MARGIN = 1.0  # Seconds of the function's timeout that remain to store the connection.

backend = Backend()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Answer 200 to open the connection, or 401 or 429 to refuse it. An unexpected error refuses it with 502."""
    connection_id = event["requestContext"]["connectionId"]
    ticket = (event.get("queryStringParameters") or {}).get("ticket")
    try:
        if ticket:
            caller, subject = by_ticket(ticket, backend)
            standing(backend).check_token_of(caller)
        else:
            deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
            token = token_in(event.get("headers") or {}) or ""
            caller, subject = standing(backend).caller(token, deadline, address_of(event)), None
        open_connection(caller, connection_id, seconds=KEPT, backend=backend)
    except TooMany as problem:
        metrics.add(Metric.REFUSALS)
        metrics.write("refused", connection=connection_id, code=problem.code)
        return {"statusCode": problem.status}
    except (TokenRefused, Unauthorized):  # `Unauthorized` covers a refused ticket and an expired or revoked token.
        logger.info("refused", connection=connection_id)
        return {"statusCode": 401}
    opened = Connection.opened(connection_id, caller, subject, now=backend.clock.now())
    backend.connections.add(opened)
    logger.info("connected", connection=connection_id, caller=caller.id, unconfirmed_since=caller.unconfirmed_since)
    return {"statusCode": 200}


def by_ticket(ticket: str, backend: Backend) -> tuple[Caller, str]:
    """Return the caller and the subject of a ticket. Raises `TicketRefused`."""
    admission = Tickets(backend).redeem(ticket)
    return admission.caller, admission.subject.name


@cache
def standing(backend: Backend) -> Standing:
    """Return the same `Standing` while the function is warm: it caches verified callers."""
    return Standing(backend)
