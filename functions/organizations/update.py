"""PATCH /v1/organizations/{org_id} - change what this deployment shows of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.access import organizations
from codegen_runs.access.organizations import UpdatedOrganization, UpdateOrganization
from codegen_runs.clock import SystemClock
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, endpoint
from codegen_runs.roles import Role
from codegen_runs.storage.access import AccessTable

app = APIGatewayRestResolver(enable_validation=True)


@app.patch("/v1/organizations/<org_id>", tags=["Organizations"], summary="Change an organization")
def update_organization(
    org_id: int, request: UpdateOrganization, codegen: Codegen, caller: CurrentCaller
) -> UpdatedOrganization:
    """Change the name or settings of an organization in this deployment, as one of its admins."""
    return organizations.update(
        request,
        org_id=org_id,
        caller=caller,
        codegen=codegen,
        table=AccessTable(settings.required("ACCESS_TABLE")),
        clock=SystemClock(),
    )


handler = endpoint(app, role=Role.ADMIN)
