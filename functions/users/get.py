"""GET /v1/organizations/{org_id}/users/{user_id} - read one user of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import User
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Id, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/users/<user_id>", tags=["Users"], summary="Read one user")
@app.get("/organizations/<org_id>/users/<user_id>", include_in_schema=False)
def get_user(org_id: Organization, user_id: Id, codegen: TransparentCodegen) -> User:
    """Read one user of an organization."""
    return codegen.users.get(user_id, org_id=org_id)


handler = endpoint(app, verbatim=True)
