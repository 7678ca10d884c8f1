"""GET /v1/organizations/{org_id} - read an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.access import organizations
from codegen_runs.access.organizations import OrganizationCard
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>", tags=["Organizations"], summary="Read an organization")
def get_organization(org_id: Organization, caller: CurrentCaller, backend: Backend) -> OrganizationCard:
    """Read an organization: Codegen's data, overridden by what was set in this deployment. `role` is yours."""
    return organizations.get(org_id, caller=caller, backend=backend)


handler = endpoint(app)
