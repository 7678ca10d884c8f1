"""POST /v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}/rotate-secret - give an endpoint a new secret."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, EndpointId, Organization
from codegen_runs.roles import Role
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import NewEndpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/webhook-endpoints/<endpoint_id>/rotate-secret",
    tags=["Webhook endpoints"],
    summary="Rotate the secret of a webhook endpoint",
)
def rotate_webhook_secret(org_id: Organization, endpoint_id: EndpointId, backend: Backend) -> NewEndpoint:
    """Give an endpoint a new secret, which is shown only in this answer. For a day, messages have both signatures."""
    return endpoints.rotate_secret(endpoint_id, org_id=org_id, backend=backend)


handler = endpoint(app, audit=Act("webhook_endpoint.rotate_secret", "endpoint_id"), role=Role.ADMIN, secret=True)
