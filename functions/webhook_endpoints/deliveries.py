"""GET /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}/deliveries - list what was sent to an endpoint."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, EndpointId, Organization
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import DeliveryCard

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many messages to return at most.")]


@app.get(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>/deliveries",
    tags=["Webhook endpoints"],
    summary="List the deliveries of a webhook endpoint",
)
def list_deliveries(
    org_id: Organization,
    endpoint_id: EndpointId,
    caller: CurrentCaller,
    backend: Backend,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> CursorPage[DeliveryCard]:
    """List the messages of the last 30 days, newest first, with each try to deliver them and the endpoint's answer."""
    return endpoints.deliveries(endpoint_id, org_id=org_id, limit=limit, cursor=cursor, caller=caller, backend=backend)


handler = endpoint(app)
