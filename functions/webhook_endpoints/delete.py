"""DELETE /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id} - delete a webhook endpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, EndpointId, Organization
from codegen_runs.roles import Role
from codegen_runs.webhook_endpoints import endpoints

app = APIGatewayRestResolver(enable_validation=True)


@app.delete(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>",
    status_code=204,
    tags=["Webhook endpoints"],
    summary="Delete a webhook endpoint",
)
def delete_webhook_endpoint(org_id: Organization, endpoint_id: EndpointId, backend: Backend) -> None:
    """Delete a webhook endpoint. Messages that wait for it are not sent."""
    endpoints.delete(endpoint_id, org_id=org_id, backend=backend)


handler = endpoint(app, audit=Act("webhook_endpoint.delete", "endpoint_id"), role=Role.ADMIN)
