"""POST /v1/organizations/{org_id}/webhook-endpoints - create a webhook endpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.roles import Role
from codegen_runs.webhook_endpoints import endpoints
from codegen_runs.webhook_endpoints.endpoints import CreateEndpoint, NewEndpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/webhook-endpoints",
    status_code=201,
    tags=["Webhook endpoints"],
    summary="Create a webhook endpoint",
)
def create_webhook_endpoint(
    org_id: Organization, request: CreateEndpoint, caller: CurrentCaller, backend: Backend
) -> NewEndpoint:
    """Have messages about the organization's runs sent to a URL. The secret is shown only in this answer."""
    return endpoints.create(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("webhook_endpoint.create", made="id"), role=Role.ADMIN, secret=True)
