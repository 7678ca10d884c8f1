"""PATCH /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id} - change a webhook endpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, EndpointId, Organization
from codegen_runs.roles import Role
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import EndpointCard, UpdateEndpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.patch(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>",
    tags=["Webhook endpoints"],
    summary="Change a webhook endpoint",
)
def update_webhook_endpoint(
    org_id: Organization, endpoint_id: EndpointId, request: UpdateEndpoint, backend: Backend
) -> EndpointCard:
    """Change the fields in the request. `enabled: true` also starts an endpoint that this deployment has disabled."""
    return endpoints.update(endpoint_id, request, org_id=org_id, backend=backend)


handler = endpoint(app, audit=Act("webhook_endpoint.update", "endpoint_id", details=("enabled",)), role=Role.ADMIN)
