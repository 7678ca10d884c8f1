"""GET /v1/organizations/{org_id}/webhook-endpoints - list the webhook endpoints of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, Organization
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import EndpointCard

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/webhook-endpoints", tags=["Webhook endpoints"], summary="List webhook endpoints")
def list_webhook_endpoints(org_id: Organization, backend: Backend) -> CursorPage[EndpointCard]:
    """List the webhook endpoints of an organization, oldest first. There are at most twenty."""
    return endpoints.listed(org_id, backend=backend)


handler = endpoint(app)
