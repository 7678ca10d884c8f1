"""PATCH /v1/organizations/{org_id} - change what this deployment shows of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.access import organizations
from codegen_runs.access.organizations import UpdatedOrganization, UpdateOrganization
from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.patch("/v1/organizations/<org_id>", tags=["Organizations"], summary="Change an organization")
def update_organization(
    org_id: Organization, request: UpdateOrganization, caller: CurrentCaller, backend: Backend
) -> UpdatedOrganization:
    """Change the name or the settings of an organization in this deployment. You must be an admin of it."""
    return organizations.update(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("organization.update"), role=Role.ADMIN)
