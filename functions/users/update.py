"""PATCH /v1/organizations/{org_id}/users/{user_id} - set the role of a user in this deployment."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.access import members
from codegen_runs.access.members import UpdatedMember, UpdateUser
from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.patch("/v1/organizations/<org_id>/users/<user_id>", tags=["Users"], summary="Set the role of a user")
def update_user(
    org_id: Organization, user_id: Id, request: UpdateUser, caller: CurrentCaller, backend: Backend
) -> UpdatedMember:
    """Set what a user may do in this deployment. Codegen's roles do not change.

    Admins only, and with a Codegen token: the role would outlive an API token of this deployment.
    """
    return members.update(request, org_id=org_id, user_id=user_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("member.set_role", "user_id", details=("role",)), verbatim=True, role=Role.ADMIN)
