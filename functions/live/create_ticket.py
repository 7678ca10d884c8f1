"""POST /v1/stream-tickets - get a ticket for an EventSource or a WebSocket, which cannot send a token."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.clock import SystemClock
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, endpoint, organization
from codegen_runs.live.issuing import IssueTicket, StreamTicket, issue
from codegen_runs.live.tickets import Tickets
from codegen_runs.roles import Role
from codegen_runs.storage.table import Table

app = APIGatewayRestResolver(enable_validation=True)
clock = SystemClock()


@app.post("/v1/stream-tickets", status_code=201, tags=["Live"], summary="Get a ticket for a stream")
def create_stream_ticket(request: IssueTicket, caller: CurrentCaller, codegen: Codegen) -> StreamTicket:
    """Get a ticket that opens one stream or WebSocket, within a minute, to the one run or multi-run that it is for."""
    return issue(
        request,
        org_id=organization(caller, request.organization_id),
        caller=caller,
        codegen=codegen,
        tickets=Tickets(Table(settings.required("CALLERS_TABLE")), clock),
        clock=clock,
    )


handler = endpoint(app, role=Role.VIEWER, secret=True)  # Who watches only reads.
