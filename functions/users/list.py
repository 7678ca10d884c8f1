"""GET /v1/organizations/{org_id}/users - list the users of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import Page, User
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Limit, Organization, Skip

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/users", tags=["Users"], summary="List the users of an organization")
@app.get("/organizations/<org_id>/users", include_in_schema=False)
def list_users(org_id: Organization, codegen: TransparentCodegen, skip: Skip = 0, limit: Limit = 100) -> Page[User]:
    """List the users of an organization."""
    return codegen.users.list(org_id=org_id, skip=skip, limit=limit).first


handler = endpoint(app, verbatim=True)
