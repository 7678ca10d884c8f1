"""GET /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id} - read a webhook endpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, EndpointId, Organization
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import EndpointCard

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>",
    tags=["Webhook endpoints"],
    summary="Read a webhook endpoint",
)
def get_webhook_endpoint(org_id: Organization, endpoint_id: EndpointId, backend: Backend) -> EndpointCard:
    """Read a webhook endpoint, without its secret."""
    return endpoints.card(endpoints.find(org_id, endpoint_id, backend=backend))


handler = endpoint(app)
