"""POST /v1/stream-tickets - get a ticket for an EventSource or a WebSocket, which cannot send a token."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.admission import in_body
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.live.issuing import IssueTicket, StreamTicket, issue
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/stream-tickets", status_code=201, tags=["Live"], summary="Get a ticket for a stream")
def create_stream_ticket(
    org_id: Organization, request: IssueTicket, caller: CurrentCaller, backend: Backend
) -> StreamTicket:
    """Get a ticket that opens one stream or WebSocket for the given run or multi-run, within a minute."""
    return issue(request, org_id=org_id, caller=caller, backend=backend)


# Watching is reading.
handler = endpoint(app, role=Role.VIEWER, own_data=True, secret=True, organization=in_body("organization_id"))
