"""POST /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}/deliveries - send messages to an endpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, EndpointId, Organization
from codegen_runs.roles import Role
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import CreateDelivery, SentDeliveries

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>/deliveries",
    status_code=202,
    tags=["Webhook endpoints"],
    summary="Send messages to a webhook endpoint",
)
def create_deliveries(
    org_id: Organization, endpoint_id: EndpointId, request: CreateDelivery, backend: Backend
) -> SentDeliveries:
    """Send a test message, or again an earlier message (`message_id`) or all messages since a time (`since`)."""
    return endpoints.send(endpoint_id, request, org_id=org_id, backend=backend)


handler = endpoint(app, audit=Act("webhook_endpoint.send", "endpoint_id"), role=Role.ADMIN)
